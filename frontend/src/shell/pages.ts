/** Which component and which messages each path of routing/paths.json needs; all come when asked for. */
import { type ComponentType, type LazyExoticComponent, lazy } from "react";
import { loadSection } from "@/i18n/i18n";
import type { Section } from "@/i18n/sections";
import type { PageName, Params } from "@/routing/router";

type PageComponent = ComponentType<{ params: Params }>;

function page(load: () => Promise<{ default: PageComponent }>, ...sections: Section[]) {
  return lazy(async () => (await Promise.all([load(), ...sections.map(loadSection)]))[0]);
}

export const PAGES: Record<PageName, LazyExoticComponent<PageComponent>> = {
  home: page(() => import("@/screens/Front"), "landing", "feed"),
  explore: page(() => import("@/screens/Explore"), "landing"),
  community: page(() => import("@/screens/Community"), "feed"),
  thread: page(() => import("@/screens/Thread"), "thread", "feed"),
  comment: page(() => import("@/screens/Thread"), "thread", "feed"),
  login: page(() => import("@/screens/SignIn"), "account"),
  register: page(() => import("@/screens/Register"), "account"),
};

export const NOT_FOUND = page(() => import("@/screens/NotFound"));
