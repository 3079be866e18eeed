import { useState } from "react";
import { useI18n } from "../lib/i18n/index.ts";
import { CodeText } from "./banner.tsx";
import { Button } from "./button.tsx";
import { Icon } from "./icons.tsx";
import css from "./problem.module.css";

/** The parts of an RFC 9457 problem that are shown. `status` 0 means that nobody answered. */
export interface ShownProblem {
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  readonly trace_id?: string;
  readonly errors?: readonly { field: string; message: string }[];
}

/** Reads the problem out of whatever was thrown. */
export function problemFrom(cause: unknown): ShownProblem {
  if (cause && typeof cause === "object" && "problem" in cause) return cause.problem as ShownProblem;
  return { title: "", status: -1, detail: cause instanceof Error ? cause.message : String(cause) };
}

/** An error with its way out: what happened, what to correct, a trace id to quote, and a retry when it makes sense. */
export function ProblemView({ cause, onRetry }: { cause: unknown; onRetry?: () => void }) {
  const { t } = useI18n();
  const problem = problemFrom(cause);
  const network = problem.status === 0;
  const title = network ? t("error.network") : problem.title || t("error.title");
  const detail = network ? t("error.network.detail") : problem.detail;
  return (
    <div className={css.problem} role="alert">
      <p className={css.title}>
        <Icon name="warn" /> {title}
      </p>
      {detail && (
        <p className={css.detail}>
          <CodeText text={detail} />
        </p>
      )}
      {problem.errors && problem.errors.length > 0 && (
        <dl className={css.fields} aria-label={t("error.fields")}>
          {problem.errors.map(({ field, message }) => (
            <div key={`${field}:${message}`}>
              <dt>{field}</dt>
              <dd>{message}</dd>
            </div>
          ))}
        </dl>
      )}
      <div className={css.foot}>
        {onRetry && (
          <Button small onPress={onRetry}>
            <Icon name="retry" size={16} /> {t("app.retry")}
          </Button>
        )}
        {problem.trace_id && <TraceId value={problem.trace_id} />}
      </div>
    </div>
  );
}

/** A trace id with a button that copies it. */
export function TraceId({ value }: { value: string }) {
  const { t } = useI18n();
  const [copied, setCopied] = useState(false);
  const copy = () =>
    navigator.clipboard?.writeText(value).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  return (
    <span className={css.trace}>
      {t("error.trace")} <code>{value}</code>
      <Button emphasis="quiet" small onPress={copy} aria-label={t("error.trace.copy")}>
        <Icon name={copied ? "check" : "copy"} size={16} />
      </Button>
      <span className="visually-hidden" role="status">
        {copied ? t("error.trace.copied") : ""}
      </span>
    </span>
  );
}
