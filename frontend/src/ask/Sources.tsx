import { Landmark, Users } from "lucide-react";
import { countryName, day, languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { to } from "@/routing/router";
import { Badge } from "@/ui/Badge";
import type { Source } from "./events";

/** What an answer stands on: who says it, how old it is, and the words themselves. */
export function Sources({ sources, shown }: { sources: readonly Source[]; shown: number | null }) {
  const { t, language } = useI18n();
  return (
    <section aria-labelledby="sources" className="grid gap-3">
      <h2 id="sources" className="text-xl font-bold">
        {t("ask.sources")}
      </h2>
      <ol className="grid gap-3">
        {sources.map((source) => (
          <li
            key={source.n}
            id={`source-${source.n}`}
            tabIndex={-1}
            className={`card p-4 ${shown === source.n ? "border-tile bg-tile-wash" : ""}`}
          >
            <p className="flex flex-wrap items-center gap-2 text-sm text-ink-soft">
              <span className="inline-flex size-7 items-center justify-center rounded-full bg-tile-wash font-bold text-tile">
                {source.n}
              </span>
              {source.authority === "official" ? (
                <Badge tone="tile" icon={<Landmark size={13} aria-hidden="true" />}>
                  {t("ask.official")}
                </Badge>
              ) : (
                <Badge icon={<Users size={13} aria-hidden="true" />}>{t("ask.community")}</Badge>
              )}
              {source.country && <span>{countryName(source.country, language)}</span>}
              {source.as_of && <span>{t("ask.as_of", { day: day(source.as_of, language) })}</span>}
              {source.stale && <Badge tone="clay">{t("ask.stale")}</Badge>}
              {source.language !== language && source.language !== "und" && (
                <Badge>{languageName(source.language, language)}</Badge>
              )}
            </p>
            <p className="mt-2 font-semibold">
              <Link href={hrefOf(source)} dir="auto" lang={source.language} className="link">
                {source.title}
              </Link>
            </p>
            <p dir="auto" lang={source.language} className="mt-1 line-clamp-4 text-ink-soft">
              {source.excerpt}
            </p>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** A guide's own page here comes first: it says how old it is, and leads on to the authority's. */
function hrefOf({ kind, id, url }: Source): string {
  return kind === "guide" ? to("guide", { guide: id }) : url;
}
