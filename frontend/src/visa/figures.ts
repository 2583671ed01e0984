import type { Schemas } from "@/api/client";
import { integer } from "@/i18n/dates";
import type { Translate } from "@/i18n/i18n";

export function percent(part: number, language: string): string {
  return `${integer(Math.round(part * 100), language)} %`;
}

/** "60 to 110 days with 95 % confidence", also where the band does not reach one of them. */
export function band(bounds: Schemas["DayBounds"], t: Translate, language: string): string {
  const bound = (days: number | null) =>
    days === null ? t("visa.unknown") : integer(days, language);
  return t("visa.band", { lower: bound(bounds.lower_days), upper: bound(bounds.upper_days) });
}
