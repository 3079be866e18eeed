import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useId, useState } from "react";
import { meQuery } from "../../api/system.ts";
import type { UsageBy, UsageReport, UsageSum } from "../../api/types.ts";
import { budgetsQuery, usageFile, usageQuery } from "../../api/usage.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Loading, Page } from "../../ui/page.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import { Section } from "../../ui/section.tsx";
import { AddBudget, BudgetRow } from "./budgets.tsx";
import { Plot } from "./plot.tsx";
import css from "./usage.module.css";

const TABLES = ["model", "person", "agent", "key", "day"] as const satisfies readonly UsageBy[];

/** What is plotted. */
export type Measure = "cost" | "tokens";

/** The value of a sum that is plotted: micro-USD or tokens. */
export function amountOf(sum: UsageSum, measure: Measure): number {
  return measure === "cost" ? sum.cost_micro_usd : sum.input_tokens + sum.output_tokens;
}

/** Micro-USD as an amount of money; small amounts keep their cents' parts. */
export function formatMoney(micro: number, locale: string): string {
  const digits = micro !== 0 && Math.abs(micro) < 1_000_000 ? 4 : 2;
  return new Intl.NumberFormat(locale, { style: "currency", currency: "USD", maximumFractionDigits: digits }).format(
    micro / 1_000_000,
  );
}

/** A value of a measure in words. */
export function formatValue(value: number, measure: Measure, locale: string): string {
  return measure === "cost" ? formatMoney(value, locale) : new Intl.NumberFormat(locale).format(value);
}

/** What models cost the tenant, and its budgets. */
export function UsagePage() {
  const { t } = useI18n();
  const me = useQuery(meQuery());
  const budgets = useInfiniteQuery(budgetsQuery());
  const manages = me.data?.principal.rights.includes("manage_budgets") ?? false;
  return (
    <Page title={t("usage.title")} lead={t("usage.lead")}>
      <Days />
      <Table />
      <Section
        title={t("usage.budgets")}
        none={t("usage.budgets.none")}
        list={budgets}
        actions={manages ? <AddBudget /> : undefined}
      >
        {(budgets.data?.pages.flatMap((page) => page.items) ?? []).map((budget) => (
          <BudgetRow key={budget.id} budget={budget} manages={manages} />
        ))}
      </Section>
    </Page>
  );
}

function Days() {
  const { t, language } = useI18n();
  const [measure, setMeasure] = useState<Measure>("cost");
  const id = useId();
  const days = useQuery(usageQuery("day"));
  return (
    <section className={css.section} aria-labelledby={`${id}-title`}>
      <div className={css.bar}>
        <h2 id={`${id}-title`} className={css.title}>
          {t("usage.days")}
        </h2>
        <span className={css.pick}>
          <label htmlFor={id}>{t("usage.measure")}</label>
          <select id={id} value={measure} onChange={(event) => setMeasure(event.target.value as Measure)}>
            <option value="cost">{t("usage.cost")}</option>
            <option value="tokens">{t("usage.tokens")}</option>
          </select>
        </span>
      </div>
      {days.isError ? (
        <ProblemView cause={days.error} onRetry={() => void days.refetch()} />
      ) : days.isPending ? (
        <Loading label={t("app.loading")} />
      ) : days.data.total.requests === 0 ? (
        <p className={css.none}>{t("usage.none")}</p>
      ) : (
        <>
          <p className={css.soft}>
            {t("usage.total", {
              cost: formatMoney(days.data.total.cost_micro_usd, language),
              tokens: amountOf(days.data.total, "tokens"),
              n: days.data.total.requests,
            })}
            {days.data.total.unpriced > 0 && ` ${t("usage.unpriced", { n: days.data.total.unpriced })}`}
          </p>
          <div className={css.plot}>
            <Plot report={days.data} measure={measure} />
          </div>
        </>
      )}
    </section>
  );
}

function Table() {
  const { t } = useI18n();
  const [by, setBy] = useState<UsageBy>("model");
  const id = useId();
  const sums = useQuery(usageQuery(by));
  return (
    <section className={css.section} aria-labelledby={`${id}-title`}>
      <div className={css.bar}>
        <h2 id={`${id}-title`} className={css.title}>
          {t("usage.table")}
        </h2>
        <span className={css.pick}>
          <label htmlFor={id}>{t("usage.by")}</label>
          <select id={id} value={by} onChange={(event) => setBy(event.target.value as UsageBy)}>
            {TABLES.map((each) => (
              <option key={each} value={each}>
                {t(`usage.by.${each}`)}
              </option>
            ))}
          </select>
          <a href={usageFile(by)} download>
            {t("usage.csv")}
          </a>
        </span>
      </div>
      {sums.isError ? (
        <ProblemView cause={sums.error} onRetry={() => void sums.refetch()} />
      ) : sums.isPending ? (
        <Loading label={t("app.loading")} />
      ) : sums.data.items.length === 0 ? (
        <p className={css.none}>{t("usage.none")}</p>
      ) : (
        <Sums report={sums.data} titled={`${id}-title`} />
      )}
    </section>
  );
}

function Sums({ report, titled }: { report: UsageReport; titled: string }) {
  const { t, language } = useI18n();
  const number = new Intl.NumberFormat(language);
  const by = TABLES.find((each) => each === report.by) ?? "model";
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keyboard
    <section className={css.scroll} aria-labelledby={titled} tabIndex={0}>
      <table className={css.table}>
        <thead>
          <tr>
            <th scope="col">{t(`usage.by.${by}`)}</th>
            <th scope="col">{t("usage.requests")}</th>
            <th scope="col">{t("usage.failed")}</th>
            <th scope="col">{t("usage.input")}</th>
            <th scope="col">{t("usage.output")}</th>
            <th scope="col">{t("usage.cost")}</th>
          </tr>
        </thead>
        <tbody>
          {report.items.map((item) => (
            <tr key={item.key}>
              <th scope="row">{item.key === "" ? t("usage.nothing") : item.key}</th>
              <td>{number.format(item.requests)}</td>
              <td>{number.format(item.failed)}</td>
              <td>{number.format(item.input_tokens)}</td>
              <td>{number.format(item.output_tokens)}</td>
              <td>{item.unpriced === item.requests ? "–" : formatMoney(item.cost_micro_usd, language)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
