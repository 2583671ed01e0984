import { useInfiniteQuery } from "@tanstack/react-query";
import { ExternalLink } from "lucide-react";
import { answer, api } from "@/api/client";
import { CommunityFrame } from "@/feed/CommunityFrame";
import { day } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import type { Params } from "@/routing/router";
import { MoreButton } from "@/ui/MoreButton";
import { EmptyState, ErrorState, SkeletonList } from "@/ui/States";
import { Freshness } from "@/visa/Freshness";

/** The authorities' own pages, and whether they are still as they were. */
export default function LinksPage({ params }: { params: Params }) {
  const { t } = useI18n();
  return (
    <CommunityFrame slug={params.community ?? ""} current="links" title={t("feed.tab_links")}>
      {({ country, visa_type }) =>
        country ? (
          <List country={country} visaType={visa_type} />
        ) : (
          <EmptyState title={t("visa.only_visas")} />
        )
      }
    </CommunityFrame>
  );
}

function List({ country, visaType }: { country: string; visaType: string | null }) {
  const { t, language } = useI18n();
  const found = useInfiniteQuery({
    queryKey: ["official-links", country, visaType],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/official-links", {
          params: {
            query: {
              country,
              ...(visaType && { visa_type: visaType }),
              ...(pageParam && { cursor: pageParam }),
            },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  if (found.isPending) return <SkeletonList />;
  if (found.isError && items.length === 0)
    return <ErrorState error={found.error} onRetry={() => void found.refetch()} />;
  if (items.length === 0) return <EmptyState title={t("visa.no_links")} />;
  return (
    <div className="grid gap-4">
      <p className="text-ink-soft">{t("visa.links_lead")}</p>
      <ul className="grid gap-3">
        {items.map((link) => (
          <li key={link.url} className="card grid gap-1.5 p-4">
            <a
              href={link.url}
              target="_blank"
              rel="noreferrer"
              className="link inline-flex min-h-8 items-center gap-1.5 font-semibold break-all"
            >
              <ExternalLink size={17} aria-hidden="true" className="shrink-0" />
              {link.url.replace(/^https?:\/\/(www\.)?/, "")}
            </a>
            <p className="flex flex-wrap items-center gap-2 text-sm text-ink-soft">
              <Freshness link={link} />
              {link.last_changed_at && (
                <span>{t("visa.changed", { day: day(link.last_changed_at, language) })}</span>
              )}
            </p>
          </li>
        ))}
      </ul>
      <MoreButton list={found} />
    </div>
  );
}
