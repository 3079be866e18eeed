import { expect, test } from "vitest";
import { document } from "../../../test/server.ts";
import type { DocumentEvent } from "../../api/types.ts";
import { applyChanges, landingOf } from "./use-source-events.ts";

const QUEUED = document({ state: "queued", chunk_count: 0, embedded: false });
const PAGE = { items: [QUEUED, document({ id: "doc_2" })], next_cursor: null };

function changes(event: Partial<DocumentEvent>) {
  return new Map([["doc_1", { document_id: "doc_1", name: "network.md", state: "ready" as const, ...event }]]);
}

test("an event changes its document and no other", () => {
  const next = applyChanges(PAGE, changes({ chunks: 4, embedded: true }));
  expect(next.items.map(({ state, chunk_count, embedded }) => [state, chunk_count, embedded])).toEqual([
    ["ready", 4, true],
    ["ready", 2, true],
  ]);
});

test("a failed document carries its reason", () => {
  const error = { code: "unreadable", message: "not text" };
  expect(applyChanges(PAGE, changes({ state: "failed", error })).items[0]).toMatchObject({ state: "failed", error });
});

test("a deleted document leaves the list", () => {
  expect(applyChanges(PAGE, changes({ state: "deleted" })).items.map(({ id }) => id)).toEqual(["doc_2"]);
});

test("only a document that was waiting lands", () => {
  expect(landingOf(PAGE.items, changes({}))).toEqual({ name: "network.md", state: "ready", reason: "" });
  expect(landingOf([document()], changes({}))).toBeUndefined();
  expect(landingOf([QUEUED], changes({ state: "running" }))).toBeUndefined();
});
