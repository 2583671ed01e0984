import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { Bookmark, FilePen, Trash2 } from "lucide-react";
import { answer, api } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { to } from "@/routing/router";
import { IconButton } from "@/ui/Button";
import { MoreButton } from "@/ui/MoreButton";
import { refuse } from "@/ui/refuse";
import { EmptyState, ErrorState, SkeletonList } from "@/ui/States";
import { Time } from "@/ui/Time";

/** Drafts of posts, on whichever device they were begun. */
export function Drafts() {
  const { t } = useI18n();
  const queries = useQueryClient();
  const found = useInfiniteQuery({
    queryKey: ["drafts"],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/me/drafts", {
          params: { query: pageParam ? { cursor: pageParam } : {} },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  const items = (found.data?.pages.flatMap((page) => page.items) ?? []).filter(
    (item) => item.kind === "post" && item.community_id !== null,
  );
  async function remove(id: string) {
    try {
      await answer(
        api.DELETE("/api/v1/me/drafts/{draft_id}", { params: { path: { draft_id: id } } }),
      );
      await queries.invalidateQueries({ queryKey: ["drafts"] });
    } catch (error) {
      refuse(error);
    }
  }
  if (found.isPending) return <SkeletonList items={2} />;
  if (found.isError) return <ErrorState error={found.error} onRetry={() => void found.refetch()} />;
  if (items.length === 0)
    return (
      <EmptyState icon={<FilePen size={36} strokeWidth={1.5} />} title={t("settings.no_drafts")}>
        {t("settings.no_drafts_text")}
      </EmptyState>
    );
  return (
    <ul className="grid">
      {items.map((draft) => (
        <li key={draft.id} className="flex items-center gap-3 border-b border-line py-3">
          <div className="min-w-0 flex-1">
            <Link
              href={to("compose", { community: draft.community_id ?? "" }, { draft: draft.id })}
              className="font-semibold hover:text-tile"
            >
              <span dir="auto">{draft.title || t("settings.untitled")}</span>
            </Link>
            <p dir="auto" className="truncate text-sm text-ink-soft">
              {draft.excerpt}
            </p>
            <p className="text-sm text-ink-soft">
              <Time at={draft.updated_at} />
            </p>
          </div>
          <IconButton
            label={t("settings.remove_draft", { title: draft.title || t("settings.untitled") })}
            onClick={() => void remove(draft.id)}
          >
            <Trash2 size={19} aria-hidden="true" />
          </IconButton>
        </li>
      ))}
    </ul>
  );
}

/** Posts and comments that the member keeps for later. */
export function Saves() {
  const { t } = useI18n();
  const found = useInfiniteQuery({
    queryKey: ["saves"],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/me/saves", {
          params: { query: pageParam ? { cursor: pageParam } : {} },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    staleTime: 0,
  });
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  if (found.isPending) return <SkeletonList items={2} />;
  if (found.isError) return <ErrorState error={found.error} onRetry={() => void found.refetch()} />;
  if (items.length === 0)
    return (
      <EmptyState icon={<Bookmark size={36} strokeWidth={1.5} />} title={t("settings.no_saves")}>
        {t("settings.no_saves_text")}
      </EmptyState>
    );
  return (
    <>
      <ul className="grid">
        {items.map((item) => (
          <li
            key={item.kind === "post" ? item.post.id : item.comment.id}
            className="border-b border-line py-3"
          >
            <Link
              href={
                item.kind === "post"
                  ? to("thread", { post: item.post.id })
                  : to("comment", { post: item.comment.post_id, comment: item.comment.id })
              }
              className="font-semibold hover:text-tile"
            >
              <span dir="auto">{item.kind === "post" ? item.post.title : item.post_title}</span>
            </Link>
            {item.kind === "comment" && (
              <p dir="auto" className="line-clamp-2 text-ink-soft">
                {item.comment.body_markdown}
              </p>
            )}
          </li>
        ))}
      </ul>
      <MoreButton list={found} />
    </>
  );
}
