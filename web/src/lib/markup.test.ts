import { expect, test } from "vitest";
import { answerBlocks, cutSpan, inlineSpans, markdownBlocks, textBlocks } from "./markup.ts";

const TEXT = `---
tags: [a]
---
# Title

A paragraph with **bold**,
\`code\` and [a link](https://example.org).

- one
  - two
1. three

| a | b |
|---|---|

\`\`\`sh
# not a heading
\`\`\`
> quoted
`;

test("blocks are told apart", () => {
  expect(markdownBlocks(TEXT).map(({ kind }) => kind)).toEqual([
    "pre",
    "heading",
    "paragraph",
    "item",
    "item",
    "item",
    "pre",
    "pre",
    "quote",
  ]);
});

test("every span shows exactly the source text between its offsets", () => {
  for (const block of markdownBlocks(TEXT)) {
    for (const span of block.spans) expect(TEXT.slice(span.start, span.end)).toBe(span.text);
  }
});

test("html in a document stays text", () => {
  const [block] = markdownBlocks("<script>alert(1)</script>");
  expect(block?.spans).toEqual([{ text: "<script>alert(1)</script>", start: 0, end: 25, style: "plain" }]);
});

test("a link shows its words and leads nowhere", () => {
  expect(inlineSpans("see [here](javascript:x) now", 0).map(({ text }) => text)).toEqual(["see ", "here", " now"]);
});

const EXTRACTED = `Guide

Plug it in.
Then wait.

- one
  - deep
1. first

A | B
1 | 2
3 |

ls -l
  cd x

Next
text
`;

test("extracted text has the blocks that its lines mean", () => {
  const at = EXTRACTED.indexOf("Next");
  const blocks = textBlocks(
    EXTRACTED,
    new Map([
      [0, 1],
      [at, 2],
    ]),
  );
  expect(blocks.map(({ kind }) => kind)).toEqual([
    "heading",
    "paragraph",
    "item",
    "item",
    "item",
    "table",
    "pre",
    "heading",
    "paragraph",
  ]);
  expect(blocks[3]).toMatchObject({ depth: 1, marker: "•" });
  expect(blocks[4]).toMatchObject({ depth: 0, marker: "1." });
  const table = blocks[5];
  expect(table?.kind === "table" && table.rows.map((row) => row.map(({ text }) => text))).toEqual([
    ["A", "B"],
    ["1", "2"],
    ["3", ""],
  ]);
  for (const block of blocks) {
    for (const span of block.spans) expect(EXTRACTED.slice(span.start, span.end)).toBe(span.text);
  }
});

test("marks in extracted text are the author's words and stay", () => {
  expect(textBlocks("# not a heading **here**")).toMatchObject([
    { kind: "paragraph", spans: [{ text: "# not a heading **here**", style: "plain" }] },
  ]);
});

test("a span is cut at the borders of the passage", () => {
  const [span] = inlineSpans("abcdef", 10);
  if (!span) throw new Error("no span");
  expect(cutSpan(span, 12, 14).map(({ span: part, inside }) => [part.text, part.start, inside])).toEqual([
    ["ab", 10, false],
    ["cd", 12, true],
    ["ef", 14, false],
  ]);
  expect(cutSpan(span, 0, 99).map(({ inside }) => inside)).toEqual([true]);
  expect(cutSpan(span, 50, 60).map(({ inside }) => inside)).toEqual([false]);
});

test("text of any shape ends", () => {
  for (const text of ["", "\n\n", "```", "---", "> ", "- ", "# ", "|", "a\n```\nb", "---\na"]) {
    expect(() => [markdownBlocks(text), textBlocks(text)]).not.toThrow();
  }
});

test("cited rows of one table stand in one table, and sentences around them stay paragraphs", () => {
  const rows = "Duty: Watering; Person: Jolanta; Day: Monday [1] Duty: Weeding; Person: Piotr; or Ann; Day: Friday [1]";
  const text = `Everybody has a duty. [2] ${rows} That is all. [2]`;
  const [before, table, after] = answerBlocks(text);
  expect([before?.kind, table?.kind, after?.kind]).toEqual(["paragraph", "table", "paragraph"]);
  expect(table?.kind === "table" && table.rows.map((row) => row.map((cell) => cell.text))).toEqual([
    ["Duty", "Person", "Day"],
    ["Watering", "Jolanta", "Monday [1]"],
    ["Weeding", "Piotr; or Ann", "Friday [1]"],
  ]);
  for (const span of table?.spans ?? []) expect(text.slice(span.start, span.end)).toBe(span.text);
});

test("a sentence with one colon, or a row that is not cited yet, is no table", () => {
  expect(answerBlocks("Bring this: a smoker; dry hay; a book [1]").map(({ kind }) => kind)).toEqual(["paragraph"]);
  expect(answerBlocks("Duty: Watering; Person: Jolanta").map(({ kind }) => kind)).toEqual(["paragraph"]);
});

test("a sentence after a cited list does not belong to its last item", () => {
  const blocks = answerBlocks("Bring:\n- a smoker\n• dry hay [1]\nThe book lies in the shed. [2]");
  expect(blocks.map(({ kind }) => kind)).toEqual(["paragraph", "item", "item", "paragraph"]);
});
