import { useState } from "react";
import { Problem } from "@/api/problem";
import { useI18n } from "@/i18n/i18n";
import { Button } from "@/ui/Button";
import { Textarea } from "@/ui/Field";
import { problemText } from "@/ui/States";

/** Changes a text in its place; what was typed stays when the server refuses. */
export function EditForm({
  text: before,
  label,
  save,
  onDone,
}: {
  text: string;
  label: string;
  save: (text: string) => Promise<void>;
  onDone: () => void;
}) {
  const { t } = useI18n();
  const [text, setText] = useState(before);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  async function submit() {
    setBusy(true);
    setProblem(null);
    try {
      await save(text.trim());
      onDone();
    } catch (error) {
      setProblem(Problem.from(error));
    } finally {
      setBusy(false);
    }
  }
  return (
    <form
      className="grid gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <Textarea
        label={label}
        hideLabel
        value={text}
        rows={5}
        error={problem ? (problem.reasonOf("body_markdown") ?? problemText(problem, t)) : undefined}
        onChange={(event) => setText(event.target.value)}
      />
      <span className="flex justify-end gap-2">
        <Button look="quiet" onClick={onDone}>
          {t("thread.cancel")}
        </Button>
        <Button type="submit" look="primary" busy={busy} disabled={!text.trim()}>
          {t("thread.save")}
        </Button>
      </span>
    </form>
  );
}
