import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import type { BudgetState, Me, Page, UsageReport, UsageSum } from "../src/api/types.ts";
import { daysOf, roundUp } from "../src/features/usage/plot.tsx";
import { open } from "./render.tsx";
import { json, ME, serve } from "./server.ts";

const CHIEF: Me = { ...ME, principal: { ...ME.principal, rights: ["own_account", "read_usage", "manage_budgets"] } };

function sum(key: string, cost: number): UsageSum {
  return {
    key,
    requests: 2,
    failed: 1,
    estimated: 0,
    unpriced: 0,
    input_tokens: 1200,
    output_tokens: 34,
    cached_tokens: 0,
    reasoning_tokens: 0,
    cost_micro_usd: cost,
  };
}

function report(by: UsageReport["by"], items: UsageSum[]): UsageReport {
  return { from: "2026-11-02", until: "2026-12-01", by, total: { ...sum("", 1_500_000), requests: 4 }, items };
}

const BUDGET: BudgetState = {
  id: "bud_1",
  scope: "user",
  subject: "*",
  period: "day",
  unit: "micro_usd",
  amount: 5_000_000,
  warn_at: 80,
  action: "block",
  version: 1,
  created_by: "user:a",
  created_at: "2026-11-20T10:00:00.000000Z",
  updated_at: "2026-11-20T10:00:00.000000Z",
  used: 5_000_000,
};

function usage(routes: Parameters<typeof serve>[0] = {}) {
  return serve({
    "GET /api/v1/me": () => json(CHIEF),
    "GET /api/v1/usage": ({ url }) => {
      const by = url.searchParams.get("by");
      if (by === "day") return json(report("day", [sum("2026-11-30", 1_000_000), sum("2026-12-01", 500_000)]));
      if (by === "person") return json(report("person", [sum("user:anna", 900_000)]));
      return json(report("model", [sum("gpt-4o", 1_500_000), { ...sum("local", 0), unpriced: 2 }]));
    },
    "GET /api/v1/budgets": () => json<Page<BudgetState>>({ items: [BUDGET], next_cursor: null }),
    ...routes,
  });
}

test("usage is plotted by day and summed up by model and person", async () => {
  const user = userEvent.setup();
  usage();
  await open("/usage");
  expect(await screen.findByRole("img", { name: /Cost a day, Nov 2 to Dec 1/ })).toBeTruthy();
  const row = await screen.findByRole("row", { name: /gpt-4o/ });
  expect(within(row).getByText("$1.50")).toBeTruthy();
  expect(within(screen.getByRole("row", { name: /local/ })).getByText("–")).toBeTruthy();
  await user.selectOptions(screen.getByLabelText("by"), "person");
  expect(await screen.findByRole("row", { name: /user:anna/ })).toBeTruthy();
  expect(screen.getByRole("link", { name: "CSV" }).getAttribute("href")).toBe("/api/v1/usage/export?by=person");
  await user.selectOptions(screen.getByLabelText("Show"), "tokens");
  expect(await screen.findByRole("img", { name: /Tokens a day/ })).toBeTruthy();
});

test("a budget shows what is used, and a new one is made in dollars", async () => {
  const user = userEvent.setup();
  const { seen } = usage({ "POST /api/v1/budgets": () => json(BUDGET, 201) });
  await open("/usage");
  const bar = await screen.findByRole("progressbar", { name: "Every person" });
  expect(bar.getAttribute("value")).toBe("5000000");
  expect(screen.getByText(/used up/)).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "New budget" }));
  const dialog = await screen.findByRole("dialog");
  await user.selectOptions(within(dialog).getByLabelText("For"), "agent");
  await user.type(within(dialog).getByLabelText("Amount"), "2.5");
  await user.click(within(dialog).getByRole("button", { name: "Make" }));
  await expect
    .poll(() => seen.find((r) => r.method === "POST")?.body)
    .toEqual({
      scope: "agent",
      subject: "*",
      period: "month",
      unit: "micro_usd",
      amount: 2_500_000,
      warn_at: 80,
      action: "block",
    });
});

test("who may not see usage is not led to it", async () => {
  serve({});
  await open("/account");
  expect(await screen.findByRole("link", { name: "Activity" })).toBeTruthy();
  expect(screen.queryByRole("link", { name: "Usage" })).toBeNull();
});

test("the plot has every day and a round top", () => {
  const days = daysOf(report("day", [sum("2026-11-30", 1)]));
  expect(days.length).toBe(30);
  expect(days.filter(({ sum: found }) => found).map(({ day }) => day)).toEqual(["2026-11-30"]);
  expect([0, 3, 5, 11, 700_000].map(roundUp)).toEqual([1, 5, 5, 20, 1_000_000]);
});
