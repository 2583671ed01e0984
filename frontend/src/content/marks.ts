/**
 * What the member did with posts and comments: votes, saves, what they follow. Pages are the same for everybody, so
 * each asks for this by itself; what is asked for within a moment goes as one call.
 */
import { useEffect, useSyncExternalStore } from "react";
import { answer, api } from "@/api/client";
import { currentSession, subscribe as onSession, useSession } from "@/session/session";

export type Vote = -1 | 0 | 1;
export type Mark = { vote: Vote; saved: boolean; followed: boolean };

const NOTHING: Mark = { vote: 0, saved: false, followed: false };
const MOST_IDS = 100;

let marks = new Map<string, Mark>();
let asked = new Set<string>();
let waiting: string[] = [];
let owner: string | undefined;
const listeners = new Set<() => void>();

export function useMark(id: string): Mark {
  const { account } = useSession();
  // biome-ignore lint/correctness/useExhaustiveDependencies: another account's marks are others.
  useEffect(() => want(id), [id, account?.id]);
  return useSyncExternalStore(
    subscribe,
    () => marks.get(id) ?? NOTHING,
    () => NOTHING,
  );
}

/** What the member has just done, before the server answers. */
export function setMark(id: string, change: Partial<Mark>): void {
  marks.set(id, { ...(marks.get(id) ?? NOTHING), ...change });
  for (const listener of listeners) listener();
}

function want(id: string): void {
  if (currentSession().status !== "member" || asked.has(id)) return;
  asked.add(id);
  waiting.push(id);
  if (waiting.length === 1) setTimeout(() => void fetchWaiting(), 20);
}

async function fetchWaiting(): Promise<void> {
  const ids = waiting.splice(0, MOST_IDS);
  // Signed out meanwhile.
  if (ids.length === 0) return;
  if (waiting.length > 0) setTimeout(() => void fetchWaiting(), 20);
  try {
    const found = await answer(
      api.GET("/api/v1/me/marks", { params: { query: { ids: ids.join(",") } } }),
    );
    const saved = new Set(found.saved);
    for (const id of ids)
      marks.set(id, {
        vote: found.votes[id] ?? 0,
        saved: saved.has(id),
        followed: (found.follows[id] ?? "none") !== "none",
      });
    for (const listener of listeners) listener();
  } catch {
    // Marks are an extra: without them the page reads as a guest's, and the next page asks again.
    for (const id of ids) asked.delete(id);
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

onSession(() => {
  const id = currentSession().account?.id;
  if (id === owner) return;
  owner = id;
  marks = new Map();
  asked = new Set();
  waiting = [];
});
