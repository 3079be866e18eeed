import { infiniteQueryOptions, type QueryClient, queryOptions } from "@tanstack/react-query";
import { getJson, query, send, sendJson } from "./client.ts";
import type {
  Feedback,
  NewFeedback,
  NewQuestionSet,
  Page,
  Question,
  QuestionSet,
  QuestionSetContent,
  QuestionSetRun,
  QuestionSetRunContent,
} from "./types.ts";

/** How often a run that is under way is read again, in milliseconds. */
const BUSY_MS = 1_000;

const setPath = (id: string) => `/api/v1/question-sets/${encodeURIComponent(id)}`;
const feedbackPath = (ask: string) => `/api/v1/asks/${encodeURIComponent(ask)}/feedback`;

/** Whether a run has not come to its end. */
export function isUnderWay(run: Pick<QuestionSetRun, "state"> | undefined): boolean {
  return run?.state === "queued" || run?.state === "running";
}

/** What the signed-in person said about an answer; null when nothing was said. */
export function ownFeedback(ask: string) {
  return queryOptions({
    queryKey: ["feedback", "own", ask] as const,
    queryFn: ({ signal }) =>
      getJson<{ feedback: Feedback | null }>(feedbackPath(ask), signal).then(({ feedback }) => feedback),
  });
}

/** Says something about an answer, over what was said before. */
export function giveFeedback(ask: string, feedback: NewFeedback): Promise<Feedback> {
  return sendJson<Feedback>("POST", feedbackPath(ask), feedback);
}

/** Takes back what was said about an answer. */
export function withdrawFeedback(ask: string): Promise<void> {
  return sendJson<void>("DELETE", feedbackPath(ask));
}

/** What people were not content with, newest first. */
export function blame() {
  return infiniteQueryOptions({
    queryKey: ["feedback", "down"] as const,
    queryFn: ({ signal, pageParam }) =>
      getJson<Page<Feedback>>(`/api/v1/feedback${query({ rating: "down", limit: 20, cursor: pageParam })}`, signal),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
}

/** Puts a question made of feedback into a set. */
export function questionFromFeedback(feedback: string, set: string): Promise<Question> {
  const path = `/api/v1/feedback/${encodeURIComponent(feedback)}/question`;
  return sendJson<Question>("POST", path, { question_set_id: set });
}

/** All question sets, up to the largest page the server gives (200). */
export function questionSets() {
  return queryOptions({
    queryKey: ["question-sets"] as const,
    queryFn: ({ signal }) => getJson<Page<QuestionSet>>(`/api/v1/question-sets${query({ limit: 200 })}`, signal),
  });
}

/** One set with its questions. */
export function questionSet(id: string) {
  return queryOptions({
    queryKey: ["question-sets", id] as const,
    queryFn: ({ signal }) => getJson<QuestionSetContent>(setPath(id), signal),
  });
}

/** The newest runs of a set. Read again while one is under way. */
export function questionSetRuns(id: string) {
  return queryOptions({
    queryKey: ["question-sets", id, "runs"] as const,
    queryFn: ({ signal }) => getJson<Page<QuestionSetRun>>(`${setPath(id)}/runs${query({ limit: 20 })}`, signal),
    refetchInterval: ({ state }) => (isUnderWay(state.data?.items[0]) ? BUSY_MS : false),
  });
}

/** One run with what became of each question. Read again while it is under way. */
export function questionSetRun(id: string, run: string) {
  return queryOptions({
    queryKey: ["question-sets", id, "runs", run] as const,
    queryFn: ({ signal }) => getJson<QuestionSetRunContent>(`${setPath(id)}/runs/${encodeURIComponent(run)}`, signal),
    refetchInterval: ({ state }) => (isUnderWay(state.data) ? BUSY_MS : false),
  });
}

/** The plot of a set in a language, as the text of an SVG document. */
export function questionSetPlot(id: string, language: string, runs: number) {
  return queryOptions({
    queryKey: ["question-sets", id, "plot", language, runs] as const,
    queryFn: ({ signal }) =>
      send(`${setPath(id)}/plot.svg`, { headers: { "accept-language": language }, signal }).then((r) => r.text()),
  });
}

/** Makes a set. */
export function createQuestionSet(input: NewQuestionSet): Promise<QuestionSetContent> {
  return sendJson<QuestionSetContent>("POST", "/api/v1/question-sets", input);
}

/** Deletes a set with its runs. */
export function deleteQuestionSet(id: string): Promise<void> {
  return sendJson<void>("DELETE", setPath(id));
}

/** Adds a question to a set. */
export function addQuestion(id: string, question: Question): Promise<Question> {
  return sendJson<Question>("POST", `${setPath(id)}/questions`, question);
}

/** Puts the questions of a file of JSON lines in the place of a set's, unless somebody changed the set since `version`. */
export async function importQuestions(id: string, version: number, lines: string): Promise<void> {
  await send(`${setPath(id)}/questions`, {
    method: "PUT",
    headers: { "content-type": "application/x-ndjson", "if-match": `"${version}"` },
    body: lines,
  });
}

/** Where a set's questions can be had as a file. */
export function exportAddress(id: string): string {
  return `${setPath(id)}/questions`;
}

/** Starts a run of a set. */
export function startRun(id: string): Promise<QuestionSetRun> {
  return sendJson<QuestionSetRun>("POST", `${setPath(id)}/runs`);
}

/** Marks everything known about question sets as out of date. */
export function refreshQuestionSets(client: QueryClient): Promise<void> {
  return client.invalidateQueries({ queryKey: ["question-sets"] });
}
