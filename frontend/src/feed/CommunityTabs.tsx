import type { Community } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import type { MessageKey } from "@/i18n/sections";
import { maybeTo } from "@/routing/router";
import { LinkTabs } from "@/ui/Tabs";

/** What a community has, as far as this build has pages for it; visa tools only where there is a visa. */
const TABS: readonly { id: string; page: string; label: MessageKey; visaOnly?: boolean }[] = [
  { id: "posts", page: "community", label: "feed.tab_posts" },
  { id: "timelines", page: "timelines", label: "feed.tab_timelines", visaOnly: true },
  { id: "statistics", page: "statistics", label: "feed.tab_statistics", visaOnly: true },
  { id: "checklist", page: "checklist", label: "feed.tab_checklist", visaOnly: true },
  { id: "links", page: "links", label: "feed.tab_links", visaOnly: true },
  { id: "members", page: "members", label: "feed.tab_members" },
];

export function CommunityTabs({ community, current }: { community: Community; current: string }) {
  const { t } = useI18n();
  const tabs = TABS.flatMap(({ id, page, label, visaOnly }) => {
    const href = maybeTo(page, { community: community.slug });
    return href && (!visaOnly || community.visa_type) ? [{ id, label: t(label), href }] : [];
  });
  if (tabs.length < 2) return null;
  return <LinkTabs label={t("feed.views")} tabs={tabs} current={current} />;
}
