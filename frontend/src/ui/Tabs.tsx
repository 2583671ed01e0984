import { useLayoutEffect, useRef } from "react";
import { Link } from "@/routing/Link";

/** Views of one page, each with an address of its own: links, of which one is current. */
export function LinkTabs({
  label,
  tabs,
  current,
}: {
  label: string;
  tabs: { id: string; label: string; href: string }[];
  current: string;
}) {
  const bar = useRef<HTMLElement>(null);
  // On a phone there are more of them than fit: the current one is in sight.
  useLayoutEffect(() => {
    const tab = bar.current?.querySelector<HTMLElement>(`[data-tab="${current}"]`);
    if (bar.current && tab)
      bar.current.scrollLeft = tab.offsetLeft - (bar.current.clientWidth - tab.offsetWidth) / 2;
  }, [current]);
  return (
    <nav
      ref={bar}
      aria-label={label}
      className="relative -mx-4 flex gap-1 overflow-x-auto px-4 py-1 sm:mx-0 sm:px-0"
    >
      {tabs.map((tab) => (
        <Link
          key={tab.id}
          data-tab={tab.id}
          href={tab.href}
          aria-current={tab.id === current ? "page" : undefined}
          className="inline-flex min-h-10 items-center rounded-full px-4 font-semibold whitespace-nowrap text-ink-soft hover:bg-sunken hover:text-ink aria-[current]:bg-tile-wash aria-[current]:text-tile"
        >
          {tab.label}
        </Link>
      ))}
    </nav>
  );
}

/** One of a few ways to show the same list. */
export function Choices<T extends string>({
  label,
  options,
  value,
  onChange,
}: {
  label: string;
  options: readonly { id: T; label: string }[];
  value: T;
  onChange: (id: T) => void;
}) {
  return (
    <fieldset className="inline-flex rounded-full border border-line bg-sunken p-1">
      <legend className="sr-only">{label}</legend>
      {options.map((option) => (
        <button
          key={option.id}
          type="button"
          aria-pressed={option.id === value}
          onClick={() => onChange(option.id)}
          className="min-h-9 rounded-full px-3.5 text-sm font-semibold text-ink-soft hover:text-ink aria-pressed:bg-raised aria-pressed:text-ink aria-pressed:shadow-sm"
        >
          {option.label}
        </button>
      ))}
    </fieldset>
  );
}
