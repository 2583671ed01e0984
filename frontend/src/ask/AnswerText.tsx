import { Fragment, type ReactNode } from "react";
import { useI18n } from "@/i18n/i18n";

/**
 * The assistant's words: paragraphs, quotes, lists, bold, and citations that lead to their source. It
 * is made of text alone, so that nothing a source holds can become markup.
 */
export function AnswerText({
  markdown,
  language,
  cited,
  onCite,
}: {
  markdown: string;
  language: string;
  cited: readonly number[];
  onCite: (n: number) => void;
}) {
  const { t } = useI18n();
  function inline(text: string): ReactNode[] {
    return text.split(/(\*\*[^*]+\*\*|\[\d{1,3}\])/).map((part, at) => {
      const n = Number(/^\[(\d{1,3})\]$/.exec(part)?.[1] ?? Number.NaN);
      if (cited.includes(n))
        return (
          <button
            key={at}
            type="button"
            onClick={() => onCite(n)}
            aria-label={t("ask.to_source", { n })}
            className="mx-0.5 inline-flex min-h-6 min-w-6 items-center justify-center rounded-full bg-tile-wash px-1.5 align-baseline text-sm font-bold text-tile hover:bg-tile hover:text-on-tile"
          >
            {n}
          </button>
        );
      if (part.startsWith("**") && part.endsWith("**") && part.length > 4)
        return <strong key={at}>{plain(part.slice(2, -2))}</strong>;
      return <Fragment key={at}>{plain(part)}</Fragment>;
    });
  }
  return (
    <div dir="auto" lang={language} className="prose text-lg">
      {blocksOf(markdown).map(({ kind, lines }, at) =>
        kind === "list" ? (
          <ul key={at}>
            {lines.map((line, place) => (
              <li key={place}>{inline(line)}</li>
            ))}
          </ul>
        ) : kind === "quote" ? (
          <blockquote key={at}>
            {lines.map((line, place) => (
              <p key={place}>{inline(line)}</p>
            ))}
          </blockquote>
        ) : (
          <p key={at}>{inline(lines.join(" "))}</p>
        ),
      )}
    </div>
  );
}

type Block = { kind: "text" | "quote" | "list"; lines: string[] };

function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let isOpen = false;
  for (const line of markdown.split("\n")) {
    const marked = /^\s*(>|[-*])\s+(.*)$/.exec(line);
    const kind = marked ? (marked[1] === ">" ? "quote" : "list") : "text";
    const text = marked?.[2] ?? line.trim();
    const last = blocks.at(-1);
    if (text === "" || text === ">") isOpen = false;
    else if (isOpen && last?.kind === kind) last.lines.push(text);
    else {
      isOpen = true;
      blocks.push({ kind, lines: [text] });
    }
  }
  return blocks;
}

/** Backslashes that keep Markdown from reading a character as a mark. */
function plain(text: string): string {
  return text.replace(/\\([\\`*_{}[\]()#+\-.!|>~<&])/g, "$1");
}
