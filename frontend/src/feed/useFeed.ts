import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import type { Community, Post } from "@/api/client";
import { followCounters, type LiveEvent } from "@/realtime/connection";
import { useStream } from "@/realtime/useStream";
import { useSession } from "@/session/session";
import { type FeedSort, feedQuery, postsOf, withPost } from "./feedQuery";

/* A connection has at most 128 channels; others are the open page's and the member's own. */
const MOST_FOLLOWED = 60;
/* A gateway's page is five seconds old at most. */
const MOST_TRIES = 20;
const RETRY_MS = 300;

/**
 * A feed that is live without moving: counts change in their places, what is new is counted, and
 * `showNew` reads the feed again from its beginning. A home feed has no stream of its own: `joined`
 * are the communities whose counters tell of new posts.
 */
export function useFeed(community: string | null, sort: FeedSort, joined?: readonly Community[]) {
  const queries = useQueryClient();
  const session = useSession();
  const options = feedQuery(community, sort);
  const feed = useInfiniteQuery(options);
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set());
  const [lost, setLost] = useState(false);

  const change = (id: string, how: (post: Post) => Post) =>
    queries.setQueryData(options.queryKey, (pages) => pages && withPost(pages, id, how));

  const heard = useRef(0);
  function onEvent(event: LiveEvent, offset?: number) {
    heard.current = Math.max(heard.current, offset ?? 0);
    if (event.type === "post.created") {
      const post = event.post as Post;
      const known = postsOf(feed.data).some((item) => item.id === post.id);
      if (!known && post.author?.id !== session.account?.id)
        setFresh((ids) => new Set(ids).add(post.id));
    } else if (event.type === "post.updated" || event.type === "post.deleted") {
      const post = event.post as Post;
      // A removed post leaves its place to the reader: a line goes, the others stay.
      change(post.id, (known) => ({ ...known, ...post }));
      if (post.deleted) setFresh((ids) => new Set([...ids].filter((id) => id !== post.id)));
    } else if (event.type === "thread.activity") {
      change(String(event.post_id), (post) => ({
        ...post,
        comment_count: Number(event.comment_count),
      }));
    } else if (event.type === "vote.changed" && event.kind === "post") {
      const { up, down, score } = event as unknown as Pick<Post, "up" | "down" | "score">;
      change(String(event.id), (post) => ({ ...post, up, down, score }));
    }
  }

  useStream(feed.data?.pages[0]?.stream, { onEvent, onLost: () => setLost(true) });

  const [counted, setCounted] = useState(0);
  const followed = (joined ?? [])
    .slice(0, MOST_FOLLOWED)
    .map((item) => item.id)
    .join(" ");
  useEffect(() => {
    if (!followed) return;
    const onCount = (event: LiveEvent) => {
      if (event.type === "feed.activity") setCounted((count) => count + Number(event.new_posts));
    };
    const ends = followed
      .split(" ")
      .map((id) => followCounters(`community:${id}`, { onEvent: onCount, onLost: () => {} }));
    return () => {
      for (const end of ends) end();
    };
  }, [followed]);

  const { refetch } = feed;
  const showNew = useCallback(async () => {
    // Only the first page: those after it would be read against cursors of an order that is gone.
    queries.setQueryData(
      options.queryKey,
      (pages) =>
        pages && { pages: pages.pages.slice(0, 1), pageParams: pages.pageParams.slice(0, 1) },
    );
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const stream = (await refetch()).data?.pages[0]?.stream;
      // Another gateway may have answered, which has not heard yet of what this one told.
      if (!stream || stream.offset >= heard.current) break;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    heard.current = 0;
    setFresh(new Set());
    setCounted(0);
    setLost(false);
  }, [queries, refetch, options.queryKey]);

  return { ...feed, posts: postsOf(feed.data), fresh: fresh.size + counted, lost, showNew };
}
