import createClient, { type Middleware } from "openapi-fetch";
import { accessToken, refreshSession } from "@/session/session";
import { takeEarly } from "./early";
import { API_ORIGIN } from "./origin";
import { Problem } from "./problem";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Post = Schemas["Post"];
export type Comment = Schemas["Comment"];
export type Community = Schemas["Community"];
export type Stream = Schemas["Stream"];

/** The newest write of this tab: sent with reads, so that they show it. */
let position: string | null = null;

const headers: Middleware = {
  onRequest({ request }) {
    const token = accessToken();
    if (token !== null) request.headers.set("Authorization", `Bearer ${token}`);
    if (position !== null && request.method === "GET")
      request.headers.set("Serai-Position", position);
    return request;
  },
  onResponse({ response }) {
    position = response.headers.get("Serai-Position") ?? position;
    return response;
  },
};

/** Sends once more with a new token where the old one has expired. */
async function send(request: Request): Promise<Response> {
  const early = takeEarly(request);
  const begun = await early?.catch(() => null);
  if (begun?.ok) return begun;
  const again = request.clone();
  const response = await fetch(request);
  if (response.status !== 401 || accessToken() === null) return response;
  if ((await Problem.of(response)).code !== "token_expired") return response;
  const token = await refreshSession();
  if (token === null) return response;
  again.headers.set("Authorization", `Bearer ${token}`);
  return fetch(again);
}

/** Typed by the server's own document. Wrap calls in `answer`, which throws `Problem`. */
export const api = createClient<paths>({
  baseUrl: API_ORIGIN,
  credentials: "include",
  fetch: send,
});
api.use(headers);

type Outcome<T> = { data?: T; error?: unknown; response: Response };

/** The body of a success; raises `Problem` for everything else. */
export async function answer<T>(call: Promise<Outcome<T>>): Promise<T> {
  let outcome: Outcome<T>;
  try {
    outcome = await call;
  } catch (error) {
    throw Problem.from(error);
  }
  if (!outcome.response.ok) {
    const retryAfter = Number(outcome.response.headers.get("Retry-After"));
    throw new Problem({
      code: outcome.response.status >= 500 ? "unavailable" : "invalid",
      ...(outcome.error as object),
      status: outcome.response.status,
      retryAfterSeconds: retryAfter > 0 ? retryAfter : null,
    });
  }
  return outcome.data as T;
}

/** The Idempotency-Key of one thing that the member does: make it once and keep it for retries. */
export function newKey(): string {
  return (
    crypto.randomUUID?.() ??
    Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join("")
  );
}
