import { vi } from "vitest";
import type {
  Answer,
  Ask,
  AskEvent,
  Citation,
  Document,
  DocumentContent,
  DocumentEvent,
  Me,
  Page,
  Readiness,
  Source,
  Version,
} from "../src/api/types.ts";

/** What a request of the page gets back, by `METHOD /path` (the path without its query). */
export type Handler = (request: { url: URL; init: RequestInit; body: unknown }) => Response | Promise<Response>;

/** A request that the page made. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Headers;
  readonly body: unknown;
}

/** Answers JSON of a checked type. */
export function json<T>(body: T, status = 200): Response {
  const type = status >= 400 ? "application/problem+json" : "application/json";
  return new Response(JSON.stringify(body), { status, headers: { "content-type": type } });
}

/** Answers a problem. */
export function problem(status: number, code: string, title: string, detail?: string): Response {
  return json({ type: "about:blank", title, status, code, detail, trace_id: "4bf92f35" }, status);
}

const encoder = new TextEncoder();

/** Text of stream events, numbered from `from`. */
export function frames(events: readonly { kind: string; data: unknown }[], from = 1): string {
  return events
    .map(({ kind, data }, i) => `id: ${from + i}\nevent: ${kind}\ndata: ${JSON.stringify(data)}\n\n`)
    .join("");
}

/** A stream that sends its text and then ends, breaks, or stays open. */
export function stream(text: string, then: "end" | "break" | "stay" = "end"): Response {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(`retry: 1\n\n${text}`));
      if (then === "end") controller.close();
    },
    pull(controller) {
      if (then === "break") controller.error(new TypeError("network error"));
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

/** The events of a whole ask, as a server would store them. */
export function askEvents(result: Answer): AskEvent[] {
  return [
    { kind: "ask.started", data: { id: result.id, question: result.question, trace_id: result.trace_id } },
    { kind: "ask.retrieved", data: { retrieval: result.retrieval, passages: result.citations.length } },
    ...(result.answer.match(/\S+\s*/g) ?? []).map((text) => ({ kind: "answer.delta" as const, data: { text } })),
    { kind: "ask.completed", data: result },
  ];
}

/** A source with the given parts. */
export function source(parts: Partial<Source> = {}): Source {
  return {
    id: "src_1",
    name: "handbook",
    description: "",
    chunk_size: 600,
    chunk_overlap: 80,
    ranking: { freshness: 0, half_life_days: 180, tags: {} },
    tags: [],
    document_count: 1,
    chunk_count: 2,
    documents_by_state: { queued: 0, running: 0, ready: 1, failed: 0, canceled: 0 },
    created_at: "2026-11-20T10:00:00.000000Z",
    updated_at: "2026-11-20T10:00:00.000000Z",
    ...parts,
  };
}

/** A document with the given parts. */
export function document(parts: Partial<Document> = {}): Document {
  return {
    id: "doc_1",
    source_id: "src_1",
    name: "network.md",
    mime: "text/markdown",
    size: 1200,
    lang: "en",
    title: "Office network",
    state: "ready",
    error: null,
    content_hash: "hash",
    duplicate_of: null,
    chunk_count: 2,
    embedded: true,
    tags: [],
    created_at: "2026-11-20T10:00:00.000000Z",
    updated_at: "2026-11-20T10:00:00.000000Z",
    job_id: "job_1",
    version: 1,
    ...parts,
  };
}

/** A citation with the given parts. */
export function citation(parts: Partial<Citation> = {}): Citation {
  return {
    n: 1,
    document_id: "doc_1",
    document: "Office network",
    source_id: "src_1",
    source: "handbook",
    heading: "Office network > Guests",
    start: 10,
    end: 40,
    score: 0.81,
    text: "Guests use the guest network.",
    ...parts,
  };
}

/** A finished ask with the given parts. */
export function askResult(parts: Partial<Answer> = {}): Answer {
  return {
    id: "ask_1",
    question: "Which network do guests use?",
    answer: "Guests use the guest network. [1]",
    answered: true,
    citations: [citation()],
    mode: "extractive",
    lang: "en",
    retrieval: "hybrid",
    notices: [],
    trace_id: "4bf92f35",
    created_at: "2026-11-20T10:00:00.000000Z",
    ...parts,
  };
}

const READY: Readiness = { status: "ready", degraded: [], dependencies: {}, offline: true };
const VERSION: Version = { name: "astrolabe", version: "0.1.0", git_sha: "abc", api_version: "v1" };
export const ME: Me = {
  principal: { id: "usr_1", name: "admin", roles: ["admin"], rights: ["own_account", "read_knowledge", "read_audit"] },
  tenant: { id: "ten_1", name: "default", slug: "default" },
  tenants: [{ id: "ten_1", name: "default", slug: "default" }],
  must_change: false,
};

/**
 * Stands in for the server at the `fetch` of the browser. Routes that are not given answer like a ready, signed-in
 * and empty installation; an unknown address is a 404, so a test notices a request it did not expect.
 */
export function serve(routes: Record<string, Handler>): { seen: Seen[] } {
  const seen: Seen[] = [];
  const base: Record<string, Handler> = {
    "GET /readyz": () => json(READY),
    "GET /api/version": () => json(VERSION),
    "GET /api/v1/me": () => json(ME),
    "GET /api/v1/sources": () => json<Page<Source>>({ items: [], next_cursor: null }),
    "GET /api/v1/asks": () => json<Page<Ask>>({ items: [], next_cursor: null }),
  };
  const table = { ...base, ...routes };
  vi.stubGlobal("fetch", async (input: string, init: RequestInit = {}) => {
    const url = new URL(input, "http://localhost");
    const method = init.method ?? "GET";
    const body = typeof init.body === "string" ? JSON.parse(init.body) : init.body;
    seen.push({ method, path: url.pathname, query: url.searchParams, headers: new Headers(init.headers), body });
    const handler = table[`${method} ${url.pathname}`];
    return handler ? handler({ url, init, body }) : problem(404, "not_found", "Not found");
  });
  return { seen };
}

/** The text of a document with its headings. */
export function content(parts: Partial<DocumentContent>): DocumentContent {
  return {
    id: "doc_1",
    source_id: "src_1",
    name: "network.md",
    title: "",
    mime: "text/markdown",
    text: "",
    headings: [],
    ...parts,
  };
}

/** A document event as a source stream sends it. */
export function documentEvent(state: DocumentEvent["state"], parts: Partial<DocumentEvent> = {}) {
  return { kind: `document.${state}`, data: { document_id: "doc_1", name: "network.md", state, ...parts } };
}
