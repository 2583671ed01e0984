import { useQuery } from "@tanstack/react-query";
import { joinedCommunities } from "@/content/communities";
import { Feed } from "@/feed/Feed";
import { SortChoice, useSort } from "@/feed/SortChoice";
import { useFeed } from "@/feed/useFeed";
import { useI18n } from "@/i18n/i18n";
import { to } from "@/routing/router";
import { PageHeading } from "@/shell/PageHeading";
import { ButtonLink } from "@/ui/Button";
import { EmptyState } from "@/ui/States";

export function Home() {
  const { t } = useI18n();
  const [sort, setSort] = useSort();
  const joined = useQuery(joinedCommunities());
  const feed = useFeed(null, sort, joined.data?.items);
  const byId = new Map(joined.data?.items.map((community) => [community.id, community]));
  return (
    <div className="mx-auto grid max-w-3xl gap-4">
      <div className="flex flex-wrap items-center justify-between gap-3">
        <PageHeading title={t("feed.home_title")} className="text-2xl font-bold sm:text-3xl" />
        <SortChoice sort={sort} onChange={setSort} />
      </div>
      <Feed
        id={`home ${sort}`}
        label={t("feed.home_title")}
        feed={feed}
        communityOf={(id) => byId.get(id)}
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
