import { expect, test } from "vitest";
import { collect } from "../../test/collect.ts";
import { askEvents, askResult, frames, json, problem, serve, stream } from "../../test/server.ts";
import { ask } from "./asks.ts";
import { ApiError } from "./client.ts";

const QUESTION = { question: "Which network do guests use?", sources: [] };
const RESULT = askResult();
const EVENTS = askEvents(RESULT);

test("an answer is the same wherever its stream was cut", async () => {
  for (let cut = 1; cut < EVENTS.length; cut++) {
    const { seen } = serve({
      "POST /api/v1/ask": () => stream(frames(EVENTS.slice(0, cut)), "break"),
      "GET /api/v1/asks/ask_1/events": () => stream(frames(EVENTS.slice(cut), cut + 1)),
    });
    const states: string[] = [];
    const events = await collect(ask(QUESTION, new AbortController().signal, (state) => states.push(state)));
    expect(events).toEqual(EVENTS);
    expect(seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "POST /api/v1/ask",
      "GET /api/v1/asks/ask_1/events",
    ]);
    expect(seen[1]?.headers.get("last-event-id")).toBe(String(cut));
    expect(states).toEqual(["open", "resuming", "open"]);
  }
});

test("an event that is sent twice is shown once", async () => {
  serve({
    "POST /api/v1/ask": () => stream(frames(EVENTS.slice(0, 4)), "break"),
    "GET /api/v1/asks/ask_1/events": () => stream(frames(EVENTS)),
  });
  expect(await collect(ask(QUESTION, new AbortController().signal))).toEqual(EVENTS);
});

test("a stream that ends without its terminal event is opened again", async () => {
  serve({
    "POST /api/v1/ask": () => stream(frames(EVENTS.slice(0, 3))),
    "GET /api/v1/asks/ask_1/events": () => stream(frames(EVENTS.slice(3), 4)),
  });
  expect(await collect(ask(QUESTION, new AbortController().signal))).toEqual(EVENTS);
});

test("a question that was cut before its first event is sent again under the same key", async () => {
  let calls = 0;
  const { seen } = serve({
    "POST /api/v1/ask": () => (++calls === 1 ? stream("", "break") : stream(frames(EVENTS))),
  });
  expect(await collect(ask(QUESTION, new AbortController().signal))).toEqual(EVENTS);
  const keys = seen.map(({ headers }) => headers.get("idempotency-key"));
  expect(keys).toHaveLength(2);
  expect(keys[0]).toBe(keys[1]);
});

test("a refusal is final", async () => {
  serve({ "POST /api/v1/ask": () => problem(422, "invalid", "Invalid request", "question: too long") });
  const events = collect(ask(QUESTION, new AbortController().signal));
  await expect(events).rejects.toBeInstanceOf(ApiError);
  await expect(events).rejects.toMatchObject({ status: 422, problem: { detail: "question: too long" } });
});

test("an unknown kind of event is passed over", async () => {
  const strange = { kind: "ask.thinking", data: {} };
  serve({ "POST /api/v1/ask": () => stream(frames([strange, ...EVENTS])) });
  expect(await collect(ask(QUESTION, new AbortController().signal))).toEqual(EVENTS);
});

test("the chosen sources are named in the question", async () => {
  const { seen } = serve({ "POST /api/v1/ask": () => stream(frames(EVENTS)) });
  await collect(ask({ ...QUESTION, sources: ["src_1"] }, new AbortController().signal));
  expect(seen[0]?.body).toEqual({ question: QUESTION.question, sources: ["src_1"] });
  expect(seen[0]?.headers.get("accept")).toBe("text/event-stream");
});

test("a problem of another shape still has a title", async () => {
  serve({ "POST /api/v1/ask": () => new Response("nope", { status: 400, statusText: "Bad Request" }) });
  await expect(collect(ask(QUESTION, new AbortController().signal))).rejects.toMatchObject({
    problem: { title: "Bad Request", status: 400 },
  });
  serve({ "POST /api/v1/ask": () => json({}, 409) });
  await expect(collect(ask(QUESTION, new AbortController().signal))).rejects.toMatchObject({ status: 409 });
});
