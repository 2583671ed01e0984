import { ArrowDown } from "lucide-react";
import { type ReactNode, useCallback, useMemo, useRef, useState } from "react";
import { answer, api, type Comment, type Schemas } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import { useSession } from "@/session/session";
import { MoreButton } from "@/ui/MoreButton";
import { refuse } from "@/ui/refuse";
import { ErrorState, SkeletonList } from "@/ui/States";
import { scrolling } from "@/ui/scrolling";
import { Choices } from "@/ui/Tabs";
import { CommentForm } from "./CommentForm";
import { CommentItem } from "./CommentItem";
import type { Unsent } from "./outbox";
import { Readers } from "./Readers";
import { type CommentOrder, countBelow, unfolded } from "./tree";
import { UnsentComment } from "./UnsentComment";
import type { useThread } from "./useThread";

/** The comments of a thread, with the form for one more. */
export function Discussion({
  thread,
  post,
  order,
  setOrder,
  target,
}: {
  thread: ReturnType<typeof useThread>;
  post: Schemas["PostAnswer"];
  order: CommentOrder;
  setOrder: (order: CommentOrder) => void;
  /** The comment that the reader's link was about. */
  target: string | undefined;
}) {
  const { t } = useI18n();
  const session = useSession();
  const [folded, setFolded] = useState<ReadonlySet<string>>(new Set());
  const { comments, pages, unsent, arrived } = thread;
  const closed = post.locked || post.deleted;

  const latest = useRef(thread);
  latest.current = thread;
  const onSeen = useCallback((id: string) => latest.current.seen(id), []);
  const onShowBelow = useCallback((comment: Comment) => latest.current.showBelow(comment), []);
  const onChanged = useCallback((comment: Comment) => latest.current.take(comment), []);
  const toggle = useCallback(
    (id: string) =>
      setFolded((before) => {
        const next = new Set(before);
        if (!next.delete(id)) next.add(id);
        return next;
      }),
    [],
  );
  const onAccept = useCallback(
    async (id: string | null) => {
      try {
        const params = { path: { post_id: post.id } };
        const changed = await (id === null
          ? answer(api.DELETE("/api/v1/posts/{post_id}/accepted", { params }))
          : answer(
              api.PUT("/api/v1/posts/{post_id}/accepted", { params, body: { comment_id: id } }),
            ));
        latest.current.changePost((before) => ({
          ...before,
          ...changed,
          stream: before.stream,
          translatable: before.translatable,
        }));
      } catch (error) {
        refuse(error);
      }
    },
    [post.id],
  );

  const below = useMemo(
    () => new Map(comments.map((comment, at) => [comment.id, countBelow(comments, at)])),
    [comments],
  );
  const shown = useMemo(() => unfolded(comments, folded), [comments, folded]);
  const unseen = shown.filter((comment) => arrived.has(comment.id));
  const first = unseen[0];
  const mayAccept = post.author !== null && post.author.id === session.account?.id && !closed;
  // Answers to what is folded away or not loaded stand here too: who wrote them must find them.
  const visible = new Set(shown.map((comment) => comment.id));
  const top = unsent.filter((item) => item.parent === null || !visible.has(item.parent));

  if (pages.isPending) return <SkeletonList items={3} />;
  if (pages.isError && comments.length === 0)
    return <ErrorState error={pages.error} onRetry={() => void pages.refetch()} />;

  const rows: ReactNode[] = [];
  shown.forEach((comment, at) => {
    const under = below.get(comment.id) ?? 0;
    rows.push(
      <CommentItem
        key={comment.id}
        comment={comment}
        asker={post.author?.id}
        accepted={comment.id === post.accepted_comment_id}
        mayAccept={mayAccept && !comment.deleted}
        closed={closed}
        translatable={post.translatable === true}
        fold={under > 0 ? { folded: folded.has(comment.id), below: under, toggle } : null}
        isNew={arrived.has(comment.id)}
        isTarget={comment.id === target}
        onSeen={onSeen}
        onShowBelow={onShowBelow}
        onChanged={onChanged}
        onAccept={onAccept}
      />,
    );
    rows.push(...answersEndingAt(shown, at, unsent));
  });

  return (
    <section aria-label={t("thread.discussion")} className="grid gap-4">
      <div className="flex flex-wrap items-center justify-between gap-3 border-t border-line pt-4">
        <h2 className="text-xl font-bold">
          {t("feed.comments", { count: Math.max(post.comment_count, comments.length) })}
        </h2>
        {comments.length > 1 && (
          <Choices
            label={t("feed.order")}
            value={order}
            onChange={setOrder}
            options={[
              { id: "best", label: t("thread.best") },
              { id: "new", label: t("thread.new") },
              { id: "old", label: t("thread.old") },
            ]}
          />
        )}
      </div>
      <ol className="branches">
        {order === "new" &&
          top.map((item) => <UnsentComment key={item.key} item={item} depth={0} />)}
        {rows}
        {order !== "new" &&
          top.map((item) => <UnsentComment key={item.key} item={item} depth={0} />)}
      </ol>
      {comments.length === 0 && top.length === 0 && (
        <p className="py-4 text-ink-soft">{t("thread.none")}</p>
      )}
      <MoreButton list={pages} label={t("thread.more_comments")} />
      <Readers readers={thread.readers} typing={thread.typing} />
      {post.deleted ? null : post.locked ? (
        <p className="card p-4 text-ink-soft">{t("thread.locked")}</p>
      ) : (
        <CommentForm post={post.id} label={t("thread.your_comment")} />
      )}
      {first && (
        <div className="pointer-events-none fixed inset-x-0 bottom-20 z-20 flex justify-center md:bottom-6">
          <button
            type="button"
            className="rise pointer-events-auto inline-flex min-h-11 items-center gap-2 rounded-full bg-lamp px-5 font-bold text-on-lamp shadow-card"
            onClick={() =>
              document
                .getElementById(`comment-${first.id}`)
                ?.scrollIntoView({ block: "center", behavior: scrolling() })
            }
          >
            <ArrowDown size={18} aria-hidden="true" />
            {t("thread.new_comments", { count: unseen.length })}
          </button>
        </div>
      )}
    </section>
  );
}

/** Unsent answers whose place is after this row: where the branch of what they answer ends. */
function answersEndingAt(shown: readonly Comment[], at: number, unsent: readonly Unsent[]) {
  const next = shown[at + 1]?.depth ?? 0;
  const found: ReactNode[] = [];
  let depth = Number.POSITIVE_INFINITY;
  for (let above = at; above >= 0 && depth > next; above -= 1) {
    const comment = shown[above];
    if (!comment || comment.depth >= depth) continue;
    depth = comment.depth;
    if (depth < next) break;
    for (const item of unsent)
      if (item.parent === comment.id)
        found.push(<UnsentComment key={item.key} item={item} depth={depth + 1} />);
  }
  return found;
}
