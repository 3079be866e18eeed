import { type QueryClient, queryOptions } from "@tanstack/react-query";
import { getJson, query, sendJson } from "./client.ts";
import { follow, openStream, type StreamState } from "./stream.ts";
import type { DocumentEvent, NewSource, Page, Source, SourceChange } from "./types.ts";

/** How often the sources are read again while documents are on their way, in milliseconds. */
const BUSY_MS = 2_000;

/** Documents of these sources that have not been read yet. */
export function pendingOf(sources: readonly Source[]): number {
  return sources.reduce((sum, { documents_by_state: by }) => sum + (by.queued ?? 0) + (by.running ?? 0), 0);
}

/** All sources, up to the largest page the server gives (200). Read again while documents are on their way. */
export function sourcesQuery() {
  return queryOptions({
    queryKey: ["sources"] as const,
    queryFn: ({ signal }) => getJson<Page<Source>>(`/api/v1/sources${query({ limit: 200 })}`, signal),
    refetchInterval: ({ state }) => (state.data && pendingOf(state.data.items) > 0 ? BUSY_MS : false),
  });
}

/** One source. */
export function sourceQuery(id: string) {
  return queryOptions({
    queryKey: ["sources", id] as const,
    queryFn: ({ signal }) => getJson<Source>(`/api/v1/sources/${encodeURIComponent(id)}`, signal),
  });
}

/** Creates a source; a name that is taken is refused with the code `source_exists`. */
export function createSource(input: NewSource): Promise<Source> {
  return sendJson<Source>("POST", "/api/v1/sources", input);
}

/** Changes the settings of a source that are given. */
export function changeSource(id: string, change: SourceChange): Promise<Source> {
  return sendJson<Source>("PATCH", `/api/v1/sources/${encodeURIComponent(id)}`, change);
}

/** Deletes a source with all its documents. */
export function deleteSource(id: string): Promise<void> {
  return sendJson<void>("DELETE", `/api/v1/sources/${encodeURIComponent(id)}`);
}

/** Marks everything known about sources and documents as out of date. */
export function refreshSources(client: QueryClient): Promise<void> {
  return client.invalidateQueries({ queryKey: ["sources"] });
}

/**
 * Yields the changes of a source's documents from now on, through any number of cuts, until aborted. What was before
 * is not told: read the lists when the state becomes `open`, and nothing is missed between them and the first event.
 */
export async function* sourceEvents(
  id: string,
  signal: AbortSignal,
  onState?: (state: StreamState) => void,
): AsyncGenerator<DocumentEvent> {
  const path = `/api/v1/sources/${encodeURIComponent(id)}/events`;
  const stream = follow({
    open: (after, inner) => openStream(after > 0 ? path : `${path}?after=latest`, after, inner),
    isTerminal: (event) => event.event === "source.deleted",
    signal,
    onState,
  });
  for await (const event of stream) {
    if (!event.event.startsWith("document.")) continue;
    const data = JSON.parse(event.data) as DocumentEvent;
    yield event.event === "document.deleted" ? { ...data, state: "deleted" } : data;
  }
}
