import { expect, test } from "vitest";
import { completeSentences, splitCitations, withoutCitations } from "./citations.ts";

test("markers are split from the words around them", () => {
  expect(splitCitations("One. [1] Two [2].")).toEqual([
    { kind: "text", text: "One. " },
    { kind: "cite", n: 1 },
    { kind: "text", text: " Two " },
    { kind: "cite", n: 2 },
    { kind: "text", text: "." },
  ]);
});

test("one bracket may name several citations", () => {
  expect(splitCitations("x [1, 3]")).toEqual([
    { kind: "text", text: "x " },
    { kind: "cite", n: 1 },
    { kind: "cite", n: 3 },
  ]);
});

test("a number that no citation carries stays text", () => {
  expect(splitCitations("array[4] and [1]", new Set([1]))).toEqual([
    { kind: "text", text: "array[4] and " },
    { kind: "cite", n: 1 },
  ]);
});

test("an answer without markers is one text", () => {
  expect(splitCitations("nothing cited")).toEqual([{ kind: "text", text: "nothing cited" }]);
  expect(splitCitations("")).toEqual([]);
});

test("what is spoken has no markers", () => {
  expect(withoutCitations("It lasts ten hours [1], then ends [2, 3].")).toBe("It lasts ten hours, then ends.");
});

test("only whole sentences are complete", () => {
  expect(completeSentences("First one. [1] Second o").sentences).toBe("First one. [1] ");
  expect(completeSentences("No end yet").sentences).toBe("");
  expect(completeSentences("A line\nnext").sentences).toBe("A line\n");
});
