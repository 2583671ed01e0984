/**
 * What is being written: kept in the browser with every pause, and on the server a little later, so
 * that it is there on another device and after a crash of this one.
 */
import { useEffect, useRef, useState } from "react";
import { answer, api, newKey, type Schemas } from "@/api/client";
import { Problem } from "@/api/problem";

export type Written = { title: string; body: string; tags: string[] };
type Kept = { written: Written; key: string; draft: string | null; revision: number };

export type Keeping = "nothing" | "here" | "server";

const PREFIX = "serai.post.";
const HERE_MS = 300;
const SERVER_MS = 2_500;
const EMPTY: Written = { title: "", body: "", tags: [] };

/** `community`: null while it is not known yet. The key is that of the post that it will become. */
export function useDraft(community: string | null, start: Schemas["Draft"] | null) {
  const name = PREFIX + (start?.id ?? community ?? "");
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
    if (community === null || text === savedText.current || isEmpty) return;
    const timer = setTimeout(() => {
      saving.current = saving.current.then(() => newest.current(text));
    }, SERVER_MS);
    return () => clearTimeout(timer);
  }, [text, community, isEmpty]);

  async function save(saved: string): Promise<void> {
    if (ended.current || community === null) return;
    const { written, draft, revision } = latest.current;
    const body = {
      community_id: community,
      title: written.title.slice(0, 300),
      body_markdown: written.body,
      tags: written.tags,
    };
    try {
      const answered =
        draft === null
          ? await answer(
              api.POST("/api/v1/me/drafts", {
                params: { header: { "Idempotency-Key": newKey() } },
                body: { kind: "post", ...body },
              }),
            )
          : await answer(
              api.PUT("/api/v1/me/drafts/{draft_id}", {
                params: { path: { draft_id: draft } },
                body: { revision, ...body },
              }),
            );
      savedText.current = saved;
      setKept((before) => ({ ...before, draft: answered.id, revision: answered.revision }));
      setKeeping("server");
    } catch (error) {
      const problem = Problem.from(error);
      // Changed on another device, or deleted there: this text becomes a draft of its own.
      if (problem.code === "conflict" || problem.code === "not_found")
        setKept((before) => ({ ...before, draft: null, revision: 0 }));
      setKeeping("here");
    }
  }

  const newest = useRef(save);
  newest.current = save;

  return {
    written,
    postKey: kept.key,
    keeping: isEmpty ? "nothing" : keeping,
    change: (fields: Partial<Written>) =>
      setKept((before) => ({ ...before, written: { ...before.written, ...fields } })),
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
