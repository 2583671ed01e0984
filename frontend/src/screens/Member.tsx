import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Bell, BellOff, UserRound } from "lucide-react";
import { answer, api, type Schemas } from "@/api/client";
import { Problem } from "@/api/problem";
import { useMuted } from "@/content/mutes";
import { PostCard } from "@/feed/PostCard";
import { monthName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import type { Params } from "@/routing/router";
import { useSession } from "@/session/session";
import { PageHeading } from "@/shell/PageHeading";
import { Avatar } from "@/ui/Avatar";
import { Button } from "@/ui/Button";
import { MoreButton } from "@/ui/MoreButton";
import { EmptyState, ErrorState, SkeletonList } from "@/ui/States";
import { toast } from "@/ui/Toasts";

type Member = Schemas["MemberView"];

/** What everybody sees of a member: who it is, since when, and what they wrote in public. */
export default function MemberPage({ params }: { params: Params }) {
  const { t, language } = useI18n();
  const session = useSession();
  const handle = params.handle ?? "";
  const member = useQuery({
    queryKey: ["member", handle],
    queryFn: () => answer(api.GET("/api/v1/members/{handle}", { params: { path: { handle } } })),
  });
  if (member.isPending) return <SkeletonList />;
  if (member.isError && Problem.from(member.error).code === "not_found")
    return (
      <EmptyState
        wholePage
        icon={<UserRound size={36} strokeWidth={1.5} />}
        title={t("member.nobody")}
      >
        {t("member.nobody_text")}
      </EmptyState>
    );
  if (member.isError)
    return <ErrorState error={member.error} onRetry={() => void member.refetch()} />;
  const { data } = member;
  const isOther = session.status === "member" && session.account.id !== data.id;
  return (
    <div className="mx-auto grid max-w-3xl gap-5">
      <div className="flex flex-wrap items-center gap-4">
        <Avatar handle={data.handle} size="large" />
        {/* Beside a long name there is no room for a button on a phone: it goes below. */}
        <div className="min-w-0 flex-1 basis-52 wrap-anywhere">
          <PageHeading title={`@${data.handle}`} className="text-2xl font-bold sm:text-3xl">
            <span dir="auto" className="block">
              {data.display_name}
            </span>
          </PageHeading>
          <p className="text-ink-soft">
            <bdi>@{data.handle}</bdi>
          </p>
          <p className="text-ink-soft">
            {t("member.since", { month: monthName(data.joined, language) })}
          </p>
        </div>
        {isOther && <Mute member={data} />}
      </div>
      <Posts member={data} />
    </div>
  );
}

function Mute({ member }: { member: Member }) {
  const { t } = useI18n();
  const { isMuted, isBusy, change } = useMuted(member, (muted) =>
    toast(t(muted ? "member.muted" : "member.unmuted", { handle: `@${member.handle}` })),
  );
  if (isMuted === undefined) return null;
  const Icon = isMuted ? Bell : BellOff;
  return (
    <Button
      busy={isBusy}
      icon={<Icon size={18} aria-hidden="true" />}
      onClick={() => change(!isMuted)}
    >
      {t(isMuted ? "member.unmute" : "member.mute")}
    </Button>
  );
}

function Posts({ member }: { member: Member }) {
  const { t } = useI18n();
  const { handle } = member;
  const found = useInfiniteQuery({
    queryKey: ["member", handle, "posts"],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/members/{handle}/posts", {
          params: { path: { handle }, query: pageParam ? { cursor: pageParam } : {} },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  const posts = found.data?.pages.flatMap((page) => page.items) ?? [];
  if (found.isPending) return <SkeletonList />;
  if (found.isError && posts.length === 0)
    return <ErrorState error={found.error} onRetry={() => void found.refetch()} />;
  if (posts.length === 0)
    return (
      <EmptyState title={t("member.no_posts")}>
        {t("member.no_posts_text", { handle: `@${handle}` })}
      </EmptyState>
    );
  return (
    <>
      <div role="feed" aria-label={t("member.posts", { handle: `@${handle}` })}>
        {posts.map((post, place) => (
          <PostCard key={post.id} post={post} named place={place + 1} />
        ))}
      </div>
      <MoreButton list={found} />
    </>
  );
}
