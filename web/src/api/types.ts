/** The shapes that the HTTP API speaks, as the page uses them. Times are RFC 3339 UTC, ids are `prefix_ULID`. */

/** An error body, RFC 9457. */
export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail?: string;
  instance?: string;
  /** Stable machine-readable name of the error, for example `missing_token`. */
  code?: string;
  trace_id?: string;
  request_id?: string;
  errors?: { field: string; message: string }[];
}

/** One page of a list; a null cursor means the end. */
export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/** Who is signed in, and in which tenant. */
export interface Me {
  principal: { id: string; name: string; roles: string[] };
  tenant: { id: string; name: string };
}

/** States of a document on its way into the index. */
export const DOCUMENT_STATES = ["queued", "running", "ready", "failed", "canceled"] as const;
/** A state of a document. */
export type DocumentState = (typeof DOCUMENT_STATES)[number];

/** A collection of documents with its own settings. */
export interface Source {
  id: string;
  name: string;
  description: string;
  /** Characters per chunk, and how many of them overlap with the chunk before. */
  chunk_size: number;
  chunk_overlap: number;
  tags: string[];
  document_count: number;
  chunk_count: number;
  documents_by_state: Record<DocumentState, number>;
  created_at: string;
  updated_at: string;
}

/** A document of a source. `size` is in bytes. */
export interface Document {
  id: string;
  source_id: string;
  name: string;
  mime: string;
  size: number;
  /** ISO 639-1, empty when unknown. */
  lang: string;
  /** Empty when the text has none. */
  title: string;
  state: DocumentState;
  error: { code: string; message: string } | null;
  content_hash: string;
  duplicate_of: string | null;
  chunk_count: number;
  embedded: boolean;
  tags: string[];
  created_at: string;
  updated_at: string;
  job_id: string;
  version: number;
}

/** A heading of a document's text. `start` is its line, `end` one past its section; both in code points. */
export interface Heading {
  level: number;
  title: string;
  start: number;
  end: number;
}

/** The extracted text that all offsets refer to: words without marks, never HTML. */
export interface DocumentContent {
  id: string;
  source_id: string;
  name: string;
  title: string;
  mime: string;
  text: string;
  headings: Heading[];
}

/** A passage that an answer names with `[n]`. Offsets are in code points of the document's text. */
export interface Citation {
  n: number;
  document_id: string;
  document: string;
  source_id: string;
  source: string;
  /** Titles of the sections around the passage, joined by ` > `; empty at the top of a document. */
  heading: string;
  start: number;
  end: number;
  score: number;
  text: string;
}

/** A question and its finished answer. */
export interface Answer {
  id: string;
  question: string;
  answer: string;
  answered: boolean;
  citations: Citation[];
  mode: "extractive" | "model";
  lang: string;
  retrieval: "hybrid" | "lexical";
  notices: string[];
  trace_id: string;
  created_at: string;
}

/** An ask as it stands: `answer` is there when it is completed. */
export interface Ask {
  id: string;
  question: string;
  state: "running" | "completed" | "failed";
  answer: Answer | null;
  trace_id: string;
  created_at: string;
}

/** The events of an ask stream, by kind. */
export type AskEvent =
  | { kind: "ask.started"; data: { id: string; question: string; trace_id: string } }
  | { kind: "ask.retrieved"; data: { retrieval: "hybrid" | "lexical"; passages: number } }
  | { kind: "answer.delta"; data: { text: string } }
  | { kind: "ask.completed"; data: Answer }
  | { kind: "ask.failed"; data: { code: string; message: string } };

/** The data of a source stream's `document.*` events. */
export interface DocumentEvent {
  document_id: string;
  name: string;
  state: DocumentState | "deleted";
  error?: { code: string; message: string } | null;
  chunks?: number;
  embedded?: boolean;
  duplicate_of?: string | null;
}

/** One dependency in the readiness report. */
export interface Dependency {
  status: "ok" | "loading" | "not_configured" | "connection_failed" | string;
  required: boolean;
  detail?: string;
}

/** What `/readyz` says. */
export interface Readiness {
  status: "ready" | "warming" | "degraded" | "stopping" | string;
  version?: string;
  degraded?: string[];
  dependencies?: Record<string, Dependency>;
  offline?: boolean;
}

/** What `/api/version` says. */
export interface Version {
  name: string;
  version: string;
  git_sha: string;
  api_version: string;
}

/** A unit of background work. Its states are those of a document. */
export interface Job {
  id: string;
  kind: string;
  /** What it is about, such as the id of a document. */
  subject: string;
  state: DocumentState;
  attempts: number;
  max_attempts: number;
  /** Steps done of how many, and what it is at; zero and empty when it does not say. */
  done: number;
  total: number;
  stage: string;
  error: { code: string; message: string } | null;
  created_at: string;
  updated_at: string;
  finished_at: string | null;
}

/** A record of who did what. */
export interface AuditEntry {
  id: string;
  /** The principal's stable id. */
  actor: string;
  action: string;
  subject: string;
  outcome: string;
  trace_id: string;
  created_at: string;
}
