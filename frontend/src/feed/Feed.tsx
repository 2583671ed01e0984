import { useWindowVirtualizer, type VirtualItem } from "@tanstack/react-virtual";
import { ArrowUp } from "lucide-react";
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useI18n } from "@/i18n/i18n";
import { announce } from "@/ui/announce";
import { Button, Spinner } from "@/ui/Button";
import { ErrorState, SkeletonList } from "@/ui/States";
import { scrolling } from "@/ui/scrolling";
import { PostCard } from "./PostCard";
import type { useFeed } from "./useFeed";

const ESTIMATED_PX = 190;
const NEAR_END = 6;
/* Heights of the cards of a feed that the reader left: coming back, everything stands where it was. */
const measured = new Map<string, VirtualItem[]>();

/** `id`: the same for the same list, so that coming back finds the place again. */
export function Feed({
  id,
  label,
  feed,
  named = false,
  empty,
}: {
  id: string;
  label: string;
  feed: ReturnType<typeof useFeed>;
  /** Posts say which community they are of. */
  named?: boolean;
  empty: ReactNode;
}) {
  const { t } = useI18n();
  const list = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const { posts, fresh, lost, hasNextPage, isFetchingNextPage, fetchNextPage } = feed;

  const virtualizer = useWindowVirtualizer({
    count: posts.length,
    estimateSize: () => ESTIMATED_PX,
    getItemKey: (index) => posts[index]?.id ?? index,
    overscan: 5,
    scrollMargin: top,
    initialMeasurementsCache: measured.get(id),
  });
  useLayoutEffect(() => {
    setTop(list.current?.offsetTop ?? 0);
  }, []);
  useEffect(() => () => void measured.set(id, virtualizer.measurementsCache), [id, virtualizer]);

  const rows = virtualizer.getVirtualItems();
  const last = rows.at(-1)?.index ?? 0;
  const isNearEnd = last >= posts.length - NEAR_END;
  const isStuck = feed.isFetchNextPageError;
  useEffect(() => {
    if (isNearEnd && hasNextPage && !isFetchingNextPage && !isStuck) void fetchNextPage();
  }, [isNearEnd, hasNextPage, isFetchingNextPage, isStuck, fetchNextPage]);

  const news = lost ? t("feed.newer") : fresh > 0 ? t("feed.new_posts", { count: fresh }) : "";
  useEffect(() => {
    if (news) announce(news, `new posts ${id}`);
  }, [news, id]);

  if (feed.isPending) return <SkeletonList />;
  if (feed.isError && posts.length === 0)
    return <ErrorState error={feed.error} onRetry={() => void feed.refetch()} />;
  return (
    <div ref={list}>
      {/* No height of its own: what it says must not push the posts down. */}
      <div className="sticky top-20 z-20 h-0">
        {news && (
          <div className="flex justify-center">
            <button
              type="button"
              onClick={() =>
                void feed.showNew().then(() => window.scrollTo({ top: 0, behavior: scrolling() }))
              }
              className="rise inline-flex min-h-11 items-center gap-2 rounded-full bg-lamp px-5 font-bold text-on-lamp shadow-card hover:brightness-105"
            >
              <ArrowUp size={18} aria-hidden="true" />
              {news}
            </button>
          </div>
        )}
      </div>
      {posts.length === 0 && empty}
      <div
        role="feed"
        aria-label={label}
        aria-busy={isFetchingNextPage}
        className="relative"
        style={{ height: virtualizer.getTotalSize() }}
      >
        {rows.map((row) => {
          const post = posts[row.index];
          if (!post) return null;
          return (
            <div
              key={row.key}
              ref={virtualizer.measureElement}
              data-index={row.index}
              className="absolute inset-x-0 top-0"
              style={{ transform: `translateY(${row.start - virtualizer.options.scrollMargin}px)` }}
            >
              <PostCard post={post} named={named} place={row.index + 1} />
            </div>
          );
        })}
      </div>
      <div className="flex min-h-16 items-center justify-center text-ink-soft">
        {isFetchingNextPage && <Spinner />}
        {isStuck && !isFetchingNextPage && (
          <Button onClick={() => void fetchNextPage()}>{t("shell.retry")}</Button>
        )}
      </div>
    </div>
  );
}
