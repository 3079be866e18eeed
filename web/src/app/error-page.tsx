import type { ErrorComponentProps } from "@tanstack/react-router";
import { useI18n } from "../lib/i18n/index.ts";
import { Page } from "../ui/page.tsx";
import { ProblemView } from "../ui/problem.tsx";

/** What is shown when a view itself breaks. */
export function ErrorPage({ error, reset }: ErrorComponentProps) {
  const { t } = useI18n();
  return (
    <Page title={t("error.title")} narrow>
      <ProblemView cause={error} onRetry={reset} />
    </Page>
  );
}
