/**
 * The shell's own router: Next exports one page for every path of the app, and this decides what it
 * shows. Positions of the scroll bar are kept by history entry.
 */
import { useSyncExternalStore } from "react";
import paths from "./paths.json";

export type PageName = keyof typeof paths;
export type Params = Record<string, string>;
export type Match = { name: PageName; params: Params } | null;

export type Location = { path: string; search: string; hash: string; key: string };

const patterns = Object.entries(paths).map(([name, template]) => ({
  name: name as PageName,
  pattern: new RegExp(`^${template.replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}/?$`),
}));

export function match(path: string): Match {
  for (const { name, pattern } of patterns) {
    const found = pattern.exec(path);
    if (found) {
      const params = Object.entries(found.groups ?? {}).map(([key, value]) => [key, decode(value)]);
      return { name, params: Object.fromEntries(params) };
    }
  }
  return null;
}

/** Whether this build has such a page: what leads to one that is missing is not shown. */
export function isPage(name: string): name is PageName {
  return Object.hasOwn(paths, name);
}

/** As `to`, for a page that not every build has: null where it is missing. */
export function maybeTo(name: string, params: Params = {}): string | null {
  return isPage(name) ? to(name, params) : null;
}

/** The address of a page: `to("community", { community: "de-student" })`. */
export function to(
  name: PageName,
  params: Params = {},
  query: Record<string, string> = {},
): string {
  const path = paths[name].replace(/\{(\w+)\}/g, (_, key: string) =>
    encodeURIComponent(params[key] ?? ""),
  );
  const search = new URLSearchParams(query).toString();
  return search ? `${path}?${search}` : path;
}

export function navigate(
  href: string,
  options: { replace?: boolean; keepScroll?: boolean } = {},
): void {
  const url = new URL(href, window.location.href);
  if (url.origin !== window.location.origin) {
    window.location.assign(url);
    return;
  }
  saveScroll();
  const before = location;
  const state = { ...window.history.state, seraiKey: options.replace ? location.key : newKey() };
  if (options.replace) window.history.replaceState(state, "", url);
  else window.history.pushState(state, "", url);
  update();
  const isOtherPage = before.path !== location.path;
  if (isOtherPage || !(options.keepScroll || options.replace)) arrived("new", isOtherPage);
}

export function back(fallback: string): void {
  if (window.history.state?.seraiKey) window.history.back();
  else navigate(fallback, { replace: true });
}

type Arrival = "new" | "back";
type Arrive = (how: Arrival, isOtherPage: boolean) => void;
const arrivals = new Set<Arrive>();

/** Told after the address has changed: where to scroll, and whether a new heading takes the focus. */
export function onArrival(arrive: Arrive): () => void {
  arrivals.add(arrive);
  return () => arrivals.delete(arrive);
}

export function useLocation(): Location {
  return useSyncExternalStore(
    subscribe,
    () => location,
    () => SERVER,
  );
}

/** Query parameters and a way to change them in place. */
export function useSearch(): [URLSearchParams, (changes: Record<string, string | null>) => void] {
  const { search } = useLocation();
  return [new URLSearchParams(search), setQuery];
}

function setQuery(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(window.location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  navigate(window.location.pathname + (text ? `?${text}` : ""), { replace: true });
}

export function savedScroll(): number {
  return Number(sessionStorage.getItem(`scroll ${location.key}`) ?? 0);
}

const SERVER: Location = { path: "/", search: "", hash: "", key: "" };
let location: Location = SERVER;
const listeners = new Set<() => void>();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function read(): Location {
  const { pathname, search, hash } = window.location;
  return { path: pathname, search, hash, key: window.history.state?.seraiKey ?? "first" };
}

function update(): void {
  location = read();
  for (const listener of listeners) listener();
}

function saveScroll(): void {
  try {
    sessionStorage.setItem(`scroll ${location.key}`, String(window.scrollY));
  } catch {
    // Storage is full or off: the page opens at its top.
  }
}

function arrived(how: Arrival, isOtherPage: boolean): void {
  for (const arrive of arrivals) arrive(how, isOtherPage);
}

function newKey(): string {
  return Math.random().toString(36).slice(2, 10);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

if (typeof window !== "undefined") {
  location = read();
  window.history.scrollRestoration = "manual";
  window.addEventListener("popstate", (event) => {
    const before = location;
    if (event.state === null) {
      // The browser itself followed a link within the page, and has scrolled there.
      window.history.replaceState({ seraiKey: newKey() }, "");
      update();
      return;
    }
    saveScroll();
    update();
    if (before.key !== location.key) arrived("back", before.path !== location.path);
  });
  window.addEventListener("pagehide", saveScroll);
}
