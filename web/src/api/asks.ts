import { queryOptions } from "@tanstack/react-query";
import { getJson, query } from "./client.ts";
import { follow, openStream, type StreamState } from "./stream.ts";
import type { Ask, AskEvent, AskRequest, Page } from "./types.ts";

const TERMINAL: ReadonlySet<string> = new Set(["ask.completed", "ask.failed"]);
const KINDS: ReadonlySet<string> = new Set([...TERMINAL, "ask.started", "ask.retrieved", "answer.delta"]);

/** A question to put: to all sources when `sources` is empty. */
export interface Question {
  readonly question: string;
  readonly sources: readonly string[];
}

/** Recent asks, newest first. */
export function askHistory(limit = 8) {
  return queryOptions({
    queryKey: ["asks", limit] as const,
    queryFn: ({ signal }) => getJson<Page<Ask>>(`/api/v1/asks${query({ limit })}`, signal),
  });
}

async function* events(
  open: (after: number, signal: AbortSignal) => Promise<Response>,
  signal: AbortSignal,
  onState?: (state: StreamState) => void,
): AsyncGenerator<AskEvent> {
  const stream = follow({ open, signal, onState, attempts: 6, isTerminal: (event) => TERMINAL.has(event.event) });
  for await (const event of stream) {
    // Kinds of a newer server are passed over.
    if (KINDS.has(event.event)) yield { kind: event.event, data: JSON.parse(event.data) } as AskEvent;
  }
}

/**
 * Puts a question and yields its events. When the connection is cut after `ask.started`, the answer goes on
 * from `/asks/{id}/events` behind the last event seen; before it, the question is sent again under the same
 * idempotency key.
 */
export async function* ask(
  question: Question,
  signal: AbortSignal,
  onState?: (state: StreamState) => void,
): AsyncGenerator<AskEvent> {
  const key = crypto.randomUUID();
  let id: string | undefined;
  const request: AskRequest = { question: question.question };
  if (question.sources.length > 0) request.sources = [...question.sources];
  const body = JSON.stringify(request);
  const open = (after: number, inner: AbortSignal) =>
    id !== undefined
      ? openStream(`/api/v1/asks/${encodeURIComponent(id)}/events`, after, inner)
      : openStream("/api/v1/ask", 0, inner, {
          method: "POST",
          headers: { "content-type": "application/json", "idempotency-key": key },
          body,
        });
  for await (const event of events(open, signal, onState)) {
    if (event.kind === "ask.started") id = event.data.id;
    yield event;
  }
}

/** Yields the events of an earlier ask from its first one; an ask still under way goes on live. */
export function replayAsk(
  id: string,
  signal: AbortSignal,
  onState?: (state: StreamState) => void,
): AsyncGenerator<AskEvent> {
  return events(
    (after, inner) => openStream(`/api/v1/asks/${encodeURIComponent(id)}/events`, after, inner),
    signal,
    onState,
  );
}
