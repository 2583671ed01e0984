import { CircleCheck, MessageCircle } from "lucide-react";
import { memo } from "react";
import type { Post } from "@/api/client";
import { CommunityName } from "@/content/CommunityName";
import { MemberName } from "@/content/MemberName";
import { PostBadges } from "@/content/PostBadges";
import { excerptOf } from "@/content/text";
import { Votes } from "@/content/Votes";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { maybeTo } from "@/routing/router";
import { Badge } from "@/ui/Badge";
import { Time } from "@/ui/Time";

/** One post of a feed. The whole card leads to the thread; what acts by itself lies above that. */
export const PostCard = memo(function PostCard({
  post,
  named,
  place,
}: {
  post: Post;
  /** Its community is, where posts of several stand together. */
  named: boolean;
  place: number;
}) {
  const { t } = useI18n();
  if (post.deleted)
    return (
      <article
        className="border-b border-line py-4 text-sm text-ink-soft"
        aria-posinset={place}
        aria-setsize={-1}
      >
        {t("feed.removed")}
      </article>
    );
  const href = maybeTo("thread", { post: post.id }) ?? "#";
  const title = `title-${post.id}`;
  return (
    <article
      aria-labelledby={title}
      aria-posinset={place}
      aria-setsize={-1}
      className="group relative border-b border-line py-5"
    >
      <p className="mb-1.5 flex flex-wrap items-center gap-x-2 gap-y-1 text-sm leading-6 text-ink-soft">
        {named && <CommunityName post={post} />}
        <span className="inline-flex flex-wrap items-center gap-x-2">
          {post.author && <MemberName handle={post.author.handle} />}
          <span className="inline-flex gap-2">
            <span aria-hidden="true">·</span>
            <Time at={post.created_at} />
          </span>
        </span>
        <PostBadges post={post} />
      </p>
      <h2 id={title} dir="auto" lang={post.language} className="text-xl leading-snug font-bold">
        <Link href={href} className="after:absolute after:inset-0 group-hover:text-tile">
          {post.title}
        </Link>
      </h2>
      <p dir="auto" lang={post.language} className="mt-1.5 line-clamp-2 text-ink-soft">
        {excerptOf(post)}
      </p>
      <div className="relative z-10 mt-3 flex w-fit flex-wrap items-center gap-3">
        <Votes kind="post" id={post.id} score={post.score} />
        <Link
          href={href}
          tabIndex={-1}
          className="inline-flex min-h-10 items-center gap-1.5 rounded-full px-2 text-sm font-semibold text-ink-soft hover:text-tile"
        >
          <MessageCircle size={18} aria-hidden="true" />
          {t("feed.comments", { count: post.comment_count })}
        </Link>
        {post.accepted_comment_id && (
          <Badge tone="leaf" icon={<CircleCheck size={14} aria-hidden="true" />}>
            {t("feed.answered")}
          </Badge>
        )}
      </div>
    </article>
  );
});
