import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { answer, api, type Comment, type Post, type Schemas, type Stream } from "@/api/client";
import { Problem } from "@/api/problem";
import { useI18n } from "@/i18n/i18n";
import type { LiveEvent } from "@/realtime/connection";
import { useStream } from "@/realtime/useStream";
import { useSession } from "@/session/session";
import { announce } from "@/ui/announce";
import { meeting, onSent, useUnsent } from "./outbox";
import { type CommentOrder, commentsNow, type Score, type Since } from "./tree";

type PostAnswer = Schemas["PostAnswer"];

const PAGE_COMMENTS = 200;
const BELOW_COMMENTS = 500;
const READ_MS = 2_000;
const NOTHING: Since = { comments: new Map(), scores: new Map(), below: new Map() };

export const postQuery = (id: string) => ({
  queryKey: ["post", id],
  queryFn: () => answer(api.GET("/api/v1/posts/{post_id}", { params: { path: { post_id: id } } })),
});

/**
 * A post and its comments, live: what is written meanwhile stands in its place, what was missed in a
 * break comes first when the connection is back, and where that is too much the page is read anew.
 */
export function useThread(id: string, order: CommentOrder) {
  const { t } = useI18n();
  const queries = useQueryClient();
  const session = useSession();
  const post = useQuery({ ...postQuery(id), staleTime: 0 });
  const pages = useInfiniteQuery({
    queryKey: ["comments", id, order],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/posts/{post_id}/comments", {
          params: {
            path: { post_id: id },
            query: { sort: order, limit: PAGE_COMMENTS, ...(pageParam && { cursor: pageParam }) },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    // Live events keep it true; read again only when they can't.
    staleTime: Number.POSITIVE_INFINITY,
  });
  const [since, setSince] = useState<Since>(NOTHING);
  const [arrived, setArrived] = useState<ReadonlySet<string>>(new Set());
  const [readers, setReaders] = useState(0);
  const [typing, setTyping] = useState<ReadonlyMap<string, string>>(new Map());
  const unsent = useUnsent(id);
  /** Unsent comments whose event was faster than the answer to their request, with their ids. */
  const [met, setMet] = useState<ReadonlyMap<string, string>>(new Map());
  const acknowledged = useRef(new Set<string>());

  const read = useMemo(() => pages.data?.pages.flatMap((page) => page.items) ?? [], [pages.data]);
  const comments = useMemo(() => commentsNow(read, since, order), [read, since, order]);
  const known = useRef<ReadonlySet<string>>(new Set());
  known.current = useMemo(() => new Set(comments.map((comment) => comment.id)), [comments]);

  const changePost = (how: (post: PostAnswer) => PostAnswer) =>
    queries.setQueryData(
      postQuery(id).queryKey,
      (before: PostAnswer | undefined) => before && how(before),
    );
  const take = (comment: Comment) =>
    setSince((before) => ({
      ...before,
      comments: new Map(before.comments).set(comment.id, comment),
    }));
  const stopTyping = (account: string) =>
    setTyping((before) => new Map([...before].filter(([other]) => other !== account)));

  function onEvent(event: LiveEvent) {
    if (event.type.startsWith("comment.")) {
      const comment = event.comment as Comment;
      const isNew = event.type === "comment.created" && !known.current.has(comment.id);
      take(comment);
      if (isNew && !acknowledged.current.has(comment.id)) {
        const item = meeting(unsent, comment, met);
        if (item) setMet((before) => new Map(before).set(item.key, comment.id));
      }
      if (comment.author) stopTyping(comment.author.id);
      if (isNew && comment.author?.id !== session.account?.id) {
        setArrived((before) => new Set(before).add(comment.id));
        announce(
          t("thread.arrived_from", { handle: comment.author?.handle ?? "" }),
          `comments ${id}`,
        );
      }
      if (isNew) changePost((before) => ({ ...before, comment_count: before.comment_count + 1 }));
    } else if (event.type === "post.updated" || event.type === "post.deleted") {
      changePost((before) => ({ ...before, ...(event.post as Post) }));
    } else if (event.type === "vote.changed") {
      const { up, down, score } = event as unknown as Score;
      if (event.kind === "post") changePost((before) => ({ ...before, up, down, score }));
      else
        setSince((before) => ({
          ...before,
          scores: new Map(before.scores).set(String(event.id), { up, down, score }),
        }));
    } else if (event.type === "presence.count") {
      setReaders(Number(event.count));
    } else if (event.type === "poll.changed") {
      void queries.invalidateQueries({ queryKey: ["poll", id] });
    } else if (event.type === "summary.ready") {
      void queries.invalidateQueries({ queryKey: ["summary", id] });
    } else if (event.type === "translation.ready") {
      void queries.invalidateQueries({ queryKey: ["translation", event.id] });
    } else if (event.type === "typing" && event.account_id !== session.account?.id) {
      const account = String(event.account_id);
      setTyping((before) => new Map(before).set(account, String(event.handle)));
      clearTimeout(ends.current.get(account));
      const ms = Number(event.expires_in ?? 5) * 1000;
      ends.current.set(
        account,
        setTimeout(() => stopTyping(account), ms),
      );
    }
  }
  const ends = useRef(new Map<string, ReturnType<typeof setTimeout>>());

  function onLost() {
    setSince(NOTHING);
    void post.refetch();
    void pages.refetch();
  }

  useStream(older(post.data?.stream, pages.data?.pages[0]?.stream), { onEvent, onLost });
  useEffect(
    () =>
      onSent((comment) => {
        if (comment.post_id !== id) return;
        acknowledged.current.add(comment.id);
        // Another with the same words may have been taken for it.
        setMet((before) => new Map([...before].filter(([, other]) => other !== comment.id)));
        setSince((before) => ({
          ...before,
          comments: new Map(before.comments).set(comment.id, comment),
        }));
      }),
    [id],
  );

  // How far the thread was read, for the counts elsewhere.
  const newest =
    comments
      .map((comment) => comment.id)
      .sort()
      .at(-1) ?? "";
  const isMember = session.status === "member";
  useEffect(() => {
    if (!newest || !isMember) return;
    const timer = setTimeout(() => {
      const params = { path: { post_id: id } };
      // Counts are an extra: where this fails they are a little too high.
      answer(
        api.PUT("/api/v1/posts/{post_id}/read", { params, body: { comment_id: newest } }),
      ).catch(Problem.from);
    }, READ_MS);
    return () => clearTimeout(timer);
  }, [newest, isMember, id]);

  async function showBelow(comment: Comment): Promise<void> {
    const page = await answer(
      api.GET("/api/v1/posts/{post_id}/comments", {
        params: {
          path: { post_id: id },
          query: { sort: order, parent_id: comment.id, limit: BELOW_COMMENTS },
        },
      }),
    );
    setSince((before) => ({
      ...before,
      below: new Map(before.below).set(comment.id, page.items),
    }));
  }

  return {
    post,
    pages,
    comments,
    arrived,
    seen: (comment: string) =>
      setArrived((before) =>
        before.has(comment) ? new Set([...before].filter((other) => other !== comment)) : before,
      ),
    readers,
    typing: [...typing.values()],
    unsent: unsent.filter((item) => item.state === "failed" || !met.has(item.key)),
    take,
    changePost,
    showBelow,
  };
}

/** Events twice do no harm; one that is missed would. */
function older(one: Stream | undefined, other: Stream | undefined): Stream | undefined {
  if (!one || !other) return undefined;
  return one.offset < other.offset ? one : other;
}
