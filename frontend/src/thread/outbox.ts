/**
 * Comments that the server has not acknowledged yet. They are kept over a crash of the tab, each with
 * the key of its first try, so that however often it is sent it is written once. Each is shown to the
 * account that wrote it and sent as that account, and kept under a name of its own: tabs share them.
 */
import { useSyncExternalStore } from "react";
import { answer, api, type Comment, newKey } from "@/api/client";
import { Problem } from "@/api/problem";
import { currentSession, subscribe as onSession, useSession } from "@/session/session";

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

const PREFIX = "serai.outbox.";
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 30_000;
/** The server keeps keys for a day: after that a second try could be a second comment. */
const KEY_MS = 23 * 60 * 60_000;

let unsent: readonly Unsent[] = [];
let restoredFor: string | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let wait = FIRST_WAIT_MS;
const listeners = new Set<() => void>();
const takers = new Set<(comment: Comment) => void>();

/** Those of the account that is signed in. */
export function useUnsent(post: string): readonly Unsent[] {
  const account = useSession().account?.id;
  const all = useSyncExternalStore(
    subscribe,
    () => unsent,
    () => unsent,
  );
  return all.filter((item) => item.post === post && item.account === account);
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
  store(item);
  set([...unsent, item]);
  void attempt(item);
}

export function retry(key: string): void {
  const item = unsent.find((other) => other.key === key);
  if (!item || !isOwn(item)) return;
  change(key, { state: "sending", problem: undefined });
  void attempt(item);
}

export function discard(key: string): void {
  try {
    localStorage.removeItem(PREFIX + key);
  } catch {
    // Storage is off: nothing is kept there.
  }
  set(unsent.filter((item) => item.key !== key));
}

/** Told of each comment that was acknowledged. Returns how to stop. */
export function onSent(take: (comment: Comment) => void): () => void {
  takers.add(take);
  return () => takers.delete(take);
}

/**
 * Which of them an own comment is whose event came before the answer to its request: the first with
 * its words and its place that is no other comment already. `met`: which those are, by their keys.
 */
export function meeting(
  items: readonly Unsent[],
  comment: Comment,
  met: ReadonlyMap<string, string>,
): Unsent | undefined {
  if ([...met.values()].includes(comment.id)) return undefined;
  return items.find(
    (item) =>
      item.state !== "failed" &&
      item.account === comment.author?.id &&
      item.parent === comment.parent_id &&
      item.body === comment.body_markdown &&
      !met.has(item.key),
  );
}

const isOwn = (item: Unsent) => item.account === currentSession().account?.id;

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
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Once for each: what changes of it later is of this tab alone. */
function store(item: Unsent): void {
  try {
    localStorage.setItem(PREFIX + item.key, JSON.stringify(item));
  } catch {
    // Storage is off or full: what is unsent lasts as long as the tab.
  }
}

function stored(): Unsent[] {
  try {
    return Object.keys(localStorage)
      .filter((name) => name.startsWith(PREFIX))
      .flatMap((name) => (JSON.parse(localStorage.getItem(name) ?? "null") as Unsent | null) ?? [])
      .sort((one, other) => one.begun - other.begun);
  } catch {
    // Storage is off, or holds what this version can't read.
    return [];
  }
}

/** What an earlier tab left behind, and what waited here for the account to come back. */
function restore(): void {
  const account = currentSession().account?.id;
  if (account === restoredFor) return;
  restoredFor = account;
  if (account === undefined) return;
  const known = new Set(unsent.map((item) => item.key));
  const fresh = (item: Unsent) => Date.now() - item.begun < KEY_MS;
  set([
    ...unsent,
    ...stored()
      .filter((item) => isOwn(item) && !known.has(item.key))
      .map((item): Unsent => ({ ...item, state: fresh(item) ? "waiting" : "failed" })),
  ]);
  again();
}

if (typeof window !== "undefined") {
  window.addEventListener("online", again);
  // Sent or thrown away by another tab.
  window.addEventListener("storage", ({ key, newValue }) => {
    if (key?.startsWith(PREFIX) && newValue === null)
      set(unsent.filter((item) => PREFIX + item.key !== key));
  });
  onSession(restore);
  restore();
}
