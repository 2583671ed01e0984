import { useQuery, useQueryClient } from "@tanstack/react-query";
import {
  Bell,
  BellOff,
  Bookmark,
  CircleCheck,
  Ellipsis,
  Link2,
  Pencil,
  Trash2,
} from "lucide-react";
import { useState } from "react";
import { answer, api, type Post, type Schemas } from "@/api/client";
import { communityBySlug } from "@/content/communities";
import { MemberName } from "@/content/MemberName";
import { setMark, useMark } from "@/content/marks";
import { useCommunityName } from "@/content/names";
import { PostBadges } from "@/content/PostBadges";
import { Prose } from "@/content/Prose";
import { Votes } from "@/content/Votes";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { maybeTo, navigate, to } from "@/routing/router";
import { useSession } from "@/session/session";
import { PageHeading } from "@/shell/PageHeading";
import { Avatar } from "@/ui/Avatar";
import { Badge } from "@/ui/Badge";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Menu, type MenuItem } from "@/ui/Menu";
import { refuse } from "@/ui/refuse";
import { Time } from "@/ui/Time";
import { toast } from "@/ui/Toasts";
import { copyLink, setSaved } from "./keeping";
import { PollBox } from "./PollBox";
import { Translated } from "./Translated";

const ICON = { size: 18, "aria-hidden": true } as const;

/** The post that a thread is about. */
export function PostArticle({
  post,
  onJump,
}: {
  post: Schemas["PostAnswer"];
  onJump: (comment: string) => void;
}) {
  const { t } = useI18n();
  const community = useQuery(communityBySlug(post.community_id));
  const nameOf = useCommunityName();
  const where = community.data;
  return (
    <article className="grid gap-3">
      <p className="flex flex-wrap items-center gap-x-2 gap-y-1 text-sm text-ink-soft">
        {where && (
          <Link
            href={to("community", { community: where.slug })}
            className="inline-flex min-h-8 items-center font-semibold text-tile hover:underline"
          >
            {nameOf(where)}
          </Link>
        )}
        <PostBadges post={post} />
      </p>
      <PageHeading
        title={post.deleted ? t("feed.removed") : post.title}
        className="text-2xl font-bold sm:text-3xl"
      >
        {post.deleted ? undefined : (
          <span dir="auto" lang={post.language} className="block">
            {post.title}
          </span>
        )}
      </PageHeading>
      {post.author && (
        <p className="flex flex-wrap items-center gap-2 text-sm text-ink-soft">
          <Avatar handle={post.author.handle} size="small" />
          <MemberName handle={post.author.handle} className="font-semibold text-ink" />
          <Time at={post.created_at} />
          {post.edited_at && <span>{t("thread.edited")}</span>}
        </p>
      )}
      {post.deleted ? (
        <p className="text-ink-soft">{post.deleted_reason ?? t("thread.deleted")}</p>
      ) : (
        <>
          <Prose html={post.body_html} language={post.language} />
          {post.translatable && <Translated kind="post" id={post.id} from={post.language} />}
          {post.poll && <PollBox post={post.id} poll={post.poll} closed={post.locked} />}
          {post.tags.length > 0 && (
            <ul className="flex flex-wrap gap-1.5">
              {post.tags.map((tag) => (
                <li key={tag}>
                  <Badge>#{tag}</Badge>
                </li>
              ))}
            </ul>
          )}
          <div className="flex flex-wrap items-center gap-2">
            <Votes kind="post" id={post.id} score={post.score} />
            {post.accepted_comment_id && (
              <Button
                size="small"
                className="min-h-10"
                icon={<CircleCheck {...ICON} className="text-leaf" />}
                onClick={() => post.accepted_comment_id && onJump(post.accepted_comment_id)}
              >
                {t("thread.to_accepted")}
              </Button>
            )}
            <PostMenu post={post} />
          </div>
        </>
      )}
    </article>
  );
}

function PostMenu({ post }: { post: Post }) {
  const { t } = useI18n();
  const session = useSession();
  const queries = useQueryClient();
  const { saved, followed } = useMark(post.id);
  const [removing, setRemoving] = useState(false);
  const isMember = session.status === "member";

  async function follow(wanted: boolean) {
    setMark(post.id, { followed: wanted });
    try {
      const params = { path: { post_id: post.id } };
      await answer(
        api.PUT("/api/v1/posts/{post_id}/follow", {
          params,
          body: { level: wanted ? "all" : "none" },
        }),
      );
      toast(t(wanted ? "thread.followed" : "thread.unfollowed"));
    } catch (error) {
      setMark(post.id, { followed: !wanted });
      refuse(error);
    }
  }

  async function remove() {
    setRemoving(false);
    try {
      await answer(
        api.DELETE("/api/v1/posts/{post_id}", { params: { path: { post_id: post.id } } }),
      );
      await queries.invalidateQueries({ queryKey: ["feed"] });
      navigate(to("community", { community: post.community_id }), { replace: true });
    } catch (error) {
      refuse(error);
    }
  }

  const items: MenuItem[] = [
    {
      kind: "action",
      label: t("thread.copy_link"),
      icon: <Link2 {...ICON} />,
      onSelect: () => void copyLink("thread", { post: post.id }, t),
    },
  ];
  if (isMember)
    items.push(
      {
        kind: "action",
        label: t(saved ? "thread.unsave" : "thread.keep"),
        icon: <Bookmark {...ICON} fill={saved ? "currentColor" : "none"} />,
        onSelect: () => void setSaved("post", post.id, !saved, t),
      },
      {
        kind: "action",
        label: t(followed ? "thread.unfollow" : "thread.follow"),
        icon: followed ? <BellOff {...ICON} /> : <Bell {...ICON} />,
        onSelect: () => void follow(!followed),
      },
    );
  if (post.author && post.author.id === session.account?.id) {
    const edit = maybeTo("edit", { post: post.id });
    if (edit)
      items.push({ kind: "link", href: edit, icon: <Pencil {...ICON} />, label: t("thread.edit") });
    items.push({
      kind: "action",
      label: t("thread.delete"),
      icon: <Trash2 {...ICON} />,
      danger: true,
      onSelect: () => setRemoving(true),
    });
  }
  return (
    <>
      <Menu
        label={t("thread.more")}
        trigger={<Ellipsis size={20} aria-hidden="true" />}
        items={items}
        align="start"
        className="inline-flex size-10 items-center justify-center rounded-full bg-sunken text-ink-soft hover:text-ink"
      />
      <Dialog open={removing} title={t("thread.delete_title")} onClose={() => setRemoving(false)}>
        <p>{t("thread.delete_text")}</p>
        <span className="flex justify-end gap-2">
          <Button onClick={() => setRemoving(false)}>{t("thread.cancel")}</Button>
          <Button look="danger" onClick={() => void remove()}>
            {t("thread.delete")}
          </Button>
        </span>
      </Dialog>
    </>
  );
}
