import { useSyncExternalStore } from "react";

/** What the person chose: follow the system, or one of the two palettes. */
export type Theme = "auto" | "light" | "dark";

const KEY = "astrolabe.theme";
const listeners = new Set<() => void>();

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "auto";
  } catch {
    return "auto";
  }
}

let current: Theme = stored();

/** Puts the chosen palette on the document; the style sheet does the rest through `color-scheme`. */
export function applyTheme(): void {
  if (current === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = current;
}

/** Chooses a palette and remembers it in this browser. */
export function setTheme(theme: Theme): void {
  current = theme;
  try {
    if (theme === "auto") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // A browser that refuses storage still gets the choice for this visit.
  }
  applyTheme();
  for (const listener of listeners) listener();
}

/** The current choice, as state. */
export function useTheme(): Theme {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}
