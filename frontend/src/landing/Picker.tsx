import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { countries, visaTypes } from "@/content/communities";
import { countryName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { navigate, to } from "@/routing/router";
import { Button } from "@/ui/Button";
import { Combobox } from "@/ui/Combobox";
import { Select } from "@/ui/Field";

/** "Where are you going, and what for?": two questions to the right door. */
export function Picker() {
  const { t, language } = useI18n();
  const [country, setCountry] = useState<string | null>(null);
  const [community, setCommunity] = useState("");
  const directory = useQuery(countries());
  const visas = useQuery({ ...visaTypes(country ?? ""), enabled: country !== null });

  const options = useMemo(() => {
    const order = new Intl.Collator(language);
    return (directory.data?.items ?? [])
      .map((item) => ({
        id: item.code,
        label: countryName(item.code, language),
        // Typed in English it is found as well.
        also: `${item.name} ${item.code}`,
        lead: item.code,
        weight: item.visa_type_count,
      }))
      .sort((a, b) => b.weight - a.weight || order.compare(a.label, b.label));
  }, [directory.data, language]);

  return (
    <form
      className="card grid gap-4 p-5 shadow-card sm:p-6"
      onSubmit={(event) => {
        event.preventDefault();
        const slug = community || country?.toLowerCase();
        if (slug) navigate(to("community", { community: slug }));
      }}
    >
      <Combobox
        label={t("landing.where")}
        placeholder={t("landing.where_placeholder")}
        none={t("landing.where_none")}
        options={options}
        value={country}
        onChange={(code) => {
          setCountry(code);
          setCommunity("");
        }}
      />
      <Select
        label={t("landing.what_for")}
        value={community}
        disabled={country === null}
        onChange={(event) => setCommunity(event.target.value)}
      >
        <option value="">
          {t(country === null ? "landing.what_for_first" : "landing.what_for_any")}
        </option>
        {visas.data?.items.map((visa) => (
          <option key={visa.code} value={visa.community}>
            {visa.name}
            {visa.name_local ? ` · ${visa.name_local}` : ""}
          </option>
        ))}
      </Select>
      <Button
        type="submit"
        look="primary"
        disabled={country === null}
        className="mt-1 w-full text-lg"
      >
        {t("landing.enter")}
      </Button>
    </form>
  );
}
