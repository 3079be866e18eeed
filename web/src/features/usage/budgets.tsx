import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import type { BudgetState, NewBudget } from "../../api/types.ts";
import { deleteBudget, makeBudget } from "../../api/usage.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import { Button } from "../../ui/button.tsx";
import { ConfirmDialog, Dialog, dialogActions } from "../../ui/dialog.tsx";
import form from "../../ui/form.module.css";
import { Icon } from "../../ui/icons.tsx";
import { ProblemView } from "../../ui/problem.tsx";
import { Progress } from "../../ui/progress.tsx";
import rows from "../../ui/rows.module.css";
import css from "./usage.module.css";
import { formatValue } from "./usage-page.tsx";

const SCOPES = ["tenant", "user", "key", "agent"] as const satisfies readonly NewBudget["scope"][];

/** A budget with a bar of what is used. */
export function BudgetRow({ budget, manages }: { budget: BudgetState; manages: boolean }) {
  const { t, language } = useI18n();
  const client = useQueryClient();
  const remove = useMutation({
    mutationFn: () => deleteBudget(budget.id),
    onSettled: () => client.invalidateQueries({ queryKey: ["budgets"] }),
  });
  const measure = budget.unit === "micro_usd" ? "cost" : "tokens";
  const whose = budget.subject === "" || budget.subject === "*" ? "" : ` ${budget.subject}`;
  const name = `${t(`usage.scope.${budget.subject === "*" ? "each." : ""}${budget.scope}` as "usage.scope.user")}${whose}`;
  const over = budget.used >= budget.amount;
  const used = t("usage.budget.used", {
    used: formatValue(budget.used, measure, language),
    amount: formatValue(budget.amount, measure, language),
  });
  return (
    <li className={rows.row}>
      <span className={css.whose}>{name}</span>
      <span className={rows.rest}>
        {t(`usage.period.${budget.period}`)} · {t(`usage.action.${budget.action}`)}
        {over && <span className={rows.bad}> · {t("usage.budget.over")}</span>}
      </span>
      <div className={css.meter}>
        <Progress label={name} text={used} value={Math.min(budget.used, budget.amount)} max={budget.amount} />
      </div>
      {manages && (
        <ConfirmDialog
          trigger={
            <Button
              small
              emphasis="quiet"
              isDisabled={remove.isPending}
              aria-label={`${t("usage.budget.delete")}: ${name}`}
            >
              {t("usage.budget.delete")}
            </Button>
          }
          title={t("usage.budget.delete.title", { name })}
          body={t("usage.budget.delete.body")}
          confirm={t("usage.budget.delete")}
          onConfirm={() => remove.mutate()}
        />
      )}
      {remove.isError && <ProblemView cause={remove.error} />}
    </li>
  );
}

/** The button that opens the form of a new budget. */
export function AddBudget() {
  const { t } = useI18n();
  return (
    <Dialog
      title={t("usage.budget.add")}
      trigger={
        <Button small>
          <Icon name="plus" /> {t("usage.budget.add")}
        </Button>
      }
    >
      {(close) => <AddForm onClose={close} />}
    </Dialog>
  );
}

function AddForm({ onClose }: { onClose: () => void }) {
  const { t } = useI18n();
  const client = useQueryClient();
  const [budget, setBudget] = useState<NewBudget>({
    scope: "tenant",
    subject: "",
    period: "month",
    unit: "micro_usd",
    amount: 0,
    warn_at: 80,
    action: "block",
  });
  const [amount, setAmount] = useState("");
  const ids = { scope: useId(), subject: useId(), period: useId(), unit: useId(), amount: useId(), action: useId() };
  const change = (part: Partial<NewBudget>) => setBudget({ ...budget, ...part });
  const number = Number(amount);
  const valid =
    amount.trim() !== "" &&
    Number.isFinite(number) &&
    number >= 0 &&
    (budget.scope === "tenant" || budget.subject?.trim());
  const add = useMutation({
    mutationFn: () =>
      makeBudget({
        ...budget,
        subject: budget.scope === "tenant" ? "" : budget.subject?.trim(),
        amount: Math.round(budget.unit === "micro_usd" ? number * 1_000_000 : number),
      }),
    onSuccess: async () => {
      await client.invalidateQueries({ queryKey: ["budgets"] });
      onClose();
    },
  });
  return (
    <form
      className={form.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (valid) add.mutate();
      }}
    >
      <div className={form.pair}>
        <div className={form.field}>
          <label htmlFor={ids.scope}>{t("usage.budget.scope")}</label>
          <select
            id={ids.scope}
            value={budget.scope}
            onChange={(event) => {
              const scope = event.target.value as NewBudget["scope"];
              change({ scope, subject: scope === "tenant" ? "" : "*" });
            }}
          >
            {SCOPES.map((each) => (
              <option key={each} value={each}>
                {t(`usage.scope.${each}`)}
              </option>
            ))}
          </select>
        </div>
        {budget.scope !== "tenant" && (
          <div className={form.field}>
            <label htmlFor={ids.subject}>{t("usage.budget.subject")}</label>
            <input
              id={ids.subject}
              required
              maxLength={200}
              value={budget.subject}
              onChange={(event) => change({ subject: event.target.value })}
            />
          </div>
        )}
      </div>
      <div className={form.pair}>
        <div className={form.field}>
          <label htmlFor={ids.amount}>{t("usage.budget.amount")}</label>
          <input
            id={ids.amount}
            type="number"
            min={0}
            step="any"
            required
            value={amount}
            onChange={(event) => setAmount(event.target.value)}
          />
        </div>
        <div className={form.field}>
          <label htmlFor={ids.unit}>{t("usage.budget.unit")}</label>
          <select
            id={ids.unit}
            value={budget.unit}
            onChange={(event) => change({ unit: event.target.value as NewBudget["unit"] })}
          >
            <option value="micro_usd">{t("usage.unit.usd")}</option>
            <option value="tokens">{t("usage.tokens")}</option>
          </select>
        </div>
      </div>
      <div className={form.pair}>
        <div className={form.field}>
          <label htmlFor={ids.period}>{t("usage.budget.period")}</label>
          <select
            id={ids.period}
            value={budget.period}
            onChange={(event) => change({ period: event.target.value as NewBudget["period"] })}
          >
            <option value="month">{t("usage.period.month")}</option>
            <option value="day">{t("usage.period.day")}</option>
          </select>
        </div>
        <div className={form.field}>
          <label htmlFor={ids.action}>{t("usage.budget.action")}</label>
          <select
            id={ids.action}
            value={budget.action}
            onChange={(event) => change({ action: event.target.value as NewBudget["action"] })}
          >
            <option value="block">{t("usage.action.block")}</option>
            <option value="warn">{t("usage.action.warn")}</option>
          </select>
        </div>
      </div>
      {add.isError && <ProblemView cause={add.error} />}
      <div className={dialogActions}>
        <Button onPress={onClose}>{t("app.cancel")}</Button>
        <Button emphasis="primary" type="submit" isDisabled={add.isPending || !valid}>
          {t("usage.budget.add.do")}
        </Button>
      </div>
    </form>
  );
}
