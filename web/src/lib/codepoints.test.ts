import { expect, test } from "vitest";
import { codePointIndex, sliceCodePoints } from "./codepoints.ts";

const TEXTS = ["", "plain ascii", "zażółć gęślą jaźń", "🛰️ orbit 🧭🧭 end", "𝔸𝔹 Привет 👩‍🚀!", "lone \uD83D surrogate"];

test("a slice is what counting characters one by one gives", () => {
  for (const text of TEXTS) {
    const characters = Array.from(text);
    for (let start = 0; start <= characters.length; start++) {
      for (let end = start; end <= characters.length; end++) {
        expect(sliceCodePoints(text, start, end)).toBe(characters.slice(start, end).join(""));
      }
    }
  }
});

test("an index knows the way back", () => {
  for (const text of TEXTS) {
    const index = codePointIndex(text);
    expect(index.length).toBe(Array.from(text).length);
    for (let offset = 0; offset <= index.length; offset++) expect(index.toPoint(index.toUnit(offset))).toBe(offset);
  }
});

test("an offset outside of the text is its nearest end", () => {
  const index = codePointIndex("a🧭b");
  expect(index.toUnit(-5)).toBe(0);
  expect(index.toUnit(99)).toBe(4);
});
