import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useId } from "react";
import { questionSetRun } from "../../api/quality.ts";
import type { QuestionResult, QuestionSetRun } from "../../api/types.ts";
import { formatTime } from "../../lib/format.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Icon } from "../../ui/icons.tsx";
import { Loading } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import css from "./quality.module.css";

const RIGHT: ReadonlySet<string> = new Set(["right", "rightly_refused"]);

/** What became of each question of a run, wrong ones first. */
export function Results({ setId, run, runs }: { setId: string; run: QuestionSetRun; runs: readonly QuestionSetRun[] }) {
  const { t, language } = useI18n();
  const navigate = useNavigate();
  const content = useQuery(questionSetRun(setId, run.id));
  const id = useId();
  const figures = run.figures;
  const results = [...(content.data?.results ?? [])].sort((a, b) => rank(a) - rank(b));
  return (
    <section className={css.section} aria-labelledby="results">
      <div className={css.bar}>
        <h2 id="results" className={css.title}>
          {t("quality.results")}
        </h2>
        {runs.length > 1 && (
          <span className={css.pick}>
            <label htmlFor={id}>{t("quality.results.run")}</label>
            <select
              id={id}
              value={run.id}
              onChange={(event) =>
                void navigate({ to: "/quality/$setId", params: { setId }, search: { run: event.target.value } })
              }
            >
              {runs.map((each) => (
                <option key={each.id} value={each.id}>
                  {`${formatTime(each.created_at, language)} · ${each.right}/${each.total}`}
                </option>
              ))}
            </select>
          </span>
        )}
      </div>
      {figures && (
        <p className={css.soft}>
          {t("quality.results.latency", { p50: Math.round(figures.p50_ms), p95: Math.round(figures.p95_ms) })}
        </p>
      )}
      {content.isError ? (
        <ProblemView cause={content.error} onRetry={() => void content.refetch()} />
      ) : content.isPending ? (
        <Loading label={t("app.loading")} />
      ) : (
        <ul className={css.list}>
          {results.map((result) => (
            <Row key={result.question.id} result={result} />
          ))}
        </ul>
      )}
    </section>
  );
}

/** What went wrong comes first, then what waits, then what is right. */
function rank({ verdict }: QuestionResult): number {
  if (!verdict) return 1;
  return RIGHT.has(verdict) ? 2 : 0;
}

function Row({ result }: { result: QuestionResult }) {
  const { t } = useI18n();
  const { question, verdict } = result;
  const right = verdict != null && RIGHT.has(verdict);
  const expected = [
    ...(question.answer_any ?? []),
    ...(question.answer_patterns ?? []),
    question.document ?? "",
  ].filter((text) => text !== "");
  const wrong = verdict != null && !right;
  return (
    <li className={css.result} data-verdict={verdict ?? "waiting"}>
      <span className={right ? css.ok : wrong ? css.bad : css.soft}>
        {verdict != null && <Icon name={right ? "check" : "warn"} size={16} />}
        {t(`quality.verdict.${verdict ?? "waiting"}`)}
      </span>
      <div className={css.words}>
        <p className={css.question}>{question.question}</p>
        {wrong && (
          <>
            {result.answer && <p className={css.soft}>{result.answer}</p>}
            <p className={css.facts}>
              {expected.length > 0 && <span>{t("quality.results.expected", { expected: expected.join(" · ") })}</span>}
              {result.documents.length > 0 && (
                <span>{t("quality.results.cited", { documents: result.documents.join(", ") })}</span>
              )}
            </p>
          </>
        )}
      </div>
    </li>
  );
}
