import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import type { Feedback, QuestionResult, QuestionSetContent, QuestionSetRun } from "../src/api/types.ts";
import { open } from "./render.tsx";
import { askEvents, askResult, frames, json, serve, stream } from "./server.ts";

const RUN: QuestionSetRun = {
  id: "qrn_1",
  question_set_id: "qst_1",
  set_version: 1,
  job_id: "job_1",
  state: "ready",
  error: null,
  total: 2,
  done: 2,
  right: 1,
  figures: {
    total: { right: 1, of: 2 },
    answerable: { right: 1, of: 2 },
    unanswerable: { right: 0, of: 0 },
    p50_ms: 12,
    p95_ms: 20,
  },
  started_by: "user:x",
  created_at: "2026-11-20T10:00:00.000000Z",
  finished_at: "2026-11-20T10:00:01.000000Z",
};

const SET: QuestionSetContent = {
  id: "qst_1",
  name: "Nightly",
  description: "",
  sources: [],
  question_count: 2,
  version: 1,
  last_run: RUN,
  created_by: "user:x",
  created_at: "2026-11-20T10:00:00.000000Z",
  updated_at: "2026-11-20T10:00:00.000000Z",
  questions: [
    { id: "a", question: "How long are backups kept?", answerable: true, answer_any: ["35 days"] },
    { id: "b", question: "Who paints the fence?", answerable: true, document: "fence.md" },
  ],
};

const RESULTS: QuestionResult[] = [
  { question: SET.questions[0] as never, verdict: "right", answer: "35 days", documents: [], milliseconds: 12 },
  {
    question: SET.questions[1] as never,
    verdict: "document_not_cited",
    answer: "The porter.",
    documents: ["gate.md"],
    milliseconds: 20,
  },
];

const PLOT =
  '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t"><title id="t">Nightly: plot</title></svg>';

function setRoutes(run: QuestionSetRun = RUN) {
  return {
    "GET /api/v1/question-sets": () => json({ items: [SET], next_cursor: null }),
    "GET /api/v1/question-sets/qst_1": () => json(SET),
    "GET /api/v1/question-sets/qst_1/runs": () => json({ items: [run], next_cursor: null }),
    "GET /api/v1/question-sets/qst_1/runs/qrn_1": () => json({ ...run, results: RESULTS }),
    "GET /api/v1/question-sets/qst_1/plot.svg": () =>
      new Response(PLOT, { headers: { "content-type": "image/svg+xml" } }),
    "GET /api/v1/feedback": () => json({ items: [], next_cursor: null }),
  };
}

function feedback(parts: Partial<Feedback> = {}): Feedback {
  return {
    id: "fbk_1",
    ask_id: "ask_1",
    rating: "down",
    reason: null,
    comment: "",
    question: "Which network do guests use?",
    answer: "Guests use the guest network.",
    answered: true,
    documents: [],
    question_set_id: null,
    created_by: "user:x",
    created_at: "2026-11-20T10:00:00.000000Z",
    updated_at: "2026-11-20T10:00:00.000000Z",
    ...parts,
  };
}

test("a thumb counts at once, a reason can follow, and a second press takes it back", async () => {
  const { seen } = serve({
    "GET /api/v1/asks/ask_1/events": () => stream(frames(askEvents(askResult()))),
    "GET /api/v1/asks/ask_1/feedback": () => json({ feedback: null }),
    "POST /api/v1/asks/ask_1/feedback": ({ body }) => json(feedback(body as Partial<Feedback>)),
    "DELETE /api/v1/asks/ask_1/feedback": () => new Response(null, { status: 204 }),
  });
  await open("/?ask=ask_1");
  const user = userEvent.setup();
  const down = await screen.findByRole("button", { name: "Bad answer" });
  expect(down.getAttribute("aria-pressed")).toBe("false");
  await user.click(down);
  const send = await screen.findByRole("button", { name: "Send" });
  expect(screen.getByRole("button", { name: "Bad answer" }).getAttribute("aria-pressed")).toBe("true");
  await user.click(screen.getByRole("radio", { name: "Something is missing" }));
  await user.click(send);
  expect(await screen.findByText(/Kept\./)).toBeTruthy();
  const given = seen.filter(({ method }) => method === "POST").map(({ body }) => body);
  expect(given).toEqual([{ rating: "down" }, { rating: "down", reason: "incomplete", comment: "" }]);
  await user.click(screen.getByRole("button", { name: "Bad answer" }));
  expect(await screen.findByRole("button", { name: "Bad answer", pressed: false })).toBeTruthy();
});

test("a run shows first what went wrong, what was expected and what was cited", async () => {
  serve(setRoutes());
  await open("/quality/qst_1");
  expect(await screen.findByText("The run is over: 1 of 2 right.")).toBeTruthy();
  const results = await screen.findByRole("region", { name: "Results" });
  await within(results).findByText("right document not cited");
  const rows = within(results).getAllByRole("listitem");
  expect(rows[0]?.textContent).toContain("expected: fence.md");
  expect(rows[0]?.textContent).toContain("cited: gate.md");
  expect(rows[1]?.textContent).toContain("How long are backups kept?");
  expect(await screen.findByTitle("Nightly: plot")).toBeTruthy();
});

test("a run is started, watched and stopped", async () => {
  const running: QuestionSetRun = { ...RUN, state: "running", done: 1, right: 1, figures: null, finished_at: null };
  const { seen } = serve({
    ...setRoutes(running),
    "POST /api/v1/jobs/job_1/cancel": () => json({ id: "job_1" }),
  });
  await open("/quality/qst_1");
  const bar = await screen.findByRole("progressbar", { name: "Questions asked" });
  expect([bar.getAttribute("value"), bar.getAttribute("max")]).toEqual(["1", "2"]);
  expect(screen.getByRole("button", { name: "Run now" }).hasAttribute("disabled")).toBe(true);
  await userEvent.click(screen.getByRole("button", { name: "Stop the run" }));
  expect(seen.some(({ path }) => path === "/api/v1/jobs/job_1/cancel")).toBe(true);
});

test("a complaint becomes a question of a set", async () => {
  const { seen } = serve({
    ...setRoutes(),
    "GET /api/v1/feedback": () => json({ items: [feedback({ reason: "wrong" })], next_cursor: null }),
    "POST /api/v1/feedback/fbk_1/question": () => json({ id: "fbk_1", question: "q" }, 201),
  });
  await open("/quality");
  const user = userEvent.setup();
  await user.click(await screen.findByRole("button", { name: /Make a question of it/ }));
  await user.click(await screen.findByRole("button", { name: "Add" }));
  const made = seen.find(({ method }) => method === "POST");
  expect(made?.path).toBe("/api/v1/feedback/fbk_1/question");
  expect(made?.body).toEqual({ question_set_id: "qst_1" });
});
