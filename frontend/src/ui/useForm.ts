import { type FormEvent, useRef, useState } from "react";
import { Problem } from "@/api/problem";
import { useI18n } from "@/i18n/i18n";
import { problemText } from "./States";

/**
 * Sends a form once at a time and keeps what the server says about it: `errorOf(field)` beside the
 * field, `general` above the form. The first field that is wrong takes the focus.
 */
export function useForm(submit: (fields: Record<string, string>) => Promise<void>) {
  const { t } = useI18n();
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);

  async function onSubmit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (busy) return;
    const entries = [...new FormData(event.currentTarget)].map(([name, value]) => [
      name,
      String(value),
    ]);
    setBusy(true);
    setProblem(null);
    try {
      await submit(Object.fromEntries(entries));
    } catch (error) {
      const failed = Problem.from(error);
      setProblem(failed);
      const first = failed.errors
        .map((item) => form.current?.elements.namedItem(item.path))
        .find(Boolean);
      if (first instanceof HTMLElement) first.focus();
    } finally {
      setBusy(false);
    }
  }

  const hasField = (path: string) => form.current?.elements.namedItem(path) != null;
  return {
    props: { ref: form, onSubmit, noValidate: false },
    busy,
    problem,
    errorOf: (path: string) => problem?.reasonOf(path),
    general:
      problem && !problem.errors.some((error) => hasField(error.path))
        ? problemText(problem, t)
        : null,
  };
}
