import { screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, test } from "vitest";
import { open } from "./render.tsx";
import { askEvents, askResult, document, frames, json, problem, serve, source, stream } from "./server.ts";

const RESULT = askResult();
const WITH_SOURCES = { "GET /api/v1/sources": () => json({ items: [source()], next_cursor: null }) };

test("an empty installation leads to the documents and offers no sample question", async () => {
  serve({});
  await open("/");
  expect(await screen.findByRole("heading", { name: "Nothing to read yet" })).toBeTruthy();
  expect(screen.getByRole("link", { name: "Add documents" }).getAttribute("href")).toBe("/documents");
  expect(screen.queryByRole("heading", { name: "You could ask about" })).toBeNull();
});

test("sample questions are about documents that are there", async () => {
  serve({
    ...WITH_SOURCES,
    "GET /api/v1/sources/src_1/documents": () => json({ items: [document()], next_cursor: null }),
  });
  await open("/");
  expect(await screen.findByRole("button", { name: "Office network?" })).toBeTruthy();
});

test("a question asked with Enter is answered with citations that lead to the passage", async () => {
  serve({ ...WITH_SOURCES, "POST /api/v1/ask": () => stream(frames(askEvents(RESULT))) });
  const { history } = await open("/");
  const user = userEvent.setup();
  await user.type(await screen.findByRole("textbox", { name: "Your question" }), "Which network do guests use?{Enter}");
  const marker = await screen.findByRole("button", { name: "Citation 1: Office network" });
  expect(screen.getByRole("heading", { level: 2, name: RESULT.question })).toBeTruthy();
  expect(history.location.search).toBe("?ask=ask_1");
  await user.click(marker);
  const link = screen.getByRole("link", { name: "1. Open the passage in Office network" });
  expect(globalThis.document.activeElement).toBe(link);
  expect(link.getAttribute("href")).toBe("/documents/doc_1?start=10&end=40&ask=ask_1");
});

test("a list in an answer is a list, and cited table rows are a table", async () => {
  const answer = "Bring:\n- a smoker\n  - dry hay\n- a book [1]\nDuty: Watering; Day: Monday [1]";
  serve({ ...WITH_SOURCES, "POST /api/v1/ask": () => stream(frames(askEvents(askResult({ answer })))) });
  await open("/");
  await userEvent.type(await screen.findByRole("textbox", { name: "Your question" }), "What to bring?{Enter}");
  const shown = within(await screen.findByTestId("answer"));
  await shown.findByRole("columnheader", { name: "Day" });
  const [outer] = shown.getAllByRole("list");
  expect([...(outer?.children ?? [])].map((item) => item.querySelector("div > span")?.textContent)).toEqual([
    "a smoker",
    "a book 1",
  ]);
  expect(within(outer as HTMLElement).getAllByRole("listitem")).toHaveLength(3);
});

test("a screen reader hears whole sentences and how it ended", async () => {
  serve({ ...WITH_SOURCES, "POST /api/v1/ask": () => stream(frames(askEvents(RESULT))) });
  await open("/");
  await userEvent.type(await screen.findByRole("textbox", { name: "Your question" }), "Which?{Enter}");
  expect(await screen.findByText("Answer complete, with 1 citation.")).toBeTruthy();
  const log = screen.getByRole("log", { name: "Answer" });
  expect(within(log).getByText("Guests use the guest network.")).toBeTruthy();
});

test("an unanswerable question is refused clearly", async () => {
  const nothing = askResult({ answered: false, answer: "not found in the sources", citations: [] });
  serve({ ...WITH_SOURCES, "POST /api/v1/ask": () => stream(frames(askEvents(nothing))) });
  await open("/");
  await userEvent.type(await screen.findByRole("textbox", { name: "Your question" }), "Who won in 1966?{Enter}");
  const box = await screen.findByTestId("not-found");
  expect(box.textContent).toContain("does not guess");
  expect(screen.queryByRole("button", { name: "Copy answer" })).toBeNull();
});

test("a notice is explained in words, an unknown one by its code", async () => {
  const noted = askResult({ notices: ["no_embedder", "moon_phase"], retrieval: "lexical" });
  serve({ "GET /api/v1/asks/ask_1/events": () => stream(frames(askEvents(noted))) });
  await open("/?ask=ask_1");
  expect(await screen.findByText(/only exact words were searched/)).toBeTruthy();
  expect(screen.getByText("Note from the server: moon_phase")).toBeTruthy();
  expect(screen.getByText("searched by words alone")).toBeTruthy();
});

test("an address with an answer shows that answer again without asking", async () => {
  const { seen } = serve({ "GET /api/v1/asks/ask_1/events": () => stream(frames(askEvents(RESULT))) });
  await open("/?ask=ask_1");
  expect(await screen.findByRole("heading", { level: 2, name: RESULT.question })).toBeTruthy();
  expect(seen.some(({ method }) => method === "POST")).toBe(false);
});

test("a failure shows what the server said and can be tried again", async () => {
  const failed = [
    askEvents(RESULT)[0],
    { kind: "ask.failed", data: { code: "index", message: "the index is closed" } },
  ];
  serve({ ...WITH_SOURCES, "POST /api/v1/ask": () => stream(frames(failed as { kind: string; data: unknown }[])) });
  await open("/");
  await userEvent.type(await screen.findByRole("textbox", { name: "Your question" }), "Which?{Enter}");
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("the index is closed");
  expect(within(alert).getByRole("button", { name: "Try again" })).toBeTruthy();
});

test("a problem shows its detail and its trace id", async () => {
  serve({
    ...WITH_SOURCES,
    "POST /api/v1/ask": () => problem(422, "invalid", "Invalid request", "question: too long"),
  });
  await open("/");
  await userEvent.type(await screen.findByRole("textbox", { name: "Your question" }), "Which?{Enter}");
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("question: too long");
  expect(alert.textContent).toContain("4bf92f35");
});

test("only the chosen sources are asked, and the choice is in the address", async () => {
  const two = [source(), source({ id: "src_2", name: "rules" })];
  const { seen } = serve({
    "GET /api/v1/sources": () => json({ items: two, next_cursor: null }),
    "POST /api/v1/ask": () => stream(frames(askEvents(RESULT))),
  });
  const { history } = await open("/");
  const user = userEvent.setup();
  await user.click(await screen.findByRole("checkbox", { name: /rules/ }));
  expect(history.location.search).toBe("?sources=src_2");
  await user.type(screen.getByRole("textbox", { name: "Your question" }), "Which?{Enter}");
  await screen.findByRole("button", { name: "Citation 1: Office network" });
  expect(seen.find(({ method }) => method === "POST")?.body).toMatchObject({ sources: ["src_2"] });
});
