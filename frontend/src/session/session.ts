/**
 * Who is signed in. The access token lives in memory alone; the refresh token in a cookie that only
 * the server sees. Tabs of one browser share what one of them learned, and refresh one at a time: a
 * refresh token that is used twice ends the whole session.
 */
import { useSyncExternalStore } from "react";
import { API_ORIGIN } from "@/api/origin";
import { Problem } from "@/api/problem";
import type { components } from "@/api/schema";

export type Account = components["schemas"]["Account"];
type Answer = components["schemas"]["Session"];

export type Session =
  | { status: "unknown"; account: null }
  | { status: "guest"; account: null }
  | { status: "member"; account: Account };

type Told = { token: string; until: number; account: Account } | null;

/** Says only that a refresh is worth a try: guests are spared one that must fail. */
const HINT = "serai.signed-in";
const LOCK = "serai.refresh";
/** Before the token's end, so that requests in flight still arrive with a good one. */
const EARLY_SECONDS = 30;

const UNKNOWN: Session = { status: "unknown", account: null };
const GUEST: Session = { status: "guest", account: null };

let session: Session = UNKNOWN;
let told: Told = null;
let flight: Promise<string | null> | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;
const listeners = new Set<() => void>();
const tabs = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("serai.session");
if (tabs) tabs.onmessage = (event: MessageEvent<Told>) => adopt(event.data);

export function accessToken(): string | null {
  return told?.token ?? null;
}

/** Once, when the page starts. */
export async function startSession(): Promise<void> {
  if (readHint()) await refreshSession();
  else adopt(null);
}

/** The next access token, or null when the session has ended. Callers that come together share it. */
export function refreshSession(): Promise<string | null> {
  const stale = told?.token;
  flight ??= alone(() => refresh(stale)).finally(() => {
    flight = null;
  });
  return flight;
}

export async function signIn(login: string, password: string): Promise<void> {
  share(await post("login", { login, password }));
}

export async function register(fields: {
  handle: string;
  email: string;
  password: string;
  languages: string[];
}): Promise<void> {
  share(await post("register", fields));
}

export async function signOut(): Promise<void> {
  const token = accessToken();
  // First here and in the other tabs: live connections tell that the session has ended, often before
  // the answer does, and a member's page would look into it.
  endSession();
  try {
    await request("logout", {}, token);
  } catch {
    // Without a connection the server keeps the session until it ends by itself; here it is gone.
  }
}

/** Also when the server says that the session was ended elsewhere. */
export function endSession(): void {
  adopt(null);
  tabs?.postMessage(null);
}

export function useSession(): Session {
  return useSyncExternalStore(subscribe, current, () => UNKNOWN);
}

export function currentSession(): Session {
  return session;
}

export function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const current = () => session;

async function refresh(stale: string | undefined): Promise<string | null> {
  // Another tab may have refreshed while this one waited for its turn.
  if (told !== null && told.token !== stale) return told.token;
  try {
    share(await post("refresh", {}));
    return accessToken();
  } catch (error) {
    const problem = Problem.from(error);
    if (problem.isPassing) {
      if (session.status === "unknown") adopt(null, true);
      timer = setTimeout(() => void refreshSession(), 5000);
      return null;
    }
    endSession();
    return null;
  }
}

function share(answer: Answer): void {
  const fresh = {
    token: answer.access_token,
    until: Date.now() + answer.expires_in * 1000,
    account: answer.account,
  };
  adopt(fresh);
  tabs?.postMessage(fresh);
}

function adopt(fresh: Told, keepHint = false): void {
  clearTimeout(timer);
  told = fresh;
  if (fresh !== null) {
    writeHint(true);
    const wait = Math.max(1000, fresh.until - Date.now() - EARLY_SECONDS * 1000);
    timer = setTimeout(() => void refreshSession(), Math.min(wait, 2 ** 31 - 1));
  } else if (!keepHint) writeHint(false);
  const known = session.account;
  // The same account keeps its object, so that nothing renders again for a new token.
  if (fresh === null) session = GUEST;
  else if (known === null || JSON.stringify(known) !== JSON.stringify(fresh.account))
    session = { status: "member", account: fresh.account };
  for (const listener of listeners) listener();
}

async function alone<T>(work: () => Promise<T>): Promise<T> {
  if (!navigator.locks) return work();
  return navigator.locks.request(LOCK, work) as Promise<T>;
}

async function post(path: "login" | "register" | "refresh", body: object): Promise<Answer> {
  return (await request(path, body)).json() as Promise<Answer>;
}

async function request(path: string, body: object, token: string | null = null): Promise<Response> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  let response: Response;
  try {
    response = await fetch(`${API_ORIGIN}/api/v1/auth/${path}`, {
      method: "POST",
      credentials: "include",
      headers,
      body: JSON.stringify(body),
    });
  } catch (error) {
    throw Problem.from(error);
  }
  if (!response.ok) throw await Problem.of(response);
  return response;
}

function readHint(): boolean {
  try {
    return localStorage.getItem(HINT) === "1";
  } catch {
    return true;
  }
}

function writeHint(signedIn: boolean): void {
  try {
    if (signedIn) localStorage.setItem(HINT, "1");
    else localStorage.removeItem(HINT);
  } catch {
    // Storage is off: the next start asks the server.
  }
}
