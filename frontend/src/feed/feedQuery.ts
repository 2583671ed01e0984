import { type InfiniteData, infiniteQueryOptions } from "@tanstack/react-query";
import { answer, api, type Post, type Schemas } from "@/api/client";

export type FeedSort = "hot" | "new" | "top";
export type FeedPages = InfiniteData<Schemas["PostPage"], unknown>;

const PAGE_POSTS = 25;

/** `community`: slug or id; null: everything the reader joined, for guests everything. */
export function feedQuery(community: string | null, sort: FeedSort) {
  return infiniteQueryOptions({
    queryKey: ["feed", community, sort],
    queryFn: ({ pageParam }) => {
      const query = {
        sort,
        window: "month" as const,
        limit: PAGE_POSTS,
        ...(pageParam && { cursor: pageParam }),
      };
      return community === null
        ? answer(api.GET("/api/v1/feeds/home", { params: { query } }))
        : answer(
            api.GET("/api/v1/communities/{community}/feed", {
              params: { path: { community }, query },
            }),
          );
    },
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    // A page never changes its order under the reader: it is read anew when they ask for it.
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** The same pages with one post changed in its place. */
export function withPost(pages: FeedPages, id: string, change: (post: Post) => Post): FeedPages {
  let hit = false;
  const changed = pages.pages.map((page) => {
    if (!page.items.some((post) => post.id === id)) return page;
    hit = true;
    return { ...page, items: page.items.map((post) => (post.id === id ? change(post) : post)) };
  });
  return hit ? { ...pages, pages: changed } : pages;
}

/** Every post once: what moved between two reads may be on both pages. */
export function postsOf(pages: FeedPages | undefined): Post[] {
  const seen = new Set<string>();
  return (pages?.pages ?? []).flatMap((page) =>
    page.items.filter((post) => !seen.has(post.id) && seen.add(post.id)),
  );
}
