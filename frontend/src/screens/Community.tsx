import { useQuery } from "@tanstack/react-query";
import { Check, Lock, PenLine, Users } from "lucide-react";
import type { Schemas } from "@/api/client";
import { communityBySlug, useMembership } from "@/content/communities";
import { useCommunityName } from "@/content/names";
import { CommunityTabs } from "@/feed/CommunityTabs";
import { CountryParts } from "@/feed/CountryParts";
import { Feed } from "@/feed/Feed";
import type { FeedSort } from "@/feed/feedQuery";
import { SortChoice, useSort } from "@/feed/SortChoice";
import { useFeed } from "@/feed/useFeed";
import { compact } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { maybeTo, navigate, type Params, to } from "@/routing/router";
import { useSession } from "@/session/session";
import { PageHeading } from "@/shell/PageHeading";
import { Arch } from "@/ui/Avatar";
import { Button, ButtonLink } from "@/ui/Button";
import { refuse } from "@/ui/refuse";
import { EmptyState, ErrorState, SkeletonList } from "@/ui/States";
import { toast } from "@/ui/Toasts";

export default function CommunityPage({ params }: { params: Params }) {
  const slug = params.community ?? "";
  const community = useQuery(communityBySlug(slug));
  // Side by side with the community itself: neither waits for the other.
  const [sort, setSort] = useSort();
  const feed = useFeed(slug, sort);
  if (community.isPending) return <SkeletonList />;
  if (community.isError)
    return <ErrorState error={community.error} onRetry={() => void community.refetch()} />;
  return <CommunityView community={community.data} feed={feed} sort={sort} setSort={setSort} />;
}

function CommunityView({
  community,
  feed,
  sort,
  setSort,
}: {
  community: Schemas["CommunityAnswer"];
  feed: ReturnType<typeof useFeed>;
  sort: FeedSort;
  setSort: (sort: FeedSort) => void;
}) {
  const { t, language } = useI18n();
  const name = useCommunityName()(community);
  // Who may ask to come in is shown a private group, and nothing of what is in it.
  const isClosed = community.visibility === "private" && !community.stream;
  const compose = maybeTo("compose", { community: community.slug });
  return (
    <div className="mx-auto grid max-w-3xl gap-4">
      <header className="flex flex-wrap items-center gap-x-4 gap-y-3">
        <Arch country={community.country} name={community.name} large />
        <div className="min-w-0 flex-1 basis-44">
          <PageHeading title={name} className="text-2xl font-bold sm:text-3xl" />
          <p className="mt-0.5 flex items-center gap-1.5 text-sm text-ink-soft">
            <Users size={16} aria-hidden="true" />
            {t("feed.members", {
              count: community.member_count,
              shown: compact(community.member_count, language),
            })}
          </p>
        </div>
        <JoinButton community={community} />
      </header>
      <CountryParts community={community} />
      {!isClosed && <CommunityTabs community={community} current="posts" />}
      {isClosed ? (
        <EmptyState icon={<Lock size={36} strokeWidth={1.5} />} title={t("feed.closed_title")}>
          {t("feed.closed_text")}
        </EmptyState>
      ) : (
        <>
          <div className="flex flex-wrap items-center justify-between gap-3">
            <SortChoice sort={sort} onChange={setSort} />
            {compose && (
              <ButtonLink
                href={compose}
                look="primary"
                size="small"
                icon={<PenLine size={17} aria-hidden="true" />}
              >
                {t("feed.write")}
              </ButtonLink>
            )}
          </div>
          <Feed
            id={`${community.slug} ${sort}`}
            label={t("feed.posts_of", { name })}
            feed={feed}
            empty={<EmptyState title={t("feed.empty_title")}>{t("feed.empty_text")}</EmptyState>}
          />
        </>
      )}
    </div>
  );
}

function JoinButton({ community }: { community: Schemas["CommunityAnswer"] }) {
  const { t } = useI18n();
  const session = useSession();
  const { isJoined, isAsked, change } = useMembership(community);
  function press() {
    if (session.status !== "member") {
      navigate(to("register", {}, { next: to("community", { community: community.slug }) }));
      return;
    }
    change.mutate(!isJoined, {
      onSuccess: (isMember, join) => {
        if (join && !isMember) toast(t("feed.asked_to_join"));
      },
      onError: refuse,
    });
  }
  return (
    <Button
      look={isJoined ? "secondary" : "primary"}
      aria-pressed={isJoined}
      disabled={isAsked}
      onClick={press}
      icon={isJoined && <Check size={18} aria-hidden="true" />}
    >
      {t(
        isJoined
          ? "feed.joined"
          : isAsked
            ? "feed.asked"
            : community.joining === "request"
              ? "feed.ask_to_join"
              : "feed.join",
      )}
    </Button>
  );
}
