import { useInfiniteQuery } from "@tanstack/react-query";
import { Landmark, MessageCircle, MessageSquareText } from "lucide-react";
import { answer, api, type Schemas } from "@/api/client";
import { MemberName } from "@/content/MemberName";
import { countryName, day, languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import type { MessageKey } from "@/i18n/sections";
import { Link } from "@/routing/Link";
import { useSearch } from "@/routing/router";
import { Filters, type Kind } from "@/search/Filters";
import { Marked } from "@/search/Marked";
import { SearchField } from "@/search/SearchField";
import { PageHeading } from "@/shell/PageHeading";
import { Badge } from "@/ui/Badge";
import { MoreButton } from "@/ui/MoreButton";
import { EmptyState, ErrorState, SkeletonList } from "@/ui/States";
import { Time } from "@/ui/Time";

const PAGE = 20;
const KINDS: Record<Exclude<Kind, "all">, [MessageKey, typeof Landmark]> = {
  post: ["search.post", MessageSquareText],
  comment: ["search.comment", MessageCircle],
  guide: ["search.guide", Landmark],
};

/** Posts, comments and guides by their words, or by what they mean. */
export default function SearchPage() {
  const { t, language } = useI18n();
  const [query, setQuery] = useSearch();
  const q = query.get("q") ?? "";
  const filters = {
    country: query.get("country") ?? undefined,
    visa_type: query.get("visa_type") ?? undefined,
    language: query.get("language") ?? undefined,
    kind: (query.get("kind") ?? "all") as Kind,
    sort: query.get("sort") === "new" ? ("new" as const) : ("relevance" as const),
    meaning: query.get("meaning") === "true" ? true : undefined,
  };
  const found = useInfiniteQuery({
    queryKey: ["search", q, filters],
    queryFn: ({ pageParam }) =>
      answer(
        api.GET("/api/v1/search", {
          params: {
            query: { q, ...filters, limit: PAGE, ...(pageParam && { cursor: pageParam }) },
          },
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    enabled: q !== "",
    placeholderData: (before) => before,
  });
  const first = found.data?.pages[0];
  const items = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="mx-auto grid max-w-3xl gap-5">
      <PageHeading title={t("shell.search")} className="text-2xl font-bold sm:text-3xl" />
      <SearchField value={q} onSearch={(next) => setQuery({ q: next })} />
      {q && <Filters facets={first?.facets} query={query} change={setQuery} />}
      {q && (
        <label className="flex min-h-11 items-center gap-3">
          <input
            type="checkbox"
            checked={filters.meaning ?? false}
            onChange={(event) => setQuery({ meaning: event.target.checked ? "true" : null })}
            className="size-5 accent-(--tile)"
          />
          {t("search.meaning")}
        </label>
      )}
      {!q && <EmptyState title={t("search.start_title")}>{t("search.start_text")}</EmptyState>}
      {q && found.isPending && <SkeletonList />}
      {found.isError && items.length === 0 && (
        <ErrorState error={found.error} onRetry={() => void found.refetch()} />
      )}
      {first && (
        <p role="status" className="text-sm text-ink-soft">
          {t("search.found", { count: first.total })}
        </p>
      )}
      {first && items.length === 0 && (
        <EmptyState title={t("search.none_title")}>{t("search.none_text")}</EmptyState>
      )}
      <ol className="grid">
        {items.map((item) => (
          <Result key={`${item.kind} ${item.id}`} item={item} language={language} />
        ))}
      </ol>
      <MoreButton list={found} />
    </div>
  );
}

function Result({ item, language }: { item: Schemas["SearchItem"]; language: string }) {
  const { t } = useI18n();
  const [label, Icon] = KINDS[item.kind];
  return (
    <li className="relative border-b border-line py-4">
      <p className="flex flex-wrap items-center gap-x-2 gap-y-1 text-sm text-ink-soft">
        <Badge
          tone={item.kind === "guide" ? "tile" : "plain"}
          icon={<Icon size={13} aria-hidden="true" />}
        >
          {t(label)}
        </Badge>
        {item.authority ? (
          <span>{item.authority}</span>
        ) : (
          item.author && <MemberName handle={item.author.handle} />
        )}
        {item.country && <span>{countryName(item.country, language)}</span>}
        {item.as_of ? (
          <span>{t("search.as_of", { day: day(item.as_of, language) })}</span>
        ) : (
          <Time at={item.created_at} />
        )}
        {item.stale && <Badge tone="clay">{t("search.stale")}</Badge>}
        {item.language !== language && item.language !== "und" && (
          <Badge>{languageName(item.language, language)}</Badge>
        )}
      </p>
      <h2 className="mt-1 text-lg leading-snug font-bold">
        <Link href={item.url} className="after:absolute after:inset-0 hover:text-tile">
          <Marked html={item.title_html || item.title} language={item.language} />
        </Link>
      </h2>
      <p className="mt-1 line-clamp-3 text-ink-soft">
        <Marked html={item.snippet_html} language={item.language} />
      </p>
    </li>
  );
}
