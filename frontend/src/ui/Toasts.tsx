import { X } from "lucide-react";
import { useEffect, useState, useSyncExternalStore } from "react";
import { useI18n } from "@/i18n/i18n";
import { announce, setRegion } from "./announce";
import { IconButton } from "./Button";

type Toast = {
  id: number;
  text: string;
  tone: "plain" | "danger";
  action?: { label: string; run: () => void };
};

const SHOWN_MS = 6_000;
let toasts: readonly Toast[] = [];
let next = 1;
const listeners = new Set<() => void>();

/** Says that something happened, for a moment. What the reader must not miss belongs on the page. */
export function toast(
  text: string,
  options: { tone?: "plain" | "danger"; action?: Toast["action"] } = {},
): void {
  const made: Toast = { id: next++, text, tone: options.tone ?? "plain", action: options.action };
  set([...toasts.slice(-2), made]);
  announce(text);
  setTimeout(() => dismiss(made.id), options.action ? SHOWN_MS * 2 : SHOWN_MS);
}

export function Toasts() {
  const { t } = useI18n();
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
    () => toasts,
  );
  return (
    <div className="pointer-events-none fixed inset-x-0 bottom-20 z-50 grid justify-items-center gap-2 px-4 md:bottom-6">
      {shown.map((item) => (
        <div
          key={item.id}
          className={`rise pointer-events-auto flex max-w-md items-center gap-3 rounded-2xl py-1.5 ps-4 pe-1.5 shadow-card ${item.tone === "danger" ? "bg-danger text-ground" : "bg-ink text-ground"}`}
        >
          <span className="py-2">{item.text}</span>
          {item.action && (
            <button
              type="button"
              onClick={item.action.run}
              className="min-h-11 px-2 font-bold underline"
            >
              {item.action.label}
            </button>
          )}
          <IconButton
            label={t("shell.close")}
            onClick={() => dismiss(item.id)}
            className="text-inherit hover:bg-transparent hover:text-inherit"
          >
            <X size={18} aria-hidden="true" />
          </IconButton>
        </div>
      ))}
    </div>
  );
}

/** Where `announce` speaks. */
export function LiveRegion() {
  const [text, setText] = useState("");
  useEffect(() => {
    setRegion(setText);
    return () => setRegion(null);
  }, []);
  return (
    <p role="status" aria-live="polite" className="sr-only">
      {text}
    </p>
  );
}

function dismiss(id: number): void {
  set(toasts.filter((item) => item.id !== id));
}

function set(list: readonly Toast[]): void {
  toasts = list;
  for (const listener of listeners) listener();
}
