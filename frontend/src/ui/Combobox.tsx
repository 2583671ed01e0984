import { type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { Field } from "./Field";

export type Option = { id: string; label: string; also?: string; lead?: string };

const MOST_SHOWN = 60;

/** A field to type in and a list to choose from, by the WAI-ARIA combobox pattern. */
export function Combobox({
  label,
  placeholder,
  none,
  options,
  value,
  onChange,
}: {
  label: string;
  placeholder: string;
  /** Said when nothing fits what was typed. */
  none: string;
  options: readonly Option[];
  value: string | null;
  onChange: (id: string | null) => void;
}) {
  const chosen = options.find((option) => option.id === value);
  const [text, setText] = useState<string | null>(null);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(0);
  const listId = useId();
  const root = useRef<HTMLDivElement>(null);

  const wanted = plain(text ?? "");
  const found = options
    .filter((option) => !wanted || plain(`${option.label} ${option.also ?? ""}`).includes(wanted))
    .sort((a, b) =>
      wanted
        ? Number(plain(b.label).startsWith(wanted)) - Number(plain(a.label).startsWith(wanted))
        : 0,
    )
    .slice(0, MOST_SHOWN);

  useEffect(() => {
    if (open)
      root.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  });

  function choose(option: Option) {
    onChange(option.id);
    setText(null);
    setOpen(false);
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) setOpen(true);
      else
        setActive(
          (at) =>
            (at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % Math.max(1, found.length),
        );
    } else if (event.key === "Enter" && open && found[active]) {
      event.preventDefault();
      choose(found[active]);
    } else if (event.key === "Escape" && open) {
      event.stopPropagation();
      setOpen(false);
      setText(null);
    }
  }

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only hears that the focus has left.
    <div
      ref={root}
      className="relative"
      onBlur={(event) => {
        if (root.current?.contains(event.relatedTarget)) return;
        setOpen(false);
        setText(null);
      }}
    >
      <Field label={label}>
        {({ id }) => (
          <input
            id={id}
            role="combobox"
            autoComplete="off"
            spellCheck={false}
            aria-expanded={open}
            aria-controls={listId}
            aria-autocomplete="list"
            aria-activedescendant={
              open && found[active] ? `${listId}-${found[active].id}` : undefined
            }
            placeholder={placeholder}
            value={text ?? chosen?.label ?? ""}
            onFocus={(event) => event.target.select()}
            onClick={() => setOpen(true)}
            onChange={(event) => {
              setText(event.target.value);
              setActive(0);
              setOpen(true);
              if (value !== null) onChange(null);
            }}
            onKeyDown={onKeyDown}
            className="min-h-12 w-full rounded-xl border border-line-strong bg-raised px-3.5 text-base placeholder:text-ink-soft"
          />
        )}
      </Field>
      <div
        id={listId}
        role="listbox"
        aria-label={label}
        hidden={!open}
        className="card absolute inset-x-0 top-full z-40 mt-1.5 max-h-72 overflow-y-auto p-1.5 shadow-card"
      >
        {found.map((option, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: keys go to the field (aria-activedescendant).
          <div
            key={option.id}
            id={`${listId}-${option.id}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === active}
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => choose(option)}
            className="flex min-h-11 cursor-pointer items-center gap-3 rounded-xl px-3 hover:bg-sunken aria-selected:bg-tile-wash aria-selected:text-tile"
          >
            {option.lead && (
              <span aria-hidden="true" className="w-7 text-sm font-bold text-ink-soft">
                {option.lead}
              </span>
            )}
            {option.label}
          </div>
        ))}
        {found.length === 0 && (
          <div
            role="option"
            aria-selected="false"
            aria-disabled="true"
            tabIndex={-1}
            className="px-3 py-3 text-ink-soft"
          >
            {none}
          </div>
        )}
      </div>
    </div>
  );
}

/** Without case and accents: "cote" finds "Côte d'Ivoire". */
function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();
}
