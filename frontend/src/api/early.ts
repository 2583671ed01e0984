/** Answers that the page began to fetch before its scripts were there (app/early.ts). */
declare global {
  interface Window {
    seraiEarly?: Record<string, Promise<Response>>;
  }
}

/** Each once, and for the first moments only: later readers want what is true then. */
const FRESH_MS = 10_000;

export function takeEarly(request: Request): Promise<Response> | null {
  if (request.method !== "GET" || performance.now() > FRESH_MS) return null;
  const { pathname, search } = new URL(request.url);
  const found = window.seraiEarly?.[pathname + search];
  if (!found) return null;
  delete window.seraiEarly?.[pathname + search];
  return found;
}
