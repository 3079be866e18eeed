import { infiniteQueryOptions } from "@tanstack/react-query";
import { getJson, query, sendJson } from "./client.ts";
import type { AuditEntry, Job, Page } from "./types.ts";

/** Background jobs, newest first, page after page. */
export function jobsQuery(limit = 20) {
  return infiniteQueryOptions({
    queryKey: ["jobs", limit] as const,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      getJson<Page<Job>>(`/api/v1/jobs${query({ limit, cursor: pageParam })}`, signal),
    getNextPageParam: (last) => last.next_cursor,
  });
}

/** Audit entries, newest first, page after page. */
export function auditQuery(limit = 20) {
  return infiniteQueryOptions({
    queryKey: ["audit", limit] as const,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      getJson<Page<AuditEntry>>(`/api/v1/audit${query({ limit, cursor: pageParam })}`, signal),
    getNextPageParam: (last) => last.next_cursor,
  });
}

/** Cancels a job that has not ended, or puts a failed one back into the queue. */
export function actOnJob(id: string, action: "cancel" | "retry"): Promise<Job> {
  return sendJson<Job>("POST", `/api/v1/jobs/${encodeURIComponent(id)}/${action}`);
}
