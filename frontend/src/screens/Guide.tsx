import { useQuery } from "@tanstack/react-query";
import { ExternalLink, Landmark, TriangleAlert } from "lucide-react";
import { answer, api } from "@/api/client";
import { Prose } from "@/content/Prose";
import { countryName, day, languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import type { Params } from "@/routing/router";
import { PageHeading } from "@/shell/PageHeading";
import { Badge } from "@/ui/Badge";
import { ButtonLink } from "@/ui/Button";
import { ErrorState, SkeletonLines } from "@/ui/States";

/** What an authority says, as of a day, with the way to its own page. */
export default function GuidePage({ params }: { params: Params }) {
  const { t, language } = useI18n();
  const id = params.guide ?? "";
  const guide = useQuery({
    queryKey: ["guide", id],
    queryFn: () =>
      answer(api.GET("/api/v1/guides/{guide_id}", { params: { path: { guide_id: id } } })),
  });
  if (guide.isPending) return <SkeletonLines lines={8} />;
  if (guide.isError) return <ErrorState error={guide.error} onRetry={() => void guide.refetch()} />;
  const { data } = guide;
  return (
    <article className="mx-auto grid max-w-3xl gap-4">
      <p className="flex flex-wrap items-center gap-2 text-sm text-ink-soft">
        <Badge tone="tile" icon={<Landmark size={13} aria-hidden="true" />}>
          {t("search.guide")}
        </Badge>
        {data.country && <span>{countryName(data.country, language)}</span>}
        {data.language !== language && <Badge>{languageName(data.language, language)}</Badge>}
      </p>
      <PageHeading title={data.title} className="text-2xl font-bold sm:text-3xl">
        <span dir="auto" lang={data.language}>
          {data.title}
        </span>
      </PageHeading>
      <p className="text-ink-soft">
        {t("search.says", { authority: data.authority, day: day(data.as_of, language) })}
      </p>
      {data.stale && (
        <p className="flex items-center gap-2 rounded-xl bg-clay-wash p-3 text-clay">
          <TriangleAlert size={20} aria-hidden="true" className="shrink-0" />
          {t("search.stale_long", { day: day(data.last_checked, language) })}
        </p>
      )}
      <Prose html={data.body_html} language={data.language} />
      <ButtonLink
        href={data.source_url}
        target="_blank"
        rel="noreferrer"
        className="justify-self-start"
        icon={<ExternalLink size={18} aria-hidden="true" />}
      >
        {t("search.official_page")}
      </ButtonLink>
    </article>
  );
}
