import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { actOnJob, auditQuery, jobsQuery } from "../../api/activity.ts";
import type { AuditEntry, DocumentState, Job } from "../../api/types.ts";
import { formatTime, formatWhen } from "../../lib/format.ts";
import { en } from "../../lib/i18n/en.ts";
import { type MessageKey, useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { Page } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import rows from "../../ui/rows.module.css";
import { Section } from "../../ui/section.tsx";
import css from "./activity-page.module.css";

/** What runs in the background, and the audit entries about it. */
export function ActivityPage() {
  const { t } = useI18n();
  const jobs = useInfiniteQuery(jobsQuery());
  const audit = useInfiniteQuery(auditQuery());
  return (
    <Page title={t("activity.title")} lead={t("activity.lead")}>
      <Section title={t("activity.jobs")} none={t("activity.jobs.none")} list={jobs}>
        {(jobs.data?.pages.flatMap((page) => page.items) ?? []).map((job) => (
          <JobRow key={job.id} job={job} now={jobs.dataUpdatedAt} />
        ))}
      </Section>
      <Section title={t("activity.audit")} none={t("activity.audit.none")} list={audit}>
        {(audit.data?.pages.flatMap((page) => page.items) ?? []).map((entry) => (
          <AuditRow key={entry.id} entry={entry} />
        ))}
      </Section>
    </Page>
  );
}

const BROKEN: ReadonlySet<DocumentState> = new Set<DocumentState>(["failed", "canceled"]);

/** What a job or an entry is about; a document can be opened. */
function Subject({ id }: { id: string }) {
  if (!id.startsWith("doc_")) return <span className={css.subject}>{id}</span>;
  return (
    <Link to="/documents/$documentId" params={{ documentId: id }} className={css.subject}>
      {id}
    </Link>
  );
}

/** What a kind of job does, in words; a kind that the page does not know keeps its own name. */
function jobKind(kind: string, t: ReturnType<typeof useI18n>["t"]): string {
  const key = `activity.job.kind.${kind}`;
  return key in en ? t(key as MessageKey) : kind;
}

function JobRow({ job, now }: { job: Job; now: number }) {
  const { t, language } = useI18n();
  const client = useQueryClient();
  const act = useMutation({
    mutationFn: (action: "cancel" | "retry") => actOnJob(job.id, action),
    onSuccess: () => client.invalidateQueries({ queryKey: ["jobs"] }),
  });
  const broken = BROKEN.has(job.state);
  const action = broken ? "retry" : job.state === "ready" ? undefined : "cancel";
  return (
    <li className={rows.row}>
      <span className={css.kind}>{jobKind(job.kind, t)}</span>
      <span className={broken ? `${css.state} ${rows.bad}` : css.state}>
        {job.state === "ready" ? t("activity.job.done") : t(`document.state.${job.state}`)}
        {job.state === "running" && job.total > 0 && ` ${job.done}/${job.total}`}
      </span>
      <span className={rows.rest}>
        <Subject id={job.subject} />
        {job.error && <span className={rows.bad}> {job.error.message}</span>}
      </span>
      <time className={rows.when} dateTime={job.created_at} title={formatTime(job.created_at, language)}>
        {formatWhen(job.created_at, now, language)}
      </time>
      {action && (
        <Button
          small
          emphasis="quiet"
          isDisabled={act.isPending}
          aria-label={`${t(`activity.job.${action}`)}: ${jobKind(job.kind, t)} ${job.subject}`}
          onPress={() => act.mutate(action)}
        >
          {t(`activity.job.${action}`)}
        </Button>
      )}
      {act.isError && <ProblemView cause={act.error} />}
    </li>
  );
}

function AuditRow({ entry }: { entry: AuditEntry }) {
  const { language } = useI18n();
  return (
    <li className={rows.row}>
      <code className={css.kind}>{entry.action}</code>
      <span className={entry.outcome === "ok" ? css.state : `${css.state} ${rows.bad}`}>{entry.outcome}</span>
      <span className={rows.rest}>
        <Subject id={entry.subject} />
      </span>
      <span className={css.actor}>{entry.actor}</span>
      <time className={rows.when} dateTime={entry.created_at}>
        {formatTime(entry.created_at, language)}
      </time>
    </li>
  );
}
