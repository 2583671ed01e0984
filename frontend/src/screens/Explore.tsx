import { useInfiniteQuery } from "@tanstack/react-query";
import { Plus, Users } from "lucide-react";
import { useDeferredValue } from "react";
import { answer, api } from "@/api/client";
import { useCommunityName } from "@/content/names";
import { compact } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Picker } from "@/landing/Picker";
import { Link } from "@/routing/Link";
import { to, useSearch } from "@/routing/router";
import { PageHeading } from "@/shell/PageHeading";
import { Arch } from "@/ui/Avatar";
import { Button, ButtonLink } from "@/ui/Button";
import { Input } from "@/ui/Field";
import { EmptyState, ErrorState, SkeletonList } from "@/ui/States";

/** All communities: by the two questions of the front page, or by name. */
export default function Explore() {
  const { t, language } = useI18n();
  const nameOf = useCommunityName();
  const [query, setQuery] = useSearch();
  const q = useDeferredValue(query.get("q") ?? "");
  const found = useInfiniteQuery({
    queryKey: ["communities", "search", q],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/communities", {
          params: {
            query: { limit: 30, ...(q && { q }), ...(pageParam && { cursor: pageParam }) },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: (before) => before,
  });
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="grid gap-8 md:grid-cols-[22rem_1fr] md:items-start">
      <div className="grid gap-4 md:sticky md:top-24">
        <PageHeading title={t("shell.communities")} />
        <Picker />
        <ButtonLink
          href={to("group_new")}
          icon={<Plus size={18} aria-hidden="true" />}
          className="justify-self-start"
        >
          {t("landing.new_group")}
        </ButtonLink>
      </div>
      <section className="grid gap-4" aria-label={t("landing.all")}>
        <Input
          label={t("landing.by_name")}
          type="search"
          value={query.get("q") ?? ""}
          onChange={(event) => setQuery({ q: event.target.value })}
        />
        {found.isPending && <SkeletonList />}
        {found.isError && <ErrorState error={found.error} onRetry={() => void found.refetch()} />}
        {found.isSuccess && items.length === 0 && (
          <EmptyState title={t("landing.none_title")}>{t("landing.none_text")}</EmptyState>
        )}
        <ul className="grid gap-x-6 sm:grid-cols-2">
          {items.map((community) => (
            <li key={community.id} className="border-b border-line">
              <Link
                href={to("community", { community: community.slug })}
                className="flex min-h-16 items-center gap-3 py-2.5 hover:text-tile"
              >
                <Arch country={community.country} name={community.name} />
                <span className="min-w-0 flex-1 font-semibold">{nameOf(community)}</span>
                {community.member_count > 0 && (
                  <span className="flex items-center gap-1 text-sm text-ink-soft">
                    <Users size={15} aria-hidden="true" />
                    <span className="sr-only">
                      {t("landing.members", { count: community.member_count })}
                    </span>
                    <span aria-hidden="true">{compact(community.member_count, language)}</span>
                  </span>
                )}
              </Link>
            </li>
          ))}
        </ul>
        {found.hasNextPage && (
          <Button
            className="justify-self-center"
            busy={found.isFetchingNextPage}
            onClick={() => void found.fetchNextPage()}
          >
            {t("shell.more")}
          </Button>
        )}
      </section>
    </div>
  );
}
