import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { useCallback, useMemo, useState } from "react";
import { pendingOf, sourcesQuery } from "../../api/sources.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Astrolabe } from "../../ui/mark.tsx";
import { useTitle } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import { AnswerView } from "./answer.tsx";
import css from "./ask-page.module.css";
import { Composer } from "./composer.tsx";
import { FirstSteps, Reading } from "./first-steps.tsx";
import { History } from "./history.tsx";
import { Samples } from "./samples.tsx";
import { useAsk } from "./use-ask.ts";

const route = getRouteApi("/");

/** The main view: a question, where to look, and the answer with its citations. */
export function AskPage() {
  const { t } = useI18n();
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const sources = useQuery(sourcesQuery());
  const [draft, setDraft] = useState("");
  const chosen = useMemo(() => search.sources?.split(",").filter(Boolean) ?? [], [search.sources]);

  const onStarted = useCallback(
    (id: string) => void navigate({ search: (before) => ({ ...before, ask: id }), resetScroll: false }),
    [navigate],
  );
  const { state, submit, stop } = useAsk(search.ask, onStarted);
  const idle = state.phase === "idle";
  useTitle(idle || state.question === "" ? t("nav.ask") : state.question);

  const items = sources.data?.items;
  const documents = items?.reduce((sum, source) => sum + source.document_count, 0);
  const pending = items && pendingOf(items);

  const askNow = (question: string) => {
    const known = chosen.filter((id) => items?.some((source) => source.id === id));
    setDraft("");
    submit({ question, sources: known });
  };

  return (
    <div className={idle ? `${css.page} ${css.idle}` : css.page}>
      {idle && <Astrolabe className={css.face} />}
      {idle ? (
        <header className={css.hero}>
          <h1 tabIndex={-1} data-page-heading>
            {t("ask.title")}
          </h1>
          <p className={css.lead}>{t("ask.lead")}</p>
        </header>
      ) : (
        <h1 className="visually-hidden" tabIndex={-1} data-page-heading>
          {t("ask.title")}
        </h1>
      )}

      {idle && documents === 0 && <FirstSteps />}
      <Composer
        quiet={documents === 0}
        draft={draft}
        onDraft={setDraft}
        compact={!idle}
        busy={state.phase === "searching" || state.phase === "answering"}
        sources={items ?? []}
        chosen={chosen}
        onChoose={(ids) =>
          void navigate({
            search: (before) => ({ ...before, sources: ids.length > 0 ? ids.join(",") : undefined }),
            replace: true,
            resetScroll: false,
          })
        }
        onAsk={askNow}
        onStop={stop}
      />

      {sources.isError && <ProblemView cause={sources.error} onRetry={() => void sources.refetch()} />}

      {idle ? (
        <>
          {pending !== undefined && pending > 0 && <Reading count={pending} />}
          <div className={css.below}>
            {items && documents !== undefined && documents > 0 && <Samples sources={items} onAsk={askNow} />}
            <History />
          </div>
        </>
      ) : (
        <>
          <AnswerView state={state} onRetry={() => askNow(state.question)} />
          <History current={state.id} />
        </>
      )}
    </div>
  );
}
