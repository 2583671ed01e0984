import { useSyncExternalStore } from "react";

export type Theme = "light" | "dark";

const STORED = "serai.theme";
const listeners = new Set<() => void>();

const read = (): Theme => (document.documentElement.dataset.theme === "dark" ? "dark" : "light");

/** The look that was chosen, else the system's (set before the first paint by app/layout.tsx). */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const theme = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    read,
    () => "light" as const,
  );
  return [theme, setTheme];
}

function setTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(STORED, theme);
  } catch {
    // Storage is off: the choice lasts until the tab is closed.
  }
  for (const listener of listeners) listener();
}
