import type { ReactNode } from "react";
import type { Problem } from "@/api/problem";
import { useI18n } from "@/i18n/i18n";
import { Input } from "@/ui/Field";
import { problemText } from "@/ui/States";
import type { Written } from "./draft";
import { Editor } from "./Editor";
import { Tags } from "./Tags";

const FIELDS = ["title", "body_markdown", "tags"];

export const isComplete = (written: Written) => written.title.trim().length >= 3;

/** What a post is made of, with what the server said of each field; `children` under the headline. */
export function PostFields({
  written,
  change,
  problem,
  children,
}: {
  written: Written;
  change: (fields: Partial<Written>) => void;
  problem: Problem | null;
  children?: ReactNode;
}) {
  const { t } = useI18n();
  const isOfField = problem?.errors.some(({ path }) => FIELDS.includes(path));
  return (
    <>
      {problem && !isOfField && (
        <p role="alert" className="rounded-xl bg-danger-wash p-3 text-danger">
          {problemText(problem, t)}
        </p>
      )}
      <Input
        label={t("compose.headline")}
        hint={t("compose.headline_hint")}
        value={written.title}
        maxLength={300}
        minLength={3}
        required
        dir="auto"
        error={problem?.reasonOf("title")}
        onChange={(event) => change({ title: event.target.value })}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.nativeEvent.isComposing) return;
          // The line's end, not the question's: on to the text, instead of publishing without one.
          event.preventDefault();
          event.currentTarget.form?.querySelector("textarea")?.focus();
        }}
      />
      {children}
      <Editor
        label={t("compose.body")}
        value={written.body}
        error={problem?.reasonOf("body_markdown")}
        onChange={(body) => change({ body })}
      />
      <Tags
        tags={written.tags}
        error={problem?.reasonOf("tags")}
        onChange={(tags) => change({ tags })}
      />
    </>
  );
}
