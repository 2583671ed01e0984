/**
 * What is being written: kept in the browser with every pause, for the account that writes it, and on
 * the server a little later, so that it is there on another device and after a crash of this one.
 */
import { useEffect, useRef, useState } from "react";
import { answer, api, newKey, type Schemas } from "@/api/client";
import { Problem } from "@/api/problem";

export type Written = { title: string; body: string; tags: string[] };
type Sent = Pick<Schemas["Draft"], "title" | "body_markdown" | "tags"> & { community_id: string };
/** `key`: of the post. `first`: what the server's draft is made from, again and again until it answers. */
type Kept = {
  written: Written;
  key: string;
  draft: string | null;
  revision: number;
  first?: { key: string; body: Sent } | undefined;
};

export type Keeping = "nothing" | "here" | "server";

const PREFIX = "serai.post.";
const HERE_MS = 300;
const SERVER_MS = 2_500;
const EMPTY: Written = { title: "", body: "", tags: [] };

/** The key is that of the post that it will become: `renewKey` when it has become one. */
export function useDraft(account: string, community: string, start: Schemas["Draft"] | null) {
  const name = `${PREFIX}${account}.${start?.id ?? community}`;
  const [kept, setKept] = useState<Kept>(() => read(name, start));
  const [keeping, setKeeping] = useState<Keeping>(start ? "server" : "nothing");
  const latest = useRef(kept);
  latest.current = kept;
  const saving = useRef<Promise<void>>(Promise.resolve());
  const ended = useRef(false);
  const { written } = kept;
  const isEmpty = !written.title && !written.body && written.tags.length === 0;

  useEffect(() => {
    if (ended.current) return;
    const timer = setTimeout(() => {
      write(name, isEmpty ? null : kept);
      if (!isEmpty) setKeeping((before) => (before === "server" ? before : "here"));
    }, HERE_MS);
    return () => clearTimeout(timer);
  }, [name, isEmpty, kept]);

  const text = JSON.stringify(written);
  const savedText = useRef(start ? text : JSON.stringify(EMPTY));
  useEffect(() => {
    if (text === savedText.current || isEmpty) return;
    const timer = setTimeout(() => {
      saving.current = saving.current.then(() => newest.current(text));
    }, SERVER_MS);
    return () => clearTimeout(timer);
  }, [text, isEmpty]);

  async function save(saved: string): Promise<void> {
    if (ended.current) return;
    const { written } = latest.current;
    const body: Sent = {
      community_id: community,
      title: written.title.slice(0, 300),
      body_markdown: written.body,
      tags: written.tags,
    };
    try {
      let { draft, revision } = latest.current;
      if (draft === null) {
        const first = latest.current.first ?? { key: newKey(), body };
        setKept((before) => ({ ...before, first }));
        ({ id: draft, revision } = await answer(
          api.POST("/api/v1/me/drafts", {
            params: { header: { "Idempotency-Key": first.key } },
            body: { kind: "post", ...first.body },
          }),
        ));
        keep(draft, revision);
        if (JSON.stringify(first.body) === JSON.stringify(body)) return done(saved);
      }
      ({ revision } = await answer(
        api.PUT("/api/v1/me/drafts/{draft_id}", {
          params: { path: { draft_id: draft } },
          body: { revision, ...body },
        }),
      ));
      keep(draft, revision);
      done(saved);
    } catch (error) {
      const problem = Problem.from(error);
      // Changed on another device, or deleted there: this text becomes a draft of its own.
      if (problem.code === "conflict" || problem.code === "not_found") keep(null, 0);
      setKeeping("here");
    }
  }

  function keep(draft: string | null, revision: number): void {
    setKept((before) => ({ ...before, draft, revision, first: undefined }));
  }

  function done(saved: string): void {
    savedText.current = saved;
    setKeeping("server");
  }

  const newest = useRef(save);
  newest.current = save;

  return {
    written,
    postKey: kept.key,
    keeping: isEmpty ? "nothing" : keeping,
    change: (fields: Partial<Written>) =>
      setKept((before) => ({ ...before, written: { ...before.written, ...fields } })),
    renewKey: (key: string) => setKept((before) => ({ ...before, key })),
    /** After the post was made, or thrown away: nothing of it is kept. */
    async end(): Promise<void> {
      ended.current = true;
      write(name, null);
      await saving.current;
      const { draft } = latest.current;
      if (draft !== null)
        await answer(
          api.DELETE("/api/v1/me/drafts/{draft_id}", { params: { path: { draft_id: draft } } }),
        ).catch(Problem.from);
    },
  };
}

function read(name: string, start: Schemas["Draft"] | null): Kept {
  if (start)
    return {
      written: { title: start.title, body: start.body_markdown, tags: start.tags },
      key: newKey(),
      draft: start.id,
      revision: start.revision,
    };
  try {
    const kept = JSON.parse(localStorage.getItem(name) ?? "null") as Kept | null;
    if (kept?.written && kept.key) return kept;
  } catch {
    // Storage is off, or holds what this version can't read.
  }
  return { written: EMPTY, key: newKey(), draft: null, revision: 0 };
}

function write(name: string, kept: Kept | null): void {
  try {
    if (kept) localStorage.setItem(name, JSON.stringify(kept));
    else localStorage.removeItem(name);
  } catch {
    // Storage is off or full: the server's copy remains.
  }
}
