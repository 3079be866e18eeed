import { useSyncExternalStore } from "react";
import { ApiError } from "./client.ts";
import { type NamedFile, uploadDocument } from "./documents.ts";

/** A file that the server refused. */
export interface Refusal {
  readonly name: string;
  readonly error: ApiError;
}

/** Files of one source on their way to the server. */
export interface Upload {
  readonly total: number;
  readonly done: number;
  readonly refused: readonly Refusal[];
}

/** Requests at a time: enough to keep the server busy, few enough to leave connections for the streams. */
const PARALLEL = 3;
const NOTHING: Upload = { total: 0, done: 0, refused: [] };

const uploads = new Map<string, Upload>();
const listeners = new Set<() => void>();

function put(sourceId: string, upload: Upload): void {
  uploads.set(sourceId, upload);
  for (const listener of listeners) listener();
}

function patch(sourceId: string, change: (upload: Upload) => Upload): void {
  put(sourceId, change(uploads.get(sourceId) ?? NOTHING));
}

/**
 * Sends files to a source, a few at a time. It lives outside of the components, so leaving the page of the
 * source does not stop it. Resolves when the last file is answered; refusals are kept for the page to show.
 */
export async function startUpload(sourceId: string, files: readonly NamedFile[]): Promise<void> {
  const before = uploads.get(sourceId) ?? NOTHING;
  const fresh = before.done >= before.total;
  put(
    sourceId,
    fresh ? { total: files.length, done: 0, refused: [] } : { ...before, total: before.total + files.length },
  );
  const queue = [...files];
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const { name } = next;
      try {
        await uploadDocument(sourceId, next);
        patch(sourceId, (upload) => ({ ...upload, done: upload.done + 1 }));
      } catch (cause) {
        const error =
          cause instanceof ApiError ? cause : new ApiError({ title: "network", status: 0, code: "network" });
        patch(sourceId, (upload) => ({
          ...upload,
          done: upload.done + 1,
          refused: [...upload.refused, { name, error }],
        }));
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, files.length) }, worker));
}

/** Forgets the refusals of a source once they were read. */
export function dismissRefusals(sourceId: string): void {
  patch(sourceId, (upload) => ({ ...upload, refused: [] }));
}

/** What is on its way to a source, as state. */
export function useUpload(sourceId: string): Upload {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => uploads.get(sourceId) ?? NOTHING,
  );
}
