import { completeSentences, withoutCitations } from "../../lib/citations.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import type { AskState } from "./use-ask.ts";

/**
 * Speaks the answer while it comes in. Only whole sentences are added to the log, so a screen reader reads
 * language and not fragments; the state of the work is said in a separate status line.
 */
export function Announcer({ state }: { state: AskState }) {
  const { t } = useI18n();
  const { phase, result, text } = state;
  const status = state.resuming
    ? t("ask.status.resuming")
    : phase === "failed"
      ? t("ask.status.failed")
      : phase === "stopped"
        ? t("ask.status.stopped")
        : phase === "done"
          ? result?.answered
            ? t("ask.status.done", { n: result.citations.length })
            : t("ask.status.notFound")
          : phase === "searching"
            ? t("ask.status.searching")
            : "";
  // An answer that is only shown again is on the page to be read; it is not news.
  const spoken =
    state.replayed || (result && !result.answered) ? "" : phase === "done" ? text : completeSentences(text).sentences;
  return (
    <div className="visually-hidden">
      <div role="status" data-testid="ask-status">
        {status}
      </div>
      <div role="log" aria-live="polite" aria-label={t("ask.answer")} lang={result?.lang}>
        {sentencesOf(withoutCitations(spoken)).map(({ at, sentence }) => (
          <p key={at}>{sentence}</p>
        ))}
      </div>
    </div>
  );
}

function sentencesOf(text: string): { at: number; sentence: string }[] {
  const list: { at: number; sentence: string }[] = [];
  let rest = text;
  let at = 0;
  while (rest !== "") {
    const first = /^[\s\S]*?(?:[.!?…]["»”)]*\s+|\n+|$)/.exec(rest)?.[0] || rest;
    if (first.trim() !== "") list.push({ at, sentence: first.trim() });
    at += first.length;
    rest = rest.slice(first.length);
  }
  return list;
}
