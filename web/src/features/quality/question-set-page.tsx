import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { actOnJob } from "../../api/activity.ts";
import {
  deleteQuestionSet,
  isUnderWay,
  questionSet,
  questionSetPlot,
  questionSetRuns,
  refreshQuestionSets,
  startRun,
} from "../../api/quality.ts";
import type { QuestionSetRun } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { ConfirmDialog } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icons.tsx";
import { Loading, Page } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import { Progress } from "../../ui/progress.tsx";
import css from "./quality.module.css";
import { Questions } from "./questions.tsx";
import { Results } from "./results.tsx";

/** One question set: run it, watch it, read what went wrong, and how it went over time. */
export function QuestionSetPage() {
  const { t } = useI18n();
  const { setId } = useParams({ from: "/quality/$setId" });
  const search = useSearch({ from: "/quality/$setId" });
  const client = useQueryClient();
  const navigate = useNavigate();
  const set = useQuery(questionSet(setId));
  const runs = useQuery(questionSetRuns(setId));
  const newest = runs.data?.items[0];
  const busy = isUnderWay(newest);
  const start = useMutation({
    mutationFn: () => startRun(setId),
    onSuccess: async () => {
      await navigate({ to: "/quality/$setId", params: { setId }, search: {}, replace: true });
      await client.invalidateQueries({ queryKey: questionSetRuns(setId).queryKey });
    },
  });
  const remove = useMutation({
    mutationFn: () => deleteQuestionSet(setId),
    onSuccess: async () => {
      await navigate({ to: "/quality" });
      await refreshQuestionSets(client);
    },
  });
  const eyebrow = (
    <Link to="/quality">
      <Icon name="back" size={14} /> {t("quality.back")}
    </Link>
  );
  if (set.isError || !set.data) {
    return (
      <Page title={t("quality.title")} eyebrow={eyebrow}>
        {set.isError ? (
          <ProblemView cause={set.error} onRetry={() => void set.refetch()} />
        ) : (
          <Loading label={t("app.loading")} />
        )}
      </Page>
    );
  }
  const shown = runs.data?.items.find(({ id }) => id === search.run) ?? newest;
  return (
    <Page
      title={set.data.name}
      lead={set.data.description || undefined}
      eyebrow={eyebrow}
      actions={
        <>
          <Button
            emphasis="primary"
            isDisabled={busy || start.isPending || set.data.questions.length === 0}
            onPress={() => start.mutate()}
          >
            <Icon name="play" size={16} /> {t("quality.run")}
          </Button>
          <ConfirmDialog
            trigger={
              <Button emphasis="quiet">
                <Icon name="trash" size={16} /> {t("quality.delete")}
              </Button>
            }
            title={t("quality.delete.title", { name: set.data.name })}
            body={t("quality.delete.body")}
            confirm={t("quality.delete")}
            onConfirm={() => remove.mutate()}
          />
        </>
      }
    >
      {start.isError && <ProblemView cause={start.error} />}
      {remove.isError && <ProblemView cause={remove.error} />}
      {newest && <RunStatus run={newest} />}
      <Plot setId={setId} runs={runs.data?.items.filter(({ state }) => state === "ready").length ?? 0} />
      {runs.isError && <ProblemView cause={runs.error} onRetry={() => void runs.refetch()} />}
      {shown ? (
        <Results setId={setId} run={shown} runs={runs.data?.items ?? []} />
      ) : (
        runs.data && <p className={css.none}>{t("quality.results.none")}</p>
      )}
      <Questions set={set.data} />
    </Page>
  );
}

/** How far the newest run is, and how it ended; told to screen readers when it is over. */
function RunStatus({ run }: { run: QuestionSetRun }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const busy = isUnderWay(run);
  const wasBusy = useRef(false);
  const key = questionSetRuns(run.question_set_id).queryKey;
  const cancel = useMutation({
    mutationFn: () => actOnJob(run.job_id, "cancel"),
    onSuccess: () => client.invalidateQueries({ queryKey: key }),
  });
  useEffect(() => {
    // The set shows its last run, and the list of runs its figures.
    if (wasBusy.current && !busy) void refreshQuestionSets(client);
    wasBusy.current = busy;
  }, [busy, client]);
  const end =
    run.state === "ready"
      ? t("quality.run.done", { right: run.right, total: run.total })
      : run.state === "failed"
        ? t("quality.run.failed", { reason: run.error?.message ?? "" })
        : run.state === "canceled"
          ? t("quality.run.canceled")
          : "";
  return (
    <div className={css.status}>
      {busy && (
        <div className={css.progress}>
          <Progress
            label={t("quality.run.progress")}
            text={t("quality.run.progress.text", { done: run.done, total: run.total, right: run.right })}
            value={run.done}
            max={run.total}
          />
          <Button small isDisabled={cancel.isPending} onPress={() => cancel.mutate()}>
            <Icon name="stop" size={16} /> {t("quality.run.cancel")}
          </Button>
        </div>
      )}
      <p role="status" className={run.state === "failed" ? css.bad : css.soft} data-testid="run-end">
        {end}
      </p>
      {cancel.isError && <ProblemView cause={cancel.error} />}
    </div>
  );
}

/** The server's plot, taken into the page so that it has the page's colours. */
function Plot({ setId, runs }: { setId: string; runs: number }) {
  const { t, language } = useI18n();
  const plot = useQuery({ ...questionSetPlot(setId, language, runs), enabled: runs > 0 });
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const parsed = plot.data && new DOMParser().parseFromString(plot.data, "image/svg+xml").documentElement;
    if (parsed && parsed.localName === "svg") place.current?.replaceChildren(document.importNode(parsed, true));
  }, [plot.data]);
  if (runs === 0) return null;
  return (
    <section className={css.section} aria-labelledby="plot-heading">
      <h2 id="plot-heading" className={css.title}>
        {t("quality.plot")}
      </h2>
      {plot.isError ? (
        <ProblemView cause={plot.error} onRetry={() => void plot.refetch()} />
      ) : (
        <div ref={place} className={css.plot} />
      )}
    </section>
  );
}
