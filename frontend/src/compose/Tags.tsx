import { X } from "lucide-react";
import { useState } from "react";
import { useI18n } from "@/i18n/i18n";
import { Input } from "@/ui/Field";

const MOST = 10;

/** Words that the post is found by; Enter or a comma ends one. */
export function Tags({
  tags,
  onChange,
  error,
}: {
  tags: readonly string[];
  onChange: (tags: string[]) => void;
  error?: string;
}) {
  const { t } = useI18n();
  const [text, setText] = useState("");
  function add() {
    const tag = text.trim().replace(/^#/, "");
    setText("");
    if (tag && !tags.includes(tag) && tags.length < MOST) onChange([...tags, tag]);
  }
  return (
    <div className="grid gap-2">
      <Input
        label={t("compose.tags")}
        hint={t("compose.tags_hint")}
        error={error}
        value={text}
        maxLength={40}
        onChange={(event) => setText(event.target.value)}
        onBlur={add}
        onKeyDown={(event) => {
          if (event.key !== "Enter" && event.key !== ",") return;
          event.preventDefault();
          add();
        }}
      />
      {tags.length > 0 && (
        <ul className="flex flex-wrap gap-2">
          {tags.map((tag) => (
            <li key={tag}>
              <button
                type="button"
                onClick={() => onChange(tags.filter((other) => other !== tag))}
                aria-label={t("compose.remove_tag", { tag })}
                className="inline-flex min-h-9 items-center gap-1.5 rounded-full bg-sunken px-3 text-sm font-semibold hover:bg-danger-wash hover:text-danger"
              >
                <bdi>#{tag}</bdi>
                <X size={15} aria-hidden="true" />
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
