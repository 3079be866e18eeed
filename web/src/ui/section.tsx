import type { ReactNode } from "react";
import { useI18n } from "../lib/i18n/index.ts";
import { Button } from "./button.tsx";
import { Loading } from "./page.tsx";
import { ProblemView } from "./problem.tsx";
import css from "./section.module.css";

/** What a section shows of a list that comes page by page. */
export interface Listing {
  readonly isError: boolean;
  readonly isPending: boolean;
  readonly error: unknown;
  readonly hasNextPage: boolean;
  readonly isFetchingNextPage: boolean;
  readonly refetch: () => unknown;
  readonly fetchNextPage: () => unknown;
}

/** A part of a view: its heading and a list of rows, with what is shown while it loads, is empty or failed. */
export function Section({
  title,
  none,
  list,
  actions,
  children,
}: {
  title: string;
  none: string;
  list: Listing;
  actions?: ReactNode;
  children: ReactNode[];
}) {
  const { t } = useI18n();
  return (
    <section className={css.section} aria-label={title}>
      <div className={css.head}>
        <h2 className={css.title}>{title}</h2>
        {actions}
      </div>
      {list.isError ? (
        <ProblemView cause={list.error} onRetry={() => void list.refetch()} />
      ) : list.isPending ? (
        <Loading label={t("app.loading")} />
      ) : children.length === 0 ? (
        <p className={css.none}>{none}</p>
      ) : (
        <ul className={css.list}>{children}</ul>
      )}
      {list.hasNextPage && (
        <Button small isDisabled={list.isFetchingNextPage} onPress={() => void list.fetchNextPage()}>
          {t("app.more")}
        </Button>
      )}
    </section>
  );
}
