/**
 * Comments that the server has not acknowledged yet. They are kept over a crash of the tab, each with
 * the key of its first try, so that however often it is sent it is written once.
 */
import { useSyncExternalStore } from "react";
import { answer, api, type Comment, newKey } from "@/api/client";
import { Problem } from "@/api/problem";
import { currentSession, subscribe as onSession } from "@/session/session";

export type Unsent = {
  key: string;
  account: string;
  post: string;
  parent: string | null;
  body: string;
  /** sending; waiting: for a connection or a busy server; failed: refused, `problem` says why. */
  state: "sending" | "waiting" | "failed";
  begun: number;
  problem?: Problem;
};

const STORED = "serai.outbox";
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 30_000;
/** The server keeps keys for a day: after that a second try could be a second comment. */
const KEY_MS = 23 * 60 * 60_000;

let unsent: readonly Unsent[] = [];
let restoredFor: string | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
let wait = FIRST_WAIT_MS;
const listeners = new Set<() => void>();
const takers = new Set<(comment: Comment) => void>();

export function useUnsent(post: string): readonly Unsent[] {
  const all = useSyncExternalStore(
    subscribe,
    () => unsent,
    () => unsent,
  );
  return all.filter((item) => item.post === post);
}

export function send(post: string, parent: string | null, body: string): void {
  const account = currentSession().account?.id;
  if (account === undefined) return;
  const item: Unsent = {
    key: newKey(),
    account,
    post,
    parent,
    body,
    state: "sending",
    begun: Date.now(),
  };
  set([...unsent, item]);
  void attempt(item);
}

export function retry(key: string): void {
  const item = unsent.find((other) => other.key === key);
  if (!item) return;
  change(key, { state: "sending", problem: undefined });
  void attempt(item);
}

export function discard(key: string): void {
  set(unsent.filter((item) => item.key !== key));
}

/** Told of each comment that was acknowledged. Returns how to stop. */
export function onSent(take: (comment: Comment) => void): () => void {
  takers.add(take);
  return () => takers.delete(take);
}

async function attempt(item: Unsent): Promise<void> {
  try {
    const comment = await answer(
      api.POST("/api/v1/posts/{post_id}/comments", {
        params: { path: { post_id: item.post }, header: { "Idempotency-Key": item.key } },
        body: { body_markdown: item.body, parent_id: item.parent },
      }),
    );
    wait = FIRST_WAIT_MS;
    for (const take of takers) take(comment);
    discard(item.key);
  } catch (error) {
    const problem = Problem.from(error);
    change(item.key, { state: problem.isPassing ? "waiting" : "failed", problem });
    if (problem.isPassing) later(problem.retryAfterSeconds);
  }
}

function later(seconds: number | null): void {
  clearTimeout(timer);
  timer = setTimeout(again, Math.max(wait, (seconds ?? 0) * 1000));
  wait = Math.min(2 * wait, LONGEST_WAIT_MS);
}

function again(): void {
  for (const item of unsent) if (item.state === "waiting") retry(item.key);
}

function change(key: string, fields: Partial<Unsent>): void {
  set(unsent.map((item) => (item.key === key ? { ...item, ...fields } : item)));
}

function set(next: readonly Unsent[]): void {
  unsent = next;
  try {
    const kept = next.map(({ problem: _, ...item }) => item);
    if (kept.length > 0) localStorage.setItem(STORED, JSON.stringify(kept));
    else localStorage.removeItem(STORED);
  } catch {
    // Storage is off or full: what is unsent lasts as long as the tab.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** What an earlier tab left behind, for the account that wrote it. */
function restore(): void {
  const account = currentSession().account?.id ?? null;
  if (account === null || account === restoredFor) return;
  restoredFor = account;
  let kept: Unsent[] = [];
  try {
    kept = JSON.parse(localStorage.getItem(STORED) ?? "[]") as Unsent[];
  } catch {
    // Storage is off, or holds what this version can't read.
  }
  const known = new Set(unsent.map((item) => item.key));
  const mine = kept.filter((item) => item.account === account && !known.has(item.key));
  if (mine.length === 0) return;
  const fresh = (item: Unsent) => Date.now() - item.begun < KEY_MS;
  set([
    ...unsent,
    ...mine.map((item): Unsent => ({ ...item, state: fresh(item) ? "waiting" : "failed" })),
  ]);
  again();
}

if (typeof window !== "undefined") {
  window.addEventListener("online", again);
  onSession(restore);
  restore();
}
