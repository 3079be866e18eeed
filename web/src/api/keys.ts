import { infiniteQueryOptions } from "@tanstack/react-query";
import { getJson, query, sendJson } from "./client.ts";
import type { ApiKey, MadeApiKey, NewApiKey, Page } from "./types.ts";

/** The signed-in person's API keys, newest first, page after page. */
export function apiKeysQuery() {
  return infiniteQueryOptions({
    queryKey: ["api-keys"] as const,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      getJson<Page<ApiKey>>(`/api/v1/api-keys${query({ limit: 50, cursor: pageParam })}`, signal),
    getNextPageParam: (last) => last.next_cursor,
  });
}

/** Makes a key. Its secret is in the answer and nowhere else. */
export function makeApiKey(key: NewApiKey): Promise<MadeApiKey> {
  return sendJson<MadeApiKey>("POST", "/api/v1/api-keys", key);
}

/** Revokes a key. */
export function revokeApiKey(id: string): Promise<ApiKey> {
  return sendJson<ApiKey>("DELETE", `/api/v1/api-keys/${encodeURIComponent(id)}`);
}
