import type { DocumentContent } from "../../api/types.ts";
import { codePointIndex } from "../../lib/codepoints.ts";
import { type Block, textBlocks } from "../../lib/markup.ts";

/** An entry of the outline: a heading and the block that shows it. */
export interface OutlineEntry {
  readonly id: string;
  readonly level: number;
  readonly title: string;
}

/** A document ready to be drawn. Offsets are UTF-16 indexes. */
export interface DocumentView {
  readonly blocks: readonly Block[];
  readonly outline: readonly OutlineEntry[];
  /** The cited passage, when one was asked for and lies inside of the text. */
  readonly passage: { readonly from: number; readonly to: number } | undefined;
  /** True when a passage was asked for that the text no longer has. */
  readonly outside: boolean;
}

/** The element id of a heading block. */
export function headingId(block: Block): string | undefined {
  return block.kind === "heading" ? `h${block.start}` : undefined;
}

function lineStart(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}

/** Cuts a document into blocks and finds its passage; `start` and `end` are code-point offsets. */
export function viewDocument(content: DocumentContent, start?: number, end?: number): DocumentView {
  const { text, headings } = content;
  const index = codePointIndex(text);
  const byLine = new Map(headings.map((heading) => [lineStart(text, index.toUnit(heading.start)), heading]));
  const blocks = textBlocks(text, new Map([...byLine].map(([at, heading]) => [at, heading.level])));
  const outline = blocks.flatMap((block) => {
    const id = headingId(block);
    if (id === undefined || block.kind !== "heading") return [];
    const title = byLine.get(block.start)?.title ?? block.spans.map((span) => span.text).join("");
    return title.trim() === "" ? [] : [{ id, level: block.level, title }];
  });
  const asked = start !== undefined && end !== undefined && end > start;
  const outside = asked && start >= index.length;
  return {
    blocks,
    outline,
    outside,
    passage: asked && !outside ? { from: index.toUnit(start), to: index.toUnit(end) } : undefined,
  };
}
