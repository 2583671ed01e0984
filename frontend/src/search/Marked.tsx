/** Escaped text with `<mark>` around what was asked for, as the server sends it: nothing else is taken. */
export function Marked({ html, language }: { html: string; language: string }) {
  const parts = html.split(/(<mark>[^<]*<\/mark>)/);
  return (
    <span dir="auto" lang={language}>
      {parts.map((part, at) =>
        part.startsWith("<mark>") ? (
          <mark key={at} className="rounded bg-lamp-wash px-0.5 text-ink">
            {unescaped(part.slice(6, -7))}
          </mark>
        ) : (
          unescaped(part)
        ),
      )}
    </span>
  );
}

const ENTITIES: Record<string, string> = {
  "&amp;": "&",
  "&lt;": "<",
  "&gt;": ">",
  "&quot;": '"',
  "&#34;": '"',
  "&#39;": "'",
  "&#x27;": "'",
};

function unescaped(text: string): string {
  return text.replace(/&(?:amp|lt|gt|quot|#34|#39|#x27);/g, (entity) => ENTITIES[entity] ?? entity);
}
