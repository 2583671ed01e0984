import { useQuery } from "@tanstack/react-query";
import { ChevronDown, Compass } from "lucide-react";
import { joinedCommunities } from "@/content/communities";
import { useCommunityName } from "@/content/names";
import { useI18n } from "@/i18n/i18n";
import { match, to, useLocation } from "@/routing/router";
import { Arch } from "@/ui/Avatar";
import { Menu } from "@/ui/Menu";

/** The communities one has joined, from everywhere. */
export function CommunitySwitcher() {
  const { t } = useI18n();
  const { path } = useLocation();
  const nameOf = useCommunityName();
  const joined = useQuery(joinedCommunities());
  const here = match(path);
  const slug = here?.name === "community" ? here.params.community : undefined;
  const current = joined.data?.items.find((community) => community.slug === slug);
  return (
    <Menu
      label={t("shell.my_communities")}
      align="start"
      className="inline-flex min-h-11 max-w-[40vw] items-center gap-1 rounded-full px-2.5 font-semibold text-ink-soft hover:bg-sunken hover:text-ink"
      trigger={
        <>
          <span className="hidden truncate sm:block">
            {current ? nameOf(current) : t("shell.my_communities")}
          </span>
          <Compass size={21} className="sm:hidden" aria-hidden="true" />
          <ChevronDown size={16} aria-hidden="true" />
        </>
      }
      items={[
        ...(joined.data?.items ?? []).map((community) => ({
          kind: "link" as const,
          href: to("community", { community: community.slug }),
          icon: <Arch country={community.country} name={community.name} />,
          label: nameOf(community),
        })),
        {
          kind: "link",
          href: to("explore"),
          icon: <Compass size={20} aria-hidden="true" />,
          label: t("shell.find_community"),
        },
      ]}
    />
  );
}
