/**
 * The shapes that the HTTP API speaks, by the names the page uses. They come from `schema.gen.ts`, which is
 * generated from the server's own description; only what a description cannot say (the events of streams) is
 * written here. Times are RFC 3339 UTC, ids are `prefix_ULID`, offsets count Unicode characters.
 */
import type { components } from "./schema.gen.ts";

type Schemas = components["schemas"];

/** An error body, RFC 9457. A proxy's error may lack all but title and status. */
export type Problem = Pick<Schemas["Problem"], "title" | "status"> & Partial<Schemas["Problem"]>;

/** One page of a list; a null cursor means the end. */
export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}

/** Who is signed in, and in which tenant. */
export type Me = Schemas["Me"];

/** A session that began. */
export type SignedIn = Schemas["SignedIn"];
export type SignInMethods = Schemas["SignInMethods"];
/** A place in the lattice of roles. */
export type Role = Schemas["Role"];
/** A member of the tenant. */
export type Member = Schemas["Member"];
/** Somebody to add to the tenant. */
export type NewMember = Schemas["NewMember"];
/** What to change of a membership. */
export type MemberChange = Schemas["MemberChange"];
/** Somebody who was added, with a one-time link. */
export type AddedMember = Schemas["AddedMember"];
/** A one-time link. */
export type SignInLink = Schemas["SignInLink"];
/** What somebody may do. */
export type Right = Schemas["Right"];
/** A key that a program signs in with. */
export type ApiKey = Schemas["ApiKey"];
/** A key to make. */
export type NewApiKey = Schemas["NewApiKey"];
/** A key that was made just now, with its secret. */
export type MadeApiKey = Schemas["MadeApiKey"];

/** What models cost. */
export type UsageReport = Schemas["UsageReport"];
/** Sums of usage. */
export type UsageSum = Schemas["UsageSum"];
/** By what usage is summed up. */
export type UsageBy = Schemas["By"];
/** A budget. */
export type Budget = Schemas["Budget"];
/** A budget and how much of it is used. */
export type BudgetState = Schemas["BudgetState"];
/** A budget to make. */
export type NewBudget = Schemas["NewBudget"];

/** A state of a document, and of the job that reads it. */
export type DocumentState = Schemas["JobState"];
/** States of a document on its way into the index, in the order of that way. */
export const DOCUMENT_STATES = [
  "queued",
  "running",
  "ready",
  "failed",
  "canceled",
] as const satisfies readonly DocumentState[];

/** A collection of documents with its own settings. */
export type Source = Schemas["Source"];
/** What a new source needs. */
export type NewSource = Schemas["NewSource"];
/** What to change of a source; what is absent stays. */
export type SourceChange = Schemas["SourceChange"];
/** A document of a source. `size` is in bytes. */
export type Document = Schemas["Document"];
/** A heading of a document's text. `start` is its line, `end` one past its section. */
export type Heading = Schemas["Heading"];
/** The extracted text that all offsets refer to: words without marks, never HTML. */
export type DocumentContent = Schemas["DocumentContent"];
/** A passage that an answer names with `[n]`. */
export type Citation = Schemas["Citation"];
/** A question and its finished answer. */
export type Answer = Schemas["Answer"];
/** An ask as it stands: `answer` is there when it is completed. */
export type Ask = Schemas["Ask"];
/** What a question consists of. */
export type AskRequest = Schemas["AskRequest"];
/** A unit of background work. */
export type Job = Schemas["Job"];
/** A record of who did what. */
export type AuditEntry = Schemas["Entry"];
/** What a person thinks of an answer. */
export type Feedback = Schemas["Feedback"];
/** Feedback to give. */
export type NewFeedback = Schemas["NewFeedback"];
/** What is wrong with an answer. */
export type Reason = Schemas["Reason"];
/** Reasons in the order in which they are offered. */
export const REASONS = [
  "wrong",
  "incomplete",
  "not_found",
  "source_missing",
  "other",
] as const satisfies readonly Reason[];
/** A set of questions whose answers are known. */
export type QuestionSet = Schemas["QuestionSet"];
/** A question set with its questions. */
export type QuestionSetContent = Schemas["QuestionSetContent"];
/** What a new question set needs. */
export type NewQuestionSet = Schemas["NewQuestionSet"];
/** A question and what is expected of its answer. */
export type Question = Schemas["Question"];
/** A run of a question set. */
export type QuestionSetRun = Schemas["QuestionSetRun"];
/** A run with what became of each question. */
export type QuestionSetRunContent = Schemas["QuestionSetRunContent"];
/** What became of one question. */
export type QuestionResult = Schemas["QuestionResult"];
/** One dependency in the readiness report. */
export type Dependency = Schemas["Dependency"];
/** What `/readyz` says; a proxy in front of the server may say less. */
export type Readiness = { status: Schemas["Status"] | "unavailable" } & Partial<Omit<Schemas["Readiness"], "status">>;
/** What `/api/version` says. */
export type Version = Schemas["Version"];

/** The events of an ask stream, by kind. The last two end it. */
export type AskEvent =
  | { kind: "ask.started"; data: { id: string; question: string; trace_id: string } }
  | { kind: "ask.retrieved"; data: { retrieval: Answer["retrieval"]; passages: number } }
  | { kind: "answer.delta"; data: { text: string } }
  | { kind: "ask.completed"; data: Answer }
  | { kind: "ask.failed"; data: { code: string; message: string } };

/** The data of a source stream's `document.*` events. */
export interface DocumentEvent {
  document_id: string;
  name: string;
  state: DocumentState | "deleted";
  error?: Document["error"];
  chunks?: number;
  embedded?: boolean;
  duplicate_of?: string | null;
}
