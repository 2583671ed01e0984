import { countryName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Link } from "@/routing/Link";
import { to } from "@/routing/router";
import { Arch } from "@/ui/Avatar";

/* Where most people are on the way to; all others are one search away. */
const COUNTRIES = ["DE", "CA", "GB", "US", "AU", "ES", "AE", "NL", "JP", "PT"] as const;

export function Popular() {
  const { t, language } = useI18n();
  return (
    <section className="grid gap-4">
      <h2 className="text-xl font-bold">{t("landing.popular")}</h2>
      <ul className="grid grid-cols-2 gap-2.5 sm:grid-cols-3 lg:grid-cols-5">
        {COUNTRIES.map((code) => (
          <li key={code}>
            <Link
              href={to("community", { community: code.toLowerCase() })}
              className="card flex h-full min-h-16 items-center gap-3 px-3 py-2 font-semibold hover:border-tile hover:text-tile"
            >
              <Arch country={code} name={code} />
              <span className="min-w-0 hyphens-auto">{countryName(code, language)}</span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}
