import { CircleCheck, Lock, MessageCircle, Pin } from "lucide-react";
import { memo } from "react";
import type { Community, Post } from "@/api/client";
import { useCommunityName } from "@/content/names";
import { excerptOf } from "@/content/text";
import { Votes } from "@/content/Votes";
import { languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { maybeTo, to } from "@/routing/router";
import { Badge } from "@/ui/Badge";
import { Time } from "@/ui/Time";

/** One post of a feed. The whole card leads to the thread; what acts by itself lies above that. */
export const PostCard = memo(function PostCard({
  post,
  community,
  place,
}: {
  post: Post;
  /** Named where posts of several communities stand together. */
  community?: Pick<Community, "name" | "country" | "kind" | "slug">;
  place: number;
}) {
  const { t, language } = useI18n();
  const nameOf = useCommunityName();
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
      <p className="mb-1.5 flex flex-wrap items-center gap-x-2 gap-y-1 text-sm text-ink-soft">
        {community && (
          <Link
            href={to("community", { community: community.slug })}
            className="relative z-10 inline-flex min-h-6 items-center gap-1.5 font-semibold text-ink hover:underline"
          >
            {nameOf(community)}
          </Link>
        )}
        <span className="inline-flex flex-wrap items-center gap-x-2">
          {post.author && <bdi>@{post.author.handle}</bdi>}
          <span className="inline-flex gap-2">
            <span aria-hidden="true">·</span>
            <Time at={post.created_at} />
          </span>
        </span>
        {post.pinned && (
          <Badge tone="clay" icon={<Pin size={12} aria-hidden="true" />}>
            {t("feed.pinned")}
          </Badge>
        )}
        {post.locked && (
          <Badge icon={<Lock size={12} aria-hidden="true" />}>{t("feed.locked")}</Badge>
        )}
        {post.language !== language && post.language !== "und" && (
          <Badge>{languageName(post.language, language)}</Badge>
        )}
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
