import type { Community } from "@/api/client";
import { countryName } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";

/** A community's name with its country in the reader's language; groups keep the one they were given. */
export function useCommunityName(): (
  community: Pick<Community, "name" | "country" | "kind">,
) => string {
  const { language } = useI18n();
  return (community) => {
    if (!community.country || community.kind === "group") return community.name;
    const country = countryName(community.country, language);
    const visa = community.name.split(": ").slice(1).join(": ");
    return community.kind === "visa" && visa ? `${country} · ${visa}` : country;
  };
}
