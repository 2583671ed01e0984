import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Link } from "@/routing/Link";

export type MenuItem =
  | { kind: "link"; label: ReactNode; href: string; icon?: ReactNode }
  | {
      kind: "action";
      label: ReactNode;
      onSelect: () => void;
      icon?: ReactNode;
      danger?: boolean;
    }
  | { kind: "divider" };

/** A button and its menu, by the WAI-ARIA menu button pattern: arrows, Home, End, Escape. */
export function Menu({
  label,
  trigger,
  items,
  align = "end",
  className = "",
}: {
  label: string;
  trigger: ReactNode;
  items: MenuItem[];
  align?: "start" | "end";
  className?: string;
}) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();

  useEffect(() => {
    if (!open) return;
    entries(root.current)[0]?.focus();
    const outside = (event: Event) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
    };
  }, [open]);

  function close() {
    setOpen(false);
    button.current?.focus();
  }

  function move(event: KeyboardEvent) {
    const all = entries(root.current);
    const at = all.indexOf(document.activeElement as HTMLElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[
      event.key
    ];
    if (next !== undefined) {
      event.preventDefault();
      all[next % all.length]?.focus();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      close();
    }
  }

  return (
    <div ref={root} className="relative">
      <button
        ref={button}
        type="button"
        title={label}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown" && !open) {
            event.preventDefault();
            setOpen(true);
          }
        }}
        className={
          className ||
          "inline-flex min-h-11 min-w-11 items-center justify-center rounded-full text-ink-soft hover:bg-sunken hover:text-ink"
        }
      >
        {trigger}
      </button>
      {open && (
        <div
          id={id}
          role="menu"
          tabIndex={-1}
          aria-label={label}
          onKeyDown={move}
          className={`card rise absolute top-full z-40 mt-1.5 max-h-[70dvh] w-max min-w-52 max-w-[min(20rem,calc(100vw-2rem))] overflow-y-auto p-1.5 shadow-card ${align === "end" ? "end-0" : "start-0"}`}
        >
          {items.map((item, index) => (
            <Entry key={index} item={item} close={close} />
          ))}
        </div>
      )}
    </div>
  );
}

function Entry({ item, close }: { item: MenuItem; close: () => void }) {
  if (item.kind === "divider") return <hr className="my-1.5 border-line" />;
  const look = "flex min-h-11 w-full items-center gap-3 rounded-xl px-3 text-start hover:bg-sunken";
  if (item.kind === "link")
    return (
      <Link role="menuitem" tabIndex={-1} href={item.href} onClick={close} className={look}>
        {item.icon}
        {item.label}
      </Link>
    );
  return (
    <button
      type="button"
      role="menuitem"
      tabIndex={-1}
      onClick={() => {
        close();
        item.onSelect();
      }}
      className={`${look} ${item.danger ? "text-danger" : ""}`}
    >
      {item.icon}
      {item.label}
    </button>
  );
}

function entries(root: HTMLElement | null): HTMLElement[] {
  return [...(root?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
}
