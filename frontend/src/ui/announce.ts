/**
 * Words for screen readers, politely: what comes within a moment is told as one, and of the same
 * kind only the newest, so that a busy thread does not drown the reader.
 */
const WAIT_MS = 1_500;

let waiting = new Map<string, string>();
let timer: ReturnType<typeof setTimeout> | undefined;
let region: ((text: string) => void) | null = null;

/** `kind`: what a later word replaces, such as "new posts". */
export function announce(text: string, kind = text): void {
  waiting.set(kind, text);
  if (timer === undefined) timer = setTimeout(tell, WAIT_MS);
}

export function setRegion(tell: ((text: string) => void) | null): void {
  region = tell;
}

function tell(): void {
  timer = undefined;
  const texts = [...waiting.values()];
  waiting = new Map();
  region?.(texts.join(". "));
}
