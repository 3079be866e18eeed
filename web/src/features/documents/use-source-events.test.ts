import { expect, test } from "vitest";
import { document } from "../../../test/server.ts";
import { applyDocumentEvent } from "./use-source-events.ts";

const PAGE = { items: [document({ state: "queued", chunk_count: 0 }), document({ id: "doc_2" })], next_cursor: null };

test("an event changes its document and no other", () => {
  const next = applyDocumentEvent(PAGE, { document_id: "doc_1", name: "network.md", state: "ready", chunks: 4 });
  expect(next.items.map(({ state, chunk_count }) => [state, chunk_count])).toEqual([
    ["ready", 4],
    ["ready", 2],
  ]);
});

test("a failed document carries its reason", () => {
  const error = { code: "unreadable", message: "not text" };
  const next = applyDocumentEvent(PAGE, { document_id: "doc_1", name: "network.md", state: "failed", error });
  expect(next.items[0]).toMatchObject({ state: "failed", error });
});

test("a deleted document leaves the list", () => {
  const next = applyDocumentEvent(PAGE, { document_id: "doc_1", name: "network.md", state: "deleted" });
  expect(next.items.map(({ id }) => id)).toEqual(["doc_2"]);
});
