import { Bell, House, Landmark, Sparkles } from "lucide-react";
import type { MessageKey } from "@/i18n/sections";
import { isPage, type PageName } from "@/routing/router";

type Place = {
  page: string;
  label: MessageKey;
  /** Where five of them share the width of a phone. */
  short?: MessageKey;
  icon: typeof House;
  members?: boolean;
};

/** The places that are always one tap away, as far as this build has them. */
const PLACES: readonly Place[] = [
  { page: "home", label: "shell.home", icon: House },
  {
    page: "explore",
    label: "shell.communities",
    short: "shell.explore_short",
    icon: Landmark,
  },
  { page: "ask", label: "shell.ask", icon: Sparkles },
  {
    page: "notifications",
    label: "shell.notifications",
    short: "shell.notifications_short",
    icon: Bell,
    members: true,
  },
];

export function places(isMember: boolean): (Place & { page: PageName })[] {
  return PLACES.filter(
    (place): place is Place & { page: PageName } =>
      isPage(place.page) && (isMember || !place.members),
  );
}
