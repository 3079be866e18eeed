import { DOCUMENT_STATES, type DocumentState, type Source } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import css from "./state.module.css";

/** The state of a document as a small labelled dot. */
export function StateBadge({ state, count }: { state: DocumentState; count?: number }) {
  const { t, language } = useI18n();
  return (
    <span className={`${css.badge} ${css[state]}`} data-state={state}>
      <span className={css.dot} aria-hidden="true" />
      {t(`document.state.${state}`)}
      {count !== undefined && <strong> {new Intl.NumberFormat(language).format(count)}</strong>}
    </span>
  );
}

/** How many documents of a source are in which state; states without documents are left out. */
export function StateCounts({ source }: { source: Source }) {
  const present = DOCUMENT_STATES.filter((state) => (source.documents_by_state[state] ?? 0) > 0);
  if (present.length === 0) return <span />;
  return (
    <p className={css.counts}>
      {present.map((state) => (
        <StateBadge key={state} state={state} count={source.documents_by_state[state]} />
      ))}
    </p>
  );
}
