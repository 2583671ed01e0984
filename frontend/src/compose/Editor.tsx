import { useQuery } from "@tanstack/react-query";
import { Bold, ImagePlus, Italic, Link2, List, Quote } from "lucide-react";
import { type ClipboardEvent, type DragEvent, useRef, useState } from "react";
import { answer, api } from "@/api/client";
import { Problem } from "@/api/problem";
import { Prose } from "@/content/Prose";
import { useI18n } from "@/i18n/i18n";
import { IconButton, Spinner } from "@/ui/Button";
import { Textarea } from "@/ui/Field";
import { ErrorState, problemText } from "@/ui/States";
import { Choices } from "@/ui/Tabs";
import { toast } from "@/ui/Toasts";
import { ACCEPTED, upload } from "./upload";

const ICON = { size: 19, "aria-hidden": true } as const;

/** A text in Markdown with its usual buttons, files by button, drop and paste, and how it will look. */
export function Editor({
  label,
  value,
  onChange,
  error,
}: {
  label: string;
  value: string;
  onChange: (text: string) => void;
  error?: string;
}) {
  const { t } = useI18n();
  const [view, setView] = useState<"write" | "look">("write");
  const [sending, setSending] = useState(0);
  const field = useRef<HTMLDivElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const latest = useRef(value);
  latest.current = value;

  const area = () => field.current?.querySelector("textarea") ?? null;

  /** Puts marks around what is selected, or before each of its lines. */
  function mark(before: string, after: string, isLine = false) {
    const element = area();
    if (!element) return;
    const { selectionStart: from, selectionEnd: end } = element;
    const chosen = value.slice(from, end);
    const made = isLine
      ? chosen
          .split("\n")
          .map((line) => before + line)
          .join("\n")
      : before + chosen + after;
    onChange(value.slice(0, from) + made + value.slice(end));
    requestAnimationFrame(() => {
      element.focus();
      const at = isLine ? from + made.length : from + before.length;
      element.setSelectionRange(at, isLine ? at : at + chosen.length);
    });
  }

  async function attach(files: Iterable<File>) {
    for (const file of files) {
      setSending((count) => count + 1);
      try {
        const link = await upload(file);
        const text = latest.current;
        onChange(`${text}${text && !text.endsWith("\n") ? "\n\n" : ""}${link}\n`);
      } catch (error) {
        const problem = Problem.from(error);
        toast(problem.detail || problemText(problem, t), { tone: "danger" });
      } finally {
        setSending((count) => count - 1);
      }
    }
  }

  function onDrop(event: DragEvent) {
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    void attach([...event.dataTransfer.files]);
  }

  function onPaste(event: ClipboardEvent) {
    if (event.clipboardData.files.length === 0) return;
    event.preventDefault();
    void attach([...event.clipboardData.files]);
  }

  return (
    <div className="grid gap-2">
      <div className="flex flex-wrap items-center justify-between gap-2">
        <Choices
          label={label}
          value={view}
          onChange={setView}
          options={[
            { id: "write", label: t("compose.write") },
            { id: "look", label: t("compose.look") },
          ]}
        />
        {view === "write" && (
          <div className="-me-2 flex items-center">
            <IconButton label={t("compose.bold")} onClick={() => mark("**", "**")}>
              <Bold {...ICON} />
            </IconButton>
            <IconButton label={t("compose.italic")} onClick={() => mark("*", "*")}>
              <Italic {...ICON} />
            </IconButton>
            <IconButton label={t("compose.quote")} onClick={() => mark("> ", "", true)}>
              <Quote {...ICON} />
            </IconButton>
            <IconButton label={t("compose.list")} onClick={() => mark("- ", "", true)}>
              <List {...ICON} />
            </IconButton>
            <IconButton label={t("compose.link")} onClick={() => mark("[", "](https://)")}>
              <Link2 {...ICON} />
            </IconButton>
            <IconButton label={t("compose.attach")} onClick={() => picker.current?.click()}>
              {sending > 0 ? <Spinner /> : <ImagePlus {...ICON} />}
            </IconButton>
            <input
              ref={picker}
              type="file"
              multiple
              hidden
              aria-label={t("compose.attach")}
              accept={ACCEPTED}
              onChange={(event) => {
                void attach([...(event.target.files ?? [])]);
                event.target.value = "";
              }}
            />
          </div>
        )}
      </div>
      {view === "write" ? (
        <div ref={field}>
          <Textarea
            label={label}
            hideLabel
            value={value}
            rows={10}
            error={error}
            hint={t(sending > 0 ? "compose.uploading" : "compose.drop_hint")}
            placeholder={t("compose.body_placeholder")}
            onChange={(event) => onChange(event.target.value)}
            onDrop={onDrop}
            onPaste={onPaste}
            onDragOver={(event) => event.preventDefault()}
          />
        </div>
      ) : (
        <Preview text={value} />
      )}
    </div>
  );
}

function Preview({ text }: { text: string }) {
  const { t, language } = useI18n();
  const rendered = useQuery({
    queryKey: ["preview", text],
    queryFn: () => answer(api.POST("/api/v1/preview", { body: { body_markdown: text } })),
    enabled: text.trim() !== "",
    staleTime: Number.POSITIVE_INFINITY,
  });
  if (!text.trim()) return <p className="card p-4 text-ink-soft">{t("compose.nothing_yet")}</p>;
  if (rendered.isError)
    return <ErrorState error={rendered.error} onRetry={() => void rendered.refetch()} />;
  if (rendered.isPending) return <span className="skeleton h-40" />;
  return (
    <div className="card min-h-40 p-4">
      <Prose html={rendered.data.body_html} language={language} />
    </div>
  );
}
