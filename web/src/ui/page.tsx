import { type ReactNode, useEffect } from "react";
import css from "./page.module.css";

/**
 * The frame of a view: its heading, what it is about, and its actions. The heading is where focus goes after a
 * change of view, and its text is the title of the browser tab.
 */
export function Page({
  title,
  tab,
  lead,
  eyebrow,
  actions,
  children,
  narrow = false,
  modest = false,
}: {
  title: string;
  tab?: string;
  lead?: ReactNode;
  eyebrow?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  narrow?: boolean;
  /** A small heading, for a view whose content brings a large one of its own. */
  modest?: boolean;
}) {
  useTitle(tab ?? title);
  return (
    <div className={narrow ? `${css.page} ${css.narrow}` : css.page}>
      <header className={css.head}>
        <div className={css.words}>
          {eyebrow && <div className={css.eyebrow}>{eyebrow}</div>}
          <h1 tabIndex={-1} data-page-heading className={modest ? css.modest : undefined}>
            {title}
          </h1>
          {lead && <div className={css.lead}>{lead}</div>}
        </div>
        {actions && <div className={css.actions}>{actions}</div>}
      </header>
      {children}
    </div>
  );
}

/** Names the browser tab. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === "Astrolabe" ? title : `${title} · Astrolabe`;
  }, [title]);
}

/** What stands in for content that is on its way. */
export function Loading({ label }: { label: string }) {
  return (
    <p className={css.loading} role="status">
      {label}
    </p>
  );
}
