import { BadgeCheck, Clock } from "lucide-react";
import type { Schemas } from "@/api/client";
import { day } from "@/i18n/dates";
import { useI18n } from "@/i18n/i18n";
import { Badge } from "@/ui/Badge";

type LinkState = Schemas["LinkState"];

/** Whether an official page was reached lately, and when. */
export function Freshness({ link }: { link: LinkState }) {
  const { t, language } = useI18n();
  const checked = link.last_checked_at;
  if (link.freshness === "fresh" && checked)
    return (
      <Badge tone="leaf" icon={<BadgeCheck size={13} aria-hidden="true" />}>
        {t("visa.checked", { day: day(checked, language) })}
      </Badge>
    );
  if (link.status === "missing") return <Badge tone="danger">{t("visa.link_missing")}</Badge>;
  return (
    <Badge tone="clay" icon={<Clock size={13} aria-hidden="true" />}>
      {checked ? t("visa.stale_since", { day: day(checked, language) }) : t("visa.unchecked")}
    </Badge>
  );
}
