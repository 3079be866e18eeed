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

/** Lists and counts are read again at most this often while events come in, in milliseconds. */
const REFRESH_MS = 400;

function reasonOf(error: DocumentEvent["error"]): Document["error"] {
  if (!error) return null;
  return typeof error === "string" ? { code: "failed", message: error } : error;
}

/** A page of documents with one event applied to it. */
export function applyDocumentEvent(page: Page<Document>, event: DocumentEvent): Page<Document> {
  if (event.state === "deleted") {
    return { ...page, items: page.items.filter(({ id }) => id !== event.document_id) };
  }
  const { state } = event;
  return {
    ...page,
    items: page.items.map((document) =>
      document.id === event.document_id
        ? {
            ...document,
            state,
            error: reasonOf(event.error),
            chunk_count: event.chunks ?? document.chunk_count,
          }
        : document,
    ),
  };
}

/**
 * Follows a source: states of documents change on the page as they change on the server, and the lists are read
 * again soon after, for what the events do not carry. Returns whether the stream is up, and the last landing.
 */
export function useSourceEvents(sourceId: string): { live: boolean; landing: Landing | undefined } {
  const client = useQueryClient();
  const [live, setLive] = useState(true);
  const [landing, setLanding] = useState<Landing>();
  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refresh = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void client.invalidateQueries({ queryKey: ["sources", sourceId] });
      }, REFRESH_MS);
    };
    // The stream begins with what happened before this page was opened; that is no news to announce.
    const opened = Date.now();
    const isNews = () => Date.now() - opened > 1_500;
    const run = async () => {
      const onState = (state: "open" | "resuming") => {
        setLive(state === "open");
        // What happened during a cut may have been deleted from the stream: read the lists again.
        if (state === "open") refresh();
      };
      for await (const event of sourceEvents(sourceId, controller.signal, onState)) {
        client.setQueriesData<InfiniteData<Page<Document>>>(
          { queryKey: ["sources", sourceId, "documents"], predicate: ({ queryKey }) => isUnfiltered(queryKey) },
          (data) => data && { ...data, pages: data.pages.map((page) => applyDocumentEvent(page, event)) },
        );
        refresh();
        if (isNews() && (event.state === "ready" || event.state === "failed")) {
          setLanding({ name: event.name, state: event.state, reason: reasonOf(event.error)?.message ?? "" });
        }
      }
    };
    run().catch(() => setLive(false));
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [client, sourceId]);
  return { live, landing };
}

/** In a list of one state a changed document would be wrong, not moved: such lists are read again instead. */
function isUnfiltered(key: readonly unknown[]): boolean {
  const filter = key.at(-1);
  return typeof filter === "object" && filter !== null && "state" in filter && filter.state === null;
}
