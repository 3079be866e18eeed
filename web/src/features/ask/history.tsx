import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { askHistory } from "../../api/asks.ts";
import { formatWhen } from "../../lib/format.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Icon } from "../../ui/icons.tsx";
import css from "./list.module.css";

/** What was asked lately, each leading to its answer. */
export function History({ current }: { current?: string }) {
  const { t, language } = useI18n();
  const history = useQuery(askHistory());
  // A question asked twice is one memory: the newest stays.
  const seen = new Set(history.data?.items.filter(({ id }) => id === current).map(({ question }) => question));
  const items = (history.data?.items ?? [])
    .filter(({ id, question }) => id !== current && !seen.has(question) && seen.add(question))
    .slice(0, 5);
  if (items.length === 0) return null;
  return (
    <section aria-labelledby="history" className={css.section}>
      <h2 id="history" className={css.title}>
        {t("ask.history")}
      </h2>
      <ul className={css.list}>
        {items.map(({ id, question, answer, created_at }) => (
          <li key={id}>
            <Link to="/" search={(before) => ({ ...before, ask: id })} className={css.entry}>
              <span className={css.icon}>
                <Icon name="clock" size={16} />
              </span>
              <span className={css.question}>{question}</span>
              <span className={css.when}>
                {answer && !answer.answered ? `${t("ask.history.unanswered")} · ` : ""}
                {formatWhen(created_at, history.dataUpdatedAt, language)}
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </section>
  );
}
