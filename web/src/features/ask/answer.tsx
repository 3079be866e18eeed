import { type ReactNode, useMemo, useRef, useState } from "react";
import type { Answer, Citation } from "../../api/types.ts";
import { splitCitations } from "../../lib/citations.ts";
import { type MessageKey, useI18n } from "../../lib/i18n/index.ts";
import { answerBlocks, type Block, type Span } from "../../lib/markup.ts";
import { scrollBehavior } from "../../lib/motion.ts";
import { Icon } from "../../ui/icons.tsx";
import { Mark } from "../../ui/mark.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import { Prose, spanElement } from "../../ui/prose.tsx";
import { Announcer } from "./announcer.tsx";
import css from "./answer.module.css";
import { CitationCards } from "./citation-cards.tsx";
import { CopyAnswer } from "./copy-answer.tsx";
import { GiveFeedback } from "./give-feedback.tsx";
import type { AskState } from "./use-ask.ts";

/** Notices whose meaning the page can explain; others are shown by their code. */
const NOTICES: ReadonlySet<string> = new Set([
  "no_embedder",
  "model_unavailable",
  "model_interrupted",
  "citation_removed",
  "not_cited",
]);

/** The notice in words. Texts for all known codes are in the catalogue under `ask.notice.`. */
function noticeText(code: string, t: ReturnType<typeof useI18n>["t"]): string {
  return NOTICES.has(code) ? t(`ask.notice.${code}` as MessageKey) : t("ask.notice.other", { code });
}

/** The question, its answer as it comes in, and the passages it cites. */
export function AnswerView({ state, onRetry }: { state: AskState; onRetry: () => void }) {
  const { t } = useI18n();
  const [active, setActive] = useState<number>();
  const cards = useRef<HTMLElement>(null);
  const { phase, result } = state;
  const busy = phase === "searching" || phase === "answering";
  const known = useMemo(() => (result ? new Set(result.citations.map(({ n }) => n)) : undefined), [result]);
  const citations = useMemo(() => new Map(result?.citations.map((c) => [c.n, c])), [result]);

  const openCitation = (n: number) => {
    setActive(n);
    const card = cards.current?.querySelector<HTMLElement>(`[data-citation="${n}"]`);
    card?.scrollIntoView({ block: "nearest", behavior: scrollBehavior() });
    card?.querySelector<HTMLElement>("a")?.focus({ preventScroll: true });
  };

  const notFound = result && !result.answered;
  return (
    <article className={css.result} aria-labelledby="question" aria-busy={busy} data-phase={phase}>
      <div className={css.main}>
        <h2 id="question" className={css.question}>
          {state.question || t("app.loading")}
        </h2>
        <Progress state={state} />
        {notFound ? (
          <NotFound result={result} />
        ) : (
          state.text !== "" && (
            <div lang={result?.lang} data-testid="answer">
              <AnswerText
                text={state.text}
                known={known}
                citations={citations}
                active={active}
                onCite={openCitation}
                streaming={busy}
              />
            </div>
          )
        )}
        {phase === "failed" && <ProblemView cause={state.error} onRetry={onRetry} />}
        {result?.notices.map((code) => (
          <p key={code} className={css.notice}>
            <Icon name="info" size={16} />
            <span>{noticeText(code, t)}</span>
          </p>
        ))}
        {result && <Facts result={result} />}
        {result && <GiveFeedback key={result.id} askId={result.id} />}
      </div>
      {result && result.citations.length > 0 && (
        <CitationCards
          ref={cards}
          title={notFound ? t("ask.notFound.near") : t("ask.citations")}
          citations={result.citations}
          askId={result.id}
          active={active}
          onActive={setActive}
        />
      )}
      <Announcer state={state} />
    </article>
  );
}

/** What is going on, beside the seeking mark, until the answer is there. */
function Progress({ state }: { state: AskState }) {
  const { t } = useI18n();
  if (state.phase === "stopped") return <p className={css.progress}>{t("ask.status.stopped")}</p>;
  if (state.phase !== "searching" && state.phase !== "answering") return null;
  const words = state.resuming
    ? t("ask.status.resuming")
    : state.passages === undefined
      ? t("ask.status.searching")
      : t("ask.status.passages", { n: state.passages });
  return (
    <p className={css.progress}>
      <Mark size={22} busy /> {words}
    </p>
  );
}

function NotFound({ result }: { result: Answer }) {
  const { t } = useI18n();
  return (
    <div className={css.notFound} data-testid="not-found" lang={undefined}>
      <p className={css.notFoundTitle}>{t("ask.notFound.title")}</p>
      <p>{t("ask.notFound.body")}</p>
      <p>{t("ask.notFound.hint")}</p>
      {result.citations.length === 0 && result.mode === "model" && result.answer !== "" && <p>{result.answer}</p>}
    </div>
  );
}

/** How the answer came about, in one quiet line. */
function Facts({ result }: { result: Answer }) {
  const { t } = useI18n();
  return (
    <div className={css.facts}>
      {result.answered && (
        <span className={css.fact}>
          <Icon name="quote" size={15} /> {t(result.mode === "model" ? "ask.mode.model" : "ask.mode.extractive")}
        </span>
      )}
      <span className={css.fact}>
        {t(result.retrieval === "hybrid" ? "ask.retrieval.hybrid" : "ask.retrieval.lexical")}
      </span>
      {result.answered && <CopyAnswer result={result} />}
    </div>
  );
}

function AnswerText({
  text,
  known,
  citations,
  active,
  onCite,
  streaming,
}: {
  text: string;
  known: ReadonlySet<number> | undefined;
  citations: ReadonlyMap<number, Citation>;
  active: number | undefined;
  onCite: (n: number) => void;
  streaming: boolean;
}) {
  const { t } = useI18n();
  const blocks = useMemo(() => answerBlocks(text), [text]);
  const render = (spans: readonly Span[], block: Block): ReactNode =>
    spans.map((span) => {
      if (block.kind === "pre" || span.style === "code") return spanElement(span, `${span.start}`, span.text);
      let at = span.start;
      const parts = splitCitations(span.text, known).map((part) => {
        const key = `${at}:${part.kind}${part.kind === "cite" ? part.n : ""}`;
        at += part.kind === "text" ? part.text.length : 1;
        if (part.kind === "text") return <span key={key}>{part.text}</span>;
        const citation = citations.get(part.n);
        return (
          <button
            key={key}
            type="button"
            className={active === part.n ? `${css.cite} ${css.citeActive}` : css.cite}
            disabled={!citation}
            aria-label={t("ask.citation", { n: part.n, document: citation?.document ?? "" })}
            onClick={() => onCite(part.n)}
          >
            {part.n}
          </button>
        );
      });
      return spanElement(span, `${span.start}`, parts);
    });
  return <Prose blocks={blocks} top={3} render={render} className={streaming ? css.streaming : undefined} />;
}
