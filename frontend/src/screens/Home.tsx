import { useQuery } from "@tanstack/react-query";
import { joinedCommunities } from "@/content/communities";
import { Feed } from "@/feed/Feed";
import { SortChoice, useSort } from "@/feed/SortChoice";
import { useFeed } from "@/feed/useFeed";
import { useI18n } from "@/i18n/i18n";
import { to } from "@/routing/router";
import { PageHeading } from "@/shell/PageHeading";
import { ButtonLink } from "@/ui/Button";
import { EmptyState, SkeletonList } from "@/ui/States";

export function Home() {
  const { t } = useI18n();
  const [sort, setSort] = useSort();
  const joined = useQuery(joinedCommunities());
  const feed = useFeed(null, sort, joined.data?.items);
  // Who has joined nothing yet is shown everything, so that the inn is not empty on the first evening.
  if (joined.isPending) return <SkeletonList />;
  const isNew = joined.data?.items.length === 0;
  const title = t(isNew ? "feed.home_all_title" : "feed.home_title");
  return (
    <div className="mx-auto grid max-w-3xl gap-4">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <PageHeading title={title} className="text-2xl font-bold sm:text-3xl" />
        <SortChoice sort={sort} onChange={setSort} />
      </div>
      {isNew && (
        <p className="card flex flex-wrap items-center justify-between gap-3 bg-lamp-wash px-5 py-4">
          {t("feed.home_join_hint")}
          <ButtonLink href={to("explore")} look="primary" size="small">
            {t("shell.find_community")}
          </ButtonLink>
        </p>
      )}
      <Feed
        id={`home ${sort}`}
        label={title}
        feed={feed}
        named
        empty={
          <EmptyState
            title={t("feed.home_empty_title")}
            action={
              <ButtonLink href={to("explore")} look="primary">
                {t("shell.find_community")}
              </ButtonLink>
            }
          >
            {t("feed.home_empty_text")}
          </EmptyState>
        }
      />
    </div>
  );
}
