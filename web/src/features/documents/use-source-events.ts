import { type InfiniteData, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { sourceEvents } from "../../api/sources.ts";
import type { Document, DocumentEvent, Page } from "../../api/types.ts";

/** A document whose reading has just ended, for the live region. */
export interface Landing {
  readonly name: string;
  readonly state: "ready" | "failed";
  readonly reason: string;
}

/**
 * Events are gathered until the stream pauses for the first time, or for the second one at most, in milliseconds:
 * documents are read faster than is worth drawing one by one.
 */
const PAUSE_MS = 60;
const LONGEST_MS = 400;

/** The last event of each document, by its id. */
export type Changes = ReadonlyMap<string, DocumentEvent>;

/** A page of documents with changes applied to it. */
export function applyChanges(page: Page<Document>, changes: Changes): Page<Document> {
  const items = page.items.flatMap((document) => {
    const event = changes.get(document.id);
    if (!event) return [document];
    const { state } = event;
    if (state === "deleted") return [];
    return [
      {
        ...document,
        state,
        error: event.error ?? null,
        chunk_count: event.chunks ?? document.chunk_count,
        embedded: event.embedded ?? document.embedded,
        duplicate_of: event.duplicate_of === undefined ? document.duplicate_of : event.duplicate_of,
      },
    ];
  });
  return { ...page, items };
}

/** The last of the changes that ended the reading of a document that the page showed as waiting. */
export function landingOf(documents: readonly Document[], changes: Changes): Landing | undefined {
  let landing: Landing | undefined;
  for (const { id, name, state } of documents) {
    const event = changes.get(id);
    if ((state === "queued" || state === "running") && (event?.state === "ready" || event?.state === "failed")) {
      landing = { name, state: event.state, reason: event.error?.message ?? "" };
    }
  }
  return landing;
}

/** In a list of one state a changed document would be wrong, not moved: such lists are only read again. */
function isUnfiltered(key: readonly unknown[]): boolean {
  const filter = key.at(-1);
  return typeof filter === "object" && filter !== null && "state" in filter && filter.state === null;
}

/**
 * Follows a source: states of documents change on the page as they change on the server, and the lists are read
 * again behind that, for what the events do not carry. Returns whether the stream is up, and the last landing.
 */
export function useSourceEvents(sourceId: string): { live: boolean; landing: Landing | undefined } {
  const client = useQueryClient();
  const [live, setLive] = useState(true);
  const [landing, setLanding] = useState<Landing>();
  useEffect(() => {
    const controller = new AbortController();
    const lists = { queryKey: ["sources", sourceId, "documents"] };
    let changes = new Map<string, DocumentEvent>();
    let pause: ReturnType<typeof setTimeout> | undefined;
    let limit: ReturnType<typeof setTimeout> | undefined;

    const flush = () => {
      clearTimeout(pause);
      clearTimeout(limit);
      limit = undefined;
      const gathered = changes;
      changes = new Map();
      const shown = client
        .getQueriesData<InfiniteData<Page<Document>>>(lists)
        .flatMap(([, data]) => data?.pages.flatMap((page) => page.items) ?? []);
      setLanding((before) => landingOf(shown, gathered) ?? before);
      client.setQueriesData<InfiniteData<Page<Document>>>(
        { ...lists, predicate: ({ queryKey }) => isUnfiltered(queryKey) },
        (data) => data && { ...data, pages: data.pages.map((page) => applyChanges(page, gathered)) },
      );
      void client.invalidateQueries({ queryKey: ["sources", sourceId] });
    };

    const run = async () => {
      const onState = (state: "open" | "resuming") => {
        setLive(state === "open");
        // The stream begins with what is new, so the lists are read once it is open.
        if (state === "open") void client.invalidateQueries({ queryKey: ["sources", sourceId] });
      };
      for await (const event of sourceEvents(sourceId, controller.signal, onState)) {
        changes.set(event.document_id, event);
        clearTimeout(pause);
        pause = setTimeout(flush, PAUSE_MS);
        limit ??= setTimeout(flush, LONGEST_MS);
      }
    };
    run().catch(() => setLive(false));
    return () => {
      clearTimeout(pause);
      clearTimeout(limit);
      controller.abort();
    };
  }, [client, sourceId]);
  return { live, landing };
}
