import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { getJson, query, send, sendJson } from "./client.ts";
import type { Document, DocumentContent, DocumentState, Page } from "./types.ts";

/** Documents of a source, page after page, optionally of one state. */
export function documentsQuery(sourceId: string, state?: DocumentState, limit = 50) {
  return infiniteQueryOptions({
    queryKey: ["sources", sourceId, "documents", { state: state ?? null, limit }] as const,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) =>
      getJson<Page<Document>>(
        `/api/v1/sources/${encodeURIComponent(sourceId)}/documents${query({ state, limit, cursor: pageParam })}`,
        signal,
      ),
    getNextPageParam: (last) => last.next_cursor,
  });
}

/** The newest documents of a source that can be asked about. */
export function readyDocumentsQuery(sourceId: string, limit: number) {
  return queryOptions({
    queryKey: ["sources", sourceId, "ready", limit] as const,
    queryFn: ({ signal }) =>
      getJson<Page<Document>>(
        `/api/v1/sources/${encodeURIComponent(sourceId)}/documents${query({ state: "ready", limit })}`,
        signal,
      ),
  });
}

/** One document. */
export function documentQuery(id: string) {
  return queryOptions({
    queryKey: ["documents", id] as const,
    queryFn: ({ signal }) => getJson<Document>(`/api/v1/documents/${encodeURIComponent(id)}`, signal),
  });
}

/** The text of a document, which every offset refers to. */
export function contentQuery(id: string) {
  return queryOptions({
    queryKey: ["documents", id, "content"] as const,
    queryFn: ({ signal }) => getJson<DocumentContent>(`/api/v1/documents/${encodeURIComponent(id)}/content`, signal),
  });
}

/** Deletes a document and everything that was read from it. */
export function deleteDocument(id: string): Promise<void> {
  return sendJson<void>("DELETE", `/api/v1/documents/${encodeURIComponent(id)}`);
}

/** Puts a failed document back into the queue. */
export function retryDocument(id: string): Promise<Document> {
  return sendJson<Document>("POST", `/api/v1/documents/${encodeURIComponent(id)}/retry`);
}

/** A file to send, with the name it shall have in the source (a path for files of a folder). */
export interface NamedFile {
  readonly name: string;
  readonly file: File;
}

/** Sends one file; the reply is the queued document, or the existing one when nothing changed. */
export async function uploadDocument(sourceId: string, { name, file }: NamedFile): Promise<Document> {
  const form = new FormData();
  form.append("file", file, name);
  const response = await send(`/api/v1/sources/${encodeURIComponent(sourceId)}/documents`, {
    method: "POST",
    headers: { accept: "application/json" },
    body: form,
  });
  const { items } = (await response.json()) as { items: Document[] };
  return items[0] as Document;
}
