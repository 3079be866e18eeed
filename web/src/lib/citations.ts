/** Splitting an answer into its words and its citation markers. */

/** A piece of an answer: plain text, or a marker that names citation `n`. */
export type AnswerPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "cite"; readonly n: number };

const MARKER = /\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]/g;

/**
 * Splits `[1]`, `[2, 3]` out of an answer.
 *
 * `known` are the numbers that the answer's citations carry; a bracketed number outside of it is text that the
 * author wrote, such as an array index, and stays text. Without `known` (the answer still streams) every
 * bracketed number counts as a marker.
 */
export function splitCitations(text: string, known?: ReadonlySet<number>): AnswerPart[] {
  const parts: AnswerPart[] = [];
  let from = 0;
  for (const match of text.matchAll(MARKER)) {
    const numbers = (match[1] ?? "").split(",").map(Number);
    if (known && !numbers.every((n) => known.has(n))) continue;
    if (match.index > from) parts.push({ kind: "text", text: text.slice(from, match.index) });
    for (const n of numbers) parts.push({ kind: "cite", n });
    from = match.index + match[0].length;
  }
  if (from < text.length) parts.push({ kind: "text", text: text.slice(from) });
  return parts;
}

/** The answer as a screen reader should say it: without markers and without doubled spaces. */
export function withoutCitations(text: string): string {
  return text
    .replace(MARKER, "")
    .replace(/[ \t]+([.,;:!?])/g, "$1")
    .replace(/[ \t]{2,}/g, " ");
}

/**
 * The whole sentences at the start of a text that is still growing, and how much of it they take. The rest waits
 * until it is a sentence too, so that a live region speaks sentences instead of fragments.
 */
export function completeSentences(text: string): { sentences: string; length: number } {
  let length = 0;
  for (const match of text.matchAll(/[.!?…](?:["»”)]*)(?:\s*\[[\d,\s]+\])*(?:\s+|$)|\n+/g)) {
    length = match.index + match[0].length;
  }
  return { sentences: text.slice(0, length), length };
}
