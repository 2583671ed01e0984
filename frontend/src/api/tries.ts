/** The tries of one thing that the member does, all with one Idempotency-Key. Pure. */
import { newKey } from "./client";
import { Problem } from "./problem";

/** `lost`: a try ended without its answer, so that the server may have done it. */
export type Tries = { key: string; lost: boolean };

export const firstTry = (): Tries => ({ key: newKey(), lost: false });

/**
 * What the next try is made with, and what to say. The server keeps no key of what it refused, so the
 * key stays: a new one after a lost answer would do it twice. Only where the server has done it as it
 * was before it was changed is the next try another thing; the problem is `sent_before` then.
 */
export function afterFailure(tries: Tries, problem: Problem): { tries: Tries; problem: Problem } {
  const { code, status, errors } = problem;
  if (tries.lost && code === "conflict" && errors.length === 0)
    return { tries: firstTry(), problem: new Problem({ code: "sent_before", status }) };
  // No status: there was no way to the server, or none back.
  return { tries: { ...tries, lost: tries.lost || status === 0 || status >= 500 }, problem };
}
