import type { Post } from "@/api/client";

const EXCERPT_CHARACTERS = 280;
const known = new Map<string, string>();
const MOST_KNOWN = 500;

/** The beginning of a post's text without its markup. */
export function excerptOf(post: Pick<Post, "body_html">): string {
  const html = post.body_html;
  let text = known.get(html);
  if (text === undefined) {
    // A document of its own: nothing in it loads or runs.
    const parsed = new DOMParser().parseFromString(html, "text/html");
    const whole = (parsed.body.textContent ?? "").replace(/\s+/g, " ").trim();
    text = whole.length > EXCERPT_CHARACTERS ? `${whole.slice(0, EXCERPT_CHARACTERS)}…` : whole;
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(html, text);
  }
  return text;
}
