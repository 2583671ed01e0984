import { useQuery } from "@tanstack/react-query";
import { ArrowUp } from "lucide-react";
import { useEffect, useRef } from "react";
import { answer, api } from "@/api/client";
import { MemberName } from "@/content/MemberName";
import { Prose } from "@/content/Prose";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { navigate, type Params, to, useSearch } from "@/routing/router";
import { Discussion } from "@/thread/Discussion";
import { PostArticle } from "@/thread/PostArticle";
import { Summary } from "@/thread/Summary";
import type { CommentOrder } from "@/thread/tree";
import { useThread } from "@/thread/useThread";
import { Badge } from "@/ui/Badge";
import { ErrorState, SkeletonList } from "@/ui/States";
import { Time } from "@/ui/Time";

const ORDERS: readonly CommentOrder[] = ["best", "new", "old"];
const CONTEXT = 3;

/** A post and its comments; with `comment` in the address, that one is shown first. */
export default function ThreadPage({ params }: { params: Params }) {
  const id = params.post ?? "";
  const [query, setQuery] = useSearch();
  const asked = query.get("sort") as CommentOrder | null;
  const order = asked !== null && ORDERS.includes(asked) ? asked : "best";
  const thread = useThread(id, order);
  const { post, comments, pages } = thread;

  const moved = post.data?.moved_to;
  useEffect(() => {
    if (moved && moved !== id) navigate(to("thread", { post: moved }), { replace: true });
  }, [moved, id]);

  const isThere = comments.some((comment) => comment.id === params.comment);
  // Comments may be here before their post: until then nothing of them is on the page.
  const isShown = isThere && post.isSuccess;
  const shown = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (!isShown || !params.comment || shown.current === params.comment) return;
    shown.current = params.comment;
    jumpTo(params.comment);
  }, [isShown, params.comment]);

  if (post.isPending) return <SkeletonList items={3} />;
  if (post.isError) return <ErrorState error={post.error} onRetry={() => void post.refetch()} />;
  return (
    <div className="mx-auto grid max-w-3xl gap-6">
      <PostArticle post={post.data} onJump={jumpTo} />
      <Summary post={id} comments={post.data.comment_count} />
      {params.comment && pages.isSuccess && !isThere && (
        <Branch post={id} comment={params.comment} />
      )}
      <Discussion
        thread={thread}
        post={post.data}
        order={order}
        setOrder={(next) => setQuery({ sort: next === "best" ? null : next })}
        target={params.comment}
      />
    </div>
  );
}

function jumpTo(comment: string): void {
  const element = document.getElementById(`comment-${comment}`);
  if (!element) return;
  element.scrollIntoView({ block: "center" });
  element.querySelector<HTMLElement>("article[tabindex]")?.focus({ preventScroll: true });
}

/** A linked comment that is not on the first page, with what it answers. */
function Branch({ post, comment }: { post: string; comment: string }) {
  const { t } = useI18n();
  const found = useQuery({
    queryKey: ["comment", comment],
    queryFn: () =>
      answer(
        api.GET("/api/v1/comments/{comment_id}", {
          params: { path: { comment_id: comment }, query: { context: CONTEXT } },
        }),
      ),
  });
  if (found.isPending) return null;
  if (found.isError) return <ErrorState error={found.error} />;
  return (
    <section aria-label={t("thread.linked")} className="card grid gap-3 p-4">
      <h2 className="text-lg font-bold">{t("thread.linked")}</h2>
      {[...found.data.context, found.data].map((item) => (
        <div
          key={item.id}
          className={
            item.id === found.data.id
              ? "rounded-xl bg-lamp-wash p-3"
              : "border-s-2 border-line ps-3"
          }
        >
          <p className="flex flex-wrap items-center gap-2 text-sm text-ink-soft">
            {item.author && (
              <MemberName handle={item.author.handle} className="font-semibold text-ink" />
            )}
            <Time at={item.created_at} />
            {item.deleted && <Badge>{t("thread.deleted")}</Badge>}
          </p>
          <Prose html={item.body_html} language={item.language} />
        </div>
      ))}
      <Link
        href={to("thread", { post })}
        className="link inline-flex min-h-11 items-center gap-1.5 justify-self-start"
      >
        <ArrowUp size={16} aria-hidden="true" />
        {t("thread.whole")}
      </Link>
    </section>
  );
}
