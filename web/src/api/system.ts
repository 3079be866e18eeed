import { queryOptions } from "@tanstack/react-query";
import { ApiError, getJson } from "./client.ts";
import type { Me, Readiness, Version } from "./types.ts";

/** How often readiness is read again while the page is visible, in milliseconds. */
const HEALTHY_MS = 15_000;
const TROUBLED_MS = 4_000;

/** What the page knows about the server: its report, or that it is away. */
export type ServerState =
  | { readonly kind: "report"; readonly report: Readiness; readonly available: boolean }
  | { readonly kind: "lost" };

async function readServer(signal: AbortSignal): Promise<ServerState> {
  let response: Response;
  try {
    response = await fetch("/readyz", { headers: { accept: "application/json" }, signal });
  } catch (cause) {
    if (signal.aborted) throw cause;
    return { kind: "lost" };
  }
  try {
    const report = (await response.json()) as Readiness;
    return { kind: "report", report, available: response.ok };
  } catch {
    // A proxy in front answers for a server that is away.
    return response.ok || response.status === 503
      ? { kind: "report", report: { status: "unavailable" }, available: response.ok }
      : { kind: "lost" };
  }
}

/** Readiness, polled; faster while something is wrong. */
export function serverQuery() {
  return queryOptions({
    queryKey: ["server"] as const,
    queryFn: ({ signal }) => readServer(signal),
    refetchInterval: ({ state }) => (state.data?.kind === "report" && state.data.available ? HEALTHY_MS : TROUBLED_MS),
    refetchOnWindowFocus: true,
    staleTime: 0,
  });
}

/** The build that answers. */
export function versionQuery() {
  return queryOptions({
    queryKey: ["version"] as const,
    queryFn: ({ signal }) => getJson<Version>("/api/version", signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** The signed-in principal, or null when nobody is signed in. */
export function meQuery() {
  return queryOptions({
    queryKey: ["me"] as const,
    queryFn: async ({ signal }): Promise<Me | null> => {
      try {
        return await getJson<Me>("/api/v1/me", signal);
      } catch (cause) {
        if (cause instanceof ApiError && cause.status === 401) return null;
        throw cause;
      }
    },
    refetchOnWindowFocus: true,
    // Someone who waits at the sign-in page opens the link in another tab: notice it.
    refetchInterval: ({ state }) => (state.data === null ? 3_000 : false),
    staleTime: 60_000,
  });
}
