import type { Schemas } from "@/api/client";
import { countryName, languageName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Select } from "@/ui/Field";
import { Choices } from "@/ui/Tabs";

type Facets = Schemas["SearchFacets"];
export type Kind = "all" | "post" | "comment" | "guide";

/** What narrows a search; each list holds what was found, with how much of it. */
export function Filters({
  facets,
  query,
  change,
}: {
  facets: Facets | undefined;
  query: URLSearchParams;
  change: (changes: Record<string, string | null>) => void;
}) {
  const { t, language } = useI18n();
  const kind = (query.get("kind") ?? "all") as Kind;
  return (
    <div className="grid gap-3">
      <div className="flex flex-wrap items-center gap-3">
        <Choices
          label={t("search.kinds")}
          value={kind}
          onChange={(next) => change({ kind: next === "all" ? null : next })}
          options={[
            { id: "all", label: t("search.all") },
            { id: "post", label: t("search.posts") },
            { id: "comment", label: t("search.comments") },
            { id: "guide", label: t("search.guides") },
          ]}
        />
        <Choices
          label={t("feed.order")}
          value={query.get("sort") === "new" ? "new" : "relevance"}
          onChange={(next) => change({ sort: next === "new" ? "new" : null })}
          options={[
            { id: "relevance", label: t("search.relevance") },
            { id: "new", label: t("search.newest") },
          ]}
        />
      </div>
      <div className="grid grid-cols-2 gap-3 sm:grid-cols-3">
        <Facet
          label={t("search.country")}
          values={facets?.country}
          value={query.get("country")}
          nameOf={(code) => countryName(code, language)}
          onChange={(country) => change({ country })}
        />
        <Facet
          label={t("search.visa_type")}
          values={facets?.visa_type}
          value={query.get("visa_type")}
          nameOf={(code) => code.replaceAll("-", " ")}
          onChange={(visa_type) => change({ visa_type })}
        />
        <Facet
          label={t("shell.language")}
          values={facets?.language}
          value={query.get("language")}
          nameOf={(tag) => languageName(tag, language)}
          onChange={(tag) => change({ language: tag })}
        />
      </div>
    </div>
  );
}

function Facet({
  label,
  values = [],
  value,
  nameOf,
  onChange,
}: {
  label: string;
  values: Facets["country"] | undefined;
  value: string | null;
  nameOf: (value: string) => string;
  onChange: (value: string | null) => void;
}) {
  const { t } = useI18n();
  const missing = value !== null && !values.some((item) => item.value === value);
  return (
    <Select
      label={label}
      hideLabel
      value={value ?? ""}
      onChange={(event) => onChange(event.target.value || null)}
    >
      <option value="">{t("search.any", { what: label })}</option>
      {missing && <option value={value}>{nameOf(value)}</option>}
      {values.map((item) => (
        <option key={item.value} value={item.value}>
          {`${nameOf(item.value)} (${item.count})`}
        </option>
      ))}
    </Select>
  );
}
