import { useInfiniteQuery, useQueryClient } from "@tanstack/react-query";
import { AtSign, Bell, DoorOpen, MessageCircle, Newspaper, Users } from "lucide-react";
import { answer, api, type Schemas } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import type { MessageKey } from "@/i18n/sections";
import { notificationsQuery } from "@/notifications/queries";
import { Link } from "@/routing/Link";
import { to } from "@/routing/router";
import { useSession } from "@/session/session";
import { PageHeading } from "@/shell/PageHeading";
import { Button, ButtonLink } from "@/ui/Button";
import { MoreButton } from "@/ui/MoreButton";
import { refuse } from "@/ui/refuse";
import { EmptyState, ErrorState, SkeletonList } from "@/ui/States";
import { Time } from "@/ui/Time";

type Notification = Schemas["Notification"];

const KINDS: Record<string, [MessageKey, typeof Bell]> = {
  reply: ["notifications.reply", MessageCircle],
  mention: ["notifications.mention", AtSign],
  thread: ["notifications.thread", MessageCircle],
  post: ["notifications.post", Newspaper],
  invitation: ["notifications.invitation", DoorOpen],
  join_request: ["notifications.join_request", Users],
  join_accepted: ["notifications.join_accepted", DoorOpen],
};

/** What happened while one was away; live, newest first. */
export default function NotificationsPage() {
  const { t } = useI18n();
  const session = useSession();
  const queries = useQueryClient();
  const found = useInfiniteQuery({ ...notificationsQuery(), enabled: session.status === "member" });
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  const newest = items[0];
  const unread = found.data?.pages[0]?.unread ?? 0;

  async function readAll() {
    if (!newest) return;
    try {
      await answer(api.PUT("/api/v1/notifications/read", { body: { up_to: newest.id } }));
      await queries.invalidateQueries({ queryKey: notificationsQuery().queryKey });
    } catch (error) {
      refuse(error);
    }
  }

  return (
    <div className="mx-auto grid max-w-3xl gap-4">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <PageHeading title={t("shell.notifications")} className="text-2xl font-bold sm:text-3xl" />
        {unread > 0 && (
          <Button onClick={() => void readAll()}>{t("notifications.read_all")}</Button>
        )}
      </div>
      {session.status === "guest" ? (
        <EmptyState
          icon={<Bell size={36} strokeWidth={1.5} />}
          title={t("notifications.guest_title")}
          action={
            <ButtonLink href={to("login", {}, { next: to("notifications") })} look="primary">
              {t("shell.sign_in")}
            </ButtonLink>
          }
        />
      ) : found.isPending ? (
        <SkeletonList />
      ) : found.isError && items.length === 0 ? (
        <ErrorState error={found.error} onRetry={() => void found.refetch()} />
      ) : items.length === 0 ? (
        <EmptyState
          icon={<Bell size={36} strokeWidth={1.5} />}
          title={t("notifications.none_title")}
        >
          {t("notifications.none_text")}
        </EmptyState>
      ) : (
        <ol className="grid gap-1">
          {items.map((item) => (
            <Item key={item.id} item={item} />
          ))}
        </ol>
      )}
      <MoreButton list={found} />
    </div>
  );
}

function Item({ item }: { item: Notification }) {
  const { t } = useI18n();
  const [label, Icon] = KINDS[item.kind] ?? ["notifications.other", Bell];
  const about = item.post_title ?? item.community?.name ?? "";
  return (
    <li className={`relative flex gap-3 rounded-xl p-3 ${item.read ? "" : "bg-tile-wash"}`}>
      <Icon size={22} aria-hidden="true" className="mt-0.5 shrink-0 text-tile" />
      <div className="min-w-0 flex-1">
        <Link href={target(item)} className="after:absolute after:inset-0">
          {!item.read && <span className="sr-only">{t("notifications.unread")} </span>}
          {t(label, {
            handle: item.actor ? `@${item.actor.handle}` : t("notifications.somebody"),
            count: item.count,
          })}
        </Link>
        {about && (
          <p dir="auto" className="truncate font-semibold">
            {about}
          </p>
        )}
        <p className="text-sm text-ink-soft">
          <Time at={item.created_at} />
        </p>
      </div>
    </li>
  );
}

function target(item: Notification): string {
  if (item.post_id && item.comment_id)
    return to("comment", { post: item.post_id, comment: item.comment_id });
  if (item.post_id) return to("thread", { post: item.post_id });
  if (item.community?.slug) return to("community", { community: item.community.slug });
  return to("notifications");
}
