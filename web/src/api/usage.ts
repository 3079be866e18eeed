import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { getJson, query, sendJson } from "./client.ts";
import type { Budget, BudgetState, NewBudget, Page, UsageBy, UsageReport } from "./types.ts";

/** What models cost in the last thirty days, summed up. */
export function usageQuery(by: UsageBy) {
  return queryOptions({
    queryKey: ["usage", by] as const,
    queryFn: ({ signal }) => getJson<UsageReport>(`/api/v1/usage${query({ by })}`, signal),
  });
}

/** Where the same sums are as a file. */
export function usageFile(by: UsageBy): string {
  return `/api/v1/usage/export${query({ by })}`;
}

/** The tenant's budgets, page after page. */
export function budgetsQuery() {
  return infiniteQueryOptions({
    queryKey: ["budgets"] as const,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      getJson<Page<BudgetState>>(`/api/v1/budgets${query({ limit: 50, cursor: pageParam })}`, signal),
    getNextPageParam: (last) => last.next_cursor,
  });
}

/** Makes a budget. */
export function makeBudget(budget: NewBudget): Promise<Budget> {
  return sendJson<Budget>("POST", "/api/v1/budgets", budget);
}

/** Deletes a budget. */
export function deleteBudget(id: string): Promise<void> {
  return sendJson<void>("DELETE", `/api/v1/budgets/${encodeURIComponent(id)}`);
}
