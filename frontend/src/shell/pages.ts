/** Which component and which messages each path of routing/paths.json needs; all come when asked for. */
import { type ComponentType, type LazyExoticComponent, lazy } from "react";
import { loadSection } from "@/i18n/i18n";
import type { Section } from "@/i18n/sections";
import type { PageName, Params } from "@/routing/router";

type PageComponent = ComponentType<{ params: Params }>;
type Page = LazyExoticComponent<PageComponent> & { preload: () => Promise<unknown> };

function page(load: () => Promise<{ default: PageComponent }>, ...sections: Section[]): Page {
  const fetchAll = async () => (await Promise.all([load(), ...sections.map(loadSection)]))[0];
  return Object.assign(lazy(fetchAll), { preload: fetchAll });
}

export const PAGES: Record<PageName, Page> = {
  home: page(() => import("@/screens/Front"), "landing", "feed"),
  explore: page(() => import("@/screens/Explore"), "landing"),
  community: page(() => import("@/screens/Community"), "feed"),
  compose: page(() => import("@/screens/Compose"), "compose", "feed"),
  edit: page(() => import("@/screens/EditPost"), "compose"),
  thread: page(() => import("@/screens/Thread"), "thread", "feed"),
  comment: page(() => import("@/screens/Thread"), "thread", "feed"),
  search: page(() => import("@/screens/Search"), "search", "feed"),
  ask: page(() => import("@/screens/Ask"), "ask"),
  guide: page(() => import("@/screens/Guide"), "search"),
  notifications: page(() => import("@/screens/Notifications"), "notifications"),
  settings: page(() => import("@/screens/Settings"), "settings"),
  timelines: page(() => import("@/screens/Timelines"), "visa", "feed"),
  statistics: page(() => import("@/screens/Statistics"), "visa", "feed"),
  checklist: page(() => import("@/screens/Checklist"), "visa", "feed"),
  links: page(() => import("@/screens/Links"), "visa", "feed"),
  members: page(() => import("@/screens/Members"), "groups", "feed"),
  group_new: page(() => import("@/screens/NewGroup"), "groups"),
  member: page(() => import("@/screens/Member"), "member", "feed"),
  login: page(() => import("@/screens/SignIn"), "account"),
  register: page(() => import("@/screens/Register"), "account"),
};

export const NOT_FOUND = page(() => import("@/screens/NotFound"));

/* Where most readers go next. */
const SOON: readonly PageName[] = ["community", "thread", "home"];

/** When the first page is there and nothing else is to be done, so that the next one opens at once. */
export function preloadPages(): void {
  const connection = (navigator as { connection?: { saveData?: boolean } }).connection;
  if (connection?.saveData) return;
  const whenIdle = window.requestIdleCallback ?? ((run: () => void) => setTimeout(run, 2_000));
  whenIdle(() => {
    // Failing is no harm: the page itself tries again and says so.
    for (const name of SOON) PAGES[name].preload().catch(() => undefined);
  });
}
