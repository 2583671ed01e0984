import { infiniteQueryOptions, useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { answer, api } from "@/api/client";
import { useOwnStream } from "@/realtime/useStream";
import { useSession } from "@/session/session";

const PAGE = 30;

export const notificationsQuery = () =>
  infiniteQueryOptions({
    queryKey: ["notifications"],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/notifications", {
          params: { query: { limit: PAGE, ...(pageParam && { cursor: pageParam }) } },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });

/** Keeps what the member's own stream tells of true, for as long as the frame is there. */
export function useOwnNews(): void {
  const session = useSession();
  const queries = useQueryClient();
  useOwnStream((event) => {
    if (event.type === "notification.created")
      void queries.invalidateQueries({ queryKey: notificationsQuery().queryKey });
    // Let into a group, or out of one: what it shows is another now.
    if (event.type === "membership.changed")
      for (const name of ["communities", "community", "feed", "office"])
        void queries.invalidateQueries({ queryKey: [name] });
  }, session.status === "member");
}

/** How many wait to be read. 0 for guests. */
export function useUnread(): number {
  const session = useSession();
  const isMember = session.status === "member";
  const found = useInfiniteQuery({ ...notificationsQuery(), enabled: isMember });
  return isMember ? (found.data?.pages[0]?.unread ?? 0) : 0;
}
