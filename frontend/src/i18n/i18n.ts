/**
 * The language of the interface. Messages are plain JSON, a file for each section and language;
 * English of the shell is always there, the rest comes as it is needed.
 */
import { useSyncExternalStore } from "react";
import { format, type Values } from "./message";
import shellEnglish from "./messages/shell/en.json";
import type { MessageKey, Section } from "./sections";

export const LANGUAGES = {
  en: "English",
  de: "Deutsch",
  es: "Español",
  hi: "हिन्दी",
  ar: "العربية",
  zh: "中文",
} as const;
export type Language = keyof typeof LANGUAGES;

type Messages = Record<string, string>;
type State = { language: Language; version: number };

const STORED = "serai.language";
const RIGHT_TO_LEFT: ReadonlySet<string> = new Set(["ar"]);

const loaded = new Map<string, Messages>([["shell/en", shellEnglish]]);
const wanted = new Set<Section>(["shell"]);
const listeners = new Set<() => void>();
let state: State = { language: "en", version: 0 };

export function isLanguage(tag: string): tag is Language {
  return Object.hasOwn(LANGUAGES, tag);
}

/** The language that the reader chose, else the browser's first that there is. */
export function preferredLanguage(): Language {
  const stored = read();
  const tags = [...(stored ? [stored] : []), ...(navigator.languages ?? [])];
  for (const tag of tags) {
    const base = tag.split("-")[0] ?? "";
    if (isLanguage(base)) return base;
  }
  return "en";
}

/** Resolves when every section that is shown is there in the new language. */
export async function setLanguage(language: Language, remember = true): Promise<void> {
  let sections: number;
  do {
    sections = wanted.size;
    await Promise.all([...wanted].map((section) => load(section, language)));
  } while (wanted.size > sections); // a page was opened meanwhile
  if (remember) write(language);
  document.documentElement.lang = language;
  document.documentElement.dir = RIGHT_TO_LEFT.has(language) ? "rtl" : "ltr";
  change({ language, version: state.version + 1 });
}

/** Before a page that needs the section is shown. */
export async function loadSection(section: Section): Promise<void> {
  wanted.add(section);
  let language: Language;
  do {
    language = state.language;
    await load(section, language);
  } while (language !== state.language);
}

export type Translate = (key: MessageKey, values?: Values) => string;

export const t: Translate = (key, values = {}) => {
  const dot = key.indexOf(".");
  const [section, name] = [key.slice(0, dot), key.slice(dot + 1)];
  const { language } = state;
  const message =
    loaded.get(`${section}/${language}`)?.[name] ?? loaded.get(`${section}/en`)?.[name];
  return message === undefined ? key : format(message, values, language);
};

/** Renders again when the language changes. */
export function useI18n(): { t: Translate; language: Language } {
  const { language } = useSyncExternalStore(
    subscribe,
    () => state,
    () => SERVER,
  );
  return { t, language };
}

export function currentLanguage(): Language {
  return state.language;
}

const SERVER: State = { language: "en", version: 0 };

async function load(section: Section, language: Language): Promise<void> {
  const name = `${section}/${language}`;
  if (loaded.has(name)) return;
  try {
    const found = await import(`./messages/${section}/${language}.json`);
    loaded.set(name, found.default as Messages);
  } catch (error) {
    if (language === "en") throw error;
    // A language that can't be fetched must not keep the page away.
    await load(section, "en");
  }
}

function change(next: State): void {
  state = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function read(): string | null {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

function write(language: Language): void {
  try {
    localStorage.setItem(STORED, language);
  } catch {
    // Storage is off: the choice lasts until the tab is closed.
  }
}
