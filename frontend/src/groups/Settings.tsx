import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { answer, api, type Schemas } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import { Button } from "@/ui/Button";
import { Textarea } from "@/ui/Field";
import { refuse } from "@/ui/refuse";
import { toast } from "@/ui/Toasts";
import { type Admitting, AdmittingChoice } from "./AdmittingChoice";

/** For admins of a group: its rules, who comes in, and its end. */
export function GroupSettings({ community }: { community: Schemas["CommunityAnswer"] }) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const [rules, setRules] = useState(community.rules);
  const [admitting, setAdmitting] = useState<Admitting>({
    visibility: community.visibility,
    joining: community.joining,
  });
  const [busy, setBusy] = useState(false);
  async function save(fields: Schemas["GroupPatch"]) {
    setBusy(true);
    try {
      await answer(
        api.PATCH("/api/v1/communities/{community}", {
          params: { path: { community: community.id } },
          body: fields,
        }),
      );
      await queries.invalidateQueries({ queryKey: ["community"] });
      toast(t("groups.saved"));
    } catch (error) {
      refuse(error);
    } finally {
      setBusy(false);
    }
  }
  return (
    <details className="card p-4">
      <summary className="min-h-8 text-lg font-bold">{t("groups.run")}</summary>
      <div className="mt-4 grid gap-4">
        <Textarea
          label={t("groups.rules")}
          value={rules}
          maxLength={10_000}
          onChange={(event) => setRules(event.target.value)}
        />
        <AdmittingChoice value={admitting} onChange={setAdmitting} />
        <span className="flex flex-wrap gap-2">
          <Button look="primary" busy={busy} onClick={() => void save({ rules, ...admitting })}>
            {t("groups.save")}
          </Button>
          <Button
            look="danger"
            busy={busy}
            onClick={() => void save({ archived: !community.archived })}
          >
            {t(community.archived ? "groups.unarchive" : "groups.archive")}
          </Button>
        </span>
      </div>
    </details>
  );
}
