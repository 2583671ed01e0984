import type { Schemas } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import type { MessageKey } from "@/i18n/sections";

export type Admitting = Pick<Schemas["Community"], "visibility" | "joining">;

const WAYS: readonly (Admitting & { id: string; label: MessageKey; hint: MessageKey })[] = [
  {
    id: "open",
    visibility: "public",
    joining: "open",
    label: "groups.open",
    hint: "groups.open_hint",
  },
  {
    id: "request",
    visibility: "private",
    joining: "request",
    label: "groups.request",
    hint: "groups.request_hint",
  },
  {
    id: "invitation",
    visibility: "private",
    joining: "invitation",
    label: "groups.invitation",
    hint: "groups.invitation_hint",
  },
];

/** Who reads a group and how one comes in: three ways that make sense together. */
export function AdmittingChoice({
  value,
  onChange,
}: {
  value: Admitting;
  onChange: (value: Admitting) => void;
}) {
  const { t } = useI18n();
  return (
    <fieldset className="grid gap-2">
      <legend className="mb-1 font-semibold">{t("groups.who_comes_in")}</legend>
      {WAYS.map(({ id, visibility, joining, label, hint }) => (
        <label
          key={id}
          className="flex gap-3 rounded-xl border border-line-strong p-3 has-checked:border-tile has-checked:bg-tile-wash"
        >
          <input
            type="radio"
            name="admitting"
            checked={value.visibility === visibility && value.joining === joining}
            onChange={() => onChange({ visibility, joining })}
            className="mt-1 size-5 accent-(--tile)"
          />
          <span>
            <span className="font-semibold">{t(label)}</span>
            <span className="block text-sm text-ink-soft">{t(hint)}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}
