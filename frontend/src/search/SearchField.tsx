import { useQuery } from "@tanstack/react-query";
import { Search } from "lucide-react";
import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { answer, api } from "@/api/client";
import { useI18n } from "@/i18n/i18n";
import { navigate } from "@/routing/router";
import { Marked } from "./Marked";

const PAUSE_MS = 150;
const SHOWN = 6;

/** What is asked for, with titles to go to at once while it is typed (WAI-ARIA combobox). */
export function SearchField({ value, onSearch }: { value: string; onSearch: (q: string) => void }) {
  const { t, language } = useI18n();
  const [text, setText] = useState(value);
  const [asked, setAsked] = useState("");
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const id = useId();
  const root = useRef<HTMLFormElement>(null);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text.trim()), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const found = useQuery({
    queryKey: ["suggest", asked],
    queryFn: () =>
      answer(api.GET("/api/v1/search/suggest", { params: { query: { q: asked, limit: SHOWN } } })),
    enabled: open && asked.length > 1,
    staleTime: 60_000,
    retry: false,
    placeholderData: (before) => before,
  });
  const items = asked.length > 1 ? (found.data?.items ?? []) : [];
  const isOpen = open && items.length > 0;

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "Escape") setOpen(false);
    if (!isOpen || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
    event.preventDefault();
    // One more than the items: the field itself.
    const places = items.length + 1;
    const step = event.key === "ArrowDown" ? 1 : -1;
    setActive(((active + 1 + step + places) % places) - 1);
  }

  function submit() {
    setOpen(false);
    const chosen = items[active];
    if (isOpen && chosen) navigate(chosen.url);
    else onSearch(text.trim());
  }

  return (
    <search>
      <form
        ref={root}
        className="relative"
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
        onBlur={(event) => {
          if (!root.current?.contains(event.relatedTarget)) setOpen(false);
        }}
      >
        <Search size={20} aria-hidden="true" className="absolute start-4 top-3.5 text-ink-soft" />
        <input
          type="search"
          role="combobox"
          aria-label={t("shell.search")}
          aria-expanded={isOpen}
          aria-controls={id}
          aria-autocomplete="list"
          aria-activedescendant={isOpen && items[active] ? `${id}-${active}` : undefined}
          autoComplete="off"
          placeholder={t("search.placeholder")}
          value={text}
          maxLength={200}
          dir="auto"
          onChange={(event) => {
            setText(event.target.value);
            setActive(-1);
            setOpen(true);
          }}
          onKeyDown={onKeyDown}
          className="min-h-12 w-full rounded-full border border-line-strong bg-raised ps-12 pe-4 text-base placeholder:text-ink-soft"
        />
        <div
          id={id}
          role="listbox"
          aria-label={t("search.suggestions")}
          hidden={!isOpen}
          className="card absolute inset-x-0 top-full z-40 mt-1.5 overflow-hidden p-1.5 shadow-card"
        >
          {items.map((item, at) => (
            // biome-ignore lint/a11y/useKeyWithClickEvents: keys go to the field (aria-activedescendant).
            <div
              key={item.id}
              id={`${id}-${at}`}
              role="option"
              tabIndex={-1}
              aria-selected={at === active}
              onPointerDown={(event) => event.preventDefault()}
              onClick={() => navigate(item.url)}
              className="flex min-h-11 cursor-pointer items-center rounded-xl px-3 py-1.5 hover:bg-sunken aria-selected:bg-tile-wash aria-selected:text-tile"
            >
              <Marked html={item.title_html} language={language} />
            </div>
          ))}
        </div>
      </form>
    </search>
  );
}
