/**
 * Half-written comments, kept in the browser so that a crash or a wrong tap loses nothing: of each
 * account for itself, where several share a browser. Guests can't write any.
 */
import { useEffect, useState } from "react";

const PREFIX = "serai.draft.";
const WAIT_MS = 400;

/** A text that is there again when its writer comes back; `clear` when it was sent. */
export function useKeptText(
  account: string,
  place: string,
  initial = "",
): [string, (text: string) => void, () => void] {
  const name = `${account}.${place}`;
  const [text, setText] = useState(() => readDraft(name) || initial);
  useEffect(() => {
    const timer = setTimeout(() => writeDraft(name, text === initial ? "" : text), WAIT_MS);
    return () => clearTimeout(timer);
  }, [name, text, initial]);
  return [
    text,
    setText,
    () => {
      setText("");
      writeDraft(name, "");
    },
  ];
}

export function readDraft(name: string): string {
  try {
    return localStorage.getItem(PREFIX + name) ?? "";
  } catch {
    return "";
  }
}

export function writeDraft(name: string, text: string): void {
  try {
    if (text) localStorage.setItem(PREFIX + name, text);
    else localStorage.removeItem(PREFIX + name);
  } catch {
    // Storage is off or full: the text lasts as long as the page.
  }
}
