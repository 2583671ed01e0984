import { useQuery } from "@tanstack/react-query";
import type { Community } from "@/api/client";
import { communitiesOfCountry } from "@/content/communities";
import { countryName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { to } from "@/routing/router";

const LOOK =
  "inline-flex min-h-10 items-center rounded-full border border-line bg-raised px-4 text-sm font-semibold whitespace-nowrap hover:border-tile hover:text-tile";

/** From a country to its visa types and back: who came by the country alone finds the right room. */
export function CountryParts({ community }: { community: Community }) {
  const { t, language } = useI18n();
  const country = community.country ?? "";
  const isCountry = community.kind === "country";
  const all = useQuery({ ...communitiesOfCountry(country), enabled: isCountry });
  if (!country) return null;
  if (!isCountry)
    return (
      <Link
        href={to("community", { community: country.toLowerCase() })}
        className={`${LOOK} w-fit`}
      >
        {t("feed.whole_country", { country: countryName(country, language) })}
      </Link>
    );
  const parts = all.data?.items.filter((item) => item.kind === "visa") ?? [];
  if (parts.length === 0) return null;
  return (
    <nav
      aria-label={t("feed.purposes")}
      className="-mx-4 overflow-x-auto px-4 pb-1 sm:mx-0 sm:px-0"
    >
      <ul className="flex gap-2 sm:flex-wrap">
        {parts.map((part) => (
          <li key={part.id}>
            <Link href={to("community", { community: part.slug })} className={LOOK}>
              {part.name.split(": ").slice(1).join(": ")}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}
