/**
 * A small reader of text for display: of the markdown that a model may write ({@link markdownBlocks}), and of the
 * text that the server extracted from a document ({@link textBlocks}). It never produces HTML: it cuts a text into
 * blocks and inline spans that carry their offsets, and the page renders those as elements. Whatever it does not know stays
 * visible as plain text, which is the safe and honest fallback. Offsets are UTF-16 indexes of the given text.
 */

/** A run of characters of one style. `start..end` is the shown text's place in the source. */
export interface Span {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly style: "plain" | "strong" | "emphasis" | "code";
}

/** A block of a document. */
export type Block =
  | {
      readonly kind: "heading";
      readonly level: number;
      readonly start: number;
      readonly end: number;
      readonly spans: Span[];
    }
  | { readonly kind: "paragraph" | "quote"; readonly start: number; readonly end: number; readonly spans: Span[] }
  | {
      readonly kind: "item";
      readonly depth: number;
      readonly marker: string;
      readonly start: number;
      readonly end: number;
      readonly spans: Span[];
    }
  | {
      readonly kind: "table";
      readonly start: number;
      readonly end: number;
      /** Rows of cells; the first row heads the columns. */
      readonly rows: readonly (readonly Span[])[];
      readonly spans: Span[];
    }
  | { readonly kind: "pre"; readonly start: number; readonly end: number; readonly spans: Span[] }
  | { readonly kind: "rule"; readonly start: number; readonly end: number; readonly spans: Span[] };

interface Line {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const ITEM = /^(\s*)([-*+•‣◦▪·]|\d{1,4}[.)]|\p{Ll}\))\s+/u;
const FENCE = /^ {0,3}(```|~~~)/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const TABLE = /^\s*\|.*\|\s*$/;
const QUOTE = /^ {0,3}> ?/;
const CITED = /\[\d{1,3}(?:\s*,\s*\d{1,3})*\]\s*$/;

function linesOf(text: string): Line[] {
  const lines: Line[] = [];
  let start = 0;
  while (start <= text.length) {
    const newline = text.indexOf("\n", start);
    const end = newline < 0 ? text.length : newline;
    lines.push({ start, end, text: text.slice(start, end) });
    if (newline < 0) break;
    start = newline + 1;
  }
  return lines;
}

/** Inline spans of `text`, which begins at `offset` of the source. */
export function inlineSpans(text: string, offset: number): Span[] {
  const spans: Span[] = [];
  const push = (from: number, to: number, style: Span["style"]) => {
    if (to > from) spans.push({ text: text.slice(from, to), start: offset + from, end: offset + to, style });
  };
  const pattern = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|(?<![\w*])\*([^*\s][^*\n]*)\*(?!\w)|!?\[([^\]\n]+)\]\([^)\s]+\)/g;
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    const [whole, code, strong, emphasis, link] = match;
    push(from, match.index, "plain");
    const inner = code ?? strong ?? emphasis ?? link ?? "";
    const at = match.index + whole.indexOf(inner);
    push(at, at + inner.length, code ? "code" : strong ? "strong" : emphasis ? "emphasis" : "plain");
    from = match.index + whole.length;
  }
  push(from, text.length, "plain");
  return spans;
}

/** What a list item's lead says: its depth and its bullet or number. */
function itemOf(item: RegExpExecArray): { kind: "item"; depth: number; marker: string } {
  const indent = (item[1] ?? "").replace(/\t/g, "    ").length;
  const marker = /[\d)]/.test(item[2] ?? "") ? (item[2] as string) : "•";
  return { kind: "item", depth: Math.min(Math.floor(indent / 2), 4), marker };
}

function raw(text: string, start: number, end: number): Span[] {
  return start < end ? [{ text: text.slice(start, end), start, end, style: "plain" }] : [];
}

/** Cuts markdown source into blocks. Blank lines end paragraphs; fences and tables keep their lines. */
export function markdownBlocks(text: string): Block[] {
  const blocks: Block[] = [];
  const lines = linesOf(text);
  let at = 0;
  // A front matter block is settings, not prose: it is kept, but set as code.
  if (lines[0]?.text.trim() === "---") {
    const close = lines.findIndex((line, index) => index > 0 && line.text.trim() === "---");
    const last = lines[close];
    if (close > 0 && close < 40 && last) {
      blocks.push({ kind: "pre", start: 0, end: last.end, spans: raw(text, 0, last.end) });
      at = close + 1;
    }
  }
  while (at < lines.length) {
    const line = lines[at] as Line;
    if (line.text.trim() === "") {
      at++;
      continue;
    }
    const fence = FENCE.exec(line.text);
    if (fence) {
      let last = at + 1;
      while (last < lines.length && !(lines[last] as Line).text.trimStart().startsWith(fence[1] as string)) last++;
      const inner = lines.slice(at + 1, last);
      const start = inner[0]?.start ?? line.end;
      const end = inner.at(-1)?.end ?? start;
      blocks.push({ kind: "pre", start, end, spans: raw(text, start, end) });
      at = last + 1;
      continue;
    }
    if (TABLE.test(line.text)) {
      let last = at;
      while (last + 1 < lines.length && TABLE.test((lines[last + 1] as Line).text)) last++;
      const end = (lines[last] as Line).end;
      blocks.push({ kind: "pre", start: line.start, end, spans: raw(text, line.start, end) });
      at = last + 1;
      continue;
    }
    const heading = HEADING.exec(line.text);
    if (heading) {
      const title = heading[2] ?? "";
      const offset = line.start + line.text.indexOf(title, (heading[1] ?? "").length);
      blocks.push({
        kind: "heading",
        level: (heading[1] ?? "#").length,
        start: line.start,
        end: line.end,
        spans: inlineSpans(title, offset),
      });
      at++;
      continue;
    }
    if (RULE.test(line.text)) {
      blocks.push({ kind: "rule", start: line.start, end: line.end, spans: [] });
      at++;
      continue;
    }
    const item = ITEM.exec(line.text);
    const quote = item ? null : QUOTE.exec(line.text);
    const lead = item?.[0].length ?? quote?.[0].length ?? 0;
    // Soft line breaks join the block until a blank line or the start of another kind of block.
    let last = at;
    while (last + 1 < lines.length) {
      const next = (lines[last + 1] as Line).text;
      if (next.trim() === "" || HEADING.test(next) || FENCE.test(next) || ITEM.test(next) || TABLE.test(next)) break;
      if (!quote && QUOTE.test(next)) break;
      // A cited item of an answer is complete: what follows comes from elsewhere.
      if (item && CITED.test((lines[last] as Line).text)) break;
      last++;
    }
    const end = (lines[last] as Line).end;
    const spans = inlineSpans(text.slice(line.start + lead, end), line.start + lead);
    if (item) {
      blocks.push({ ...itemOf(item), start: line.start, end, spans });
    } else {
      blocks.push({ kind: quote ? "quote" : "paragraph", start: line.start, end, spans });
    }
    at = last + 1;
  }
  return blocks;
}

/** A row of a table in an answer, which reads `column: cell; column: cell [1]`; undefined for any other sentence. */
function namedCells(text: string, start: number, end: number): { names: Span[]; cells: Span[] } | undefined {
  const names: Span[] = [];
  const cells: Span[] = [];
  let at = start;
  for (const piece of text.slice(start, end).split("; ")) {
    const name = /^[^:;.!?[\]\n]{1,40}(?=: \S)/.exec(piece)?.[0];
    const from = name === undefined ? at : at + name.length + 2;
    const last = cells.at(-1);
    if (name === undefined && last) {
      // A semicolon of the cell itself.
      cells[cells.length - 1] = { ...last, text: text.slice(last.start, at + piece.length), end: at + piece.length };
    } else {
      names.push({ text: name ?? "", start: at, end: at + (name?.length ?? 0), style: "plain" });
      cells.push({ text: text.slice(from, at + piece.length), start: from, end: at + piece.length, style: "plain" });
    }
    at += piece.length + 2;
  }
  return names.filter((name) => name.text !== "").length > 1 ? { names, cells } : undefined;
}

/**
 * Cuts an answer into blocks: markdown, in which cited sentences that are rows of a table make a table. Rows of the same
 * columns that follow each other share it.
 */
export function answerBlocks(text: string): Block[] {
  return markdownBlocks(text).flatMap((block) => {
    if (block.kind !== "paragraph") return [block];
    const blocks: Block[] = [];
    let open: number | undefined;
    const close = (end: number) => {
      if (open === undefined || end <= open) return;
      blocks.push({ kind: "paragraph", start: open, end, spans: inlineSpans(text.slice(open, end), open) });
      open = undefined;
    };
    let at = block.start;
    for (const [piece] of text
      .slice(block.start, block.end)
      .matchAll(/.*?(?:\[\d{1,3}(?:\s*,\s*\d{1,3})*\]\s*)+|.+$/gs)) {
      const end = at + piece.trimEnd().length;
      const row = CITED.test(piece) ? namedCells(text, at, end) : undefined;
      const last = blocks.at(-1);
      if (!row) {
        open ??= at;
      } else if (open === undefined && last?.kind === "table" && sameColumns(last.rows[0] ?? [], row.names)) {
        const rows = [...last.rows, row.cells];
        blocks[blocks.length - 1] = { ...last, end, rows, spans: rows.flat() };
      } else {
        close(at);
        const rows = [row.names, row.cells];
        blocks.push({ kind: "table", start: at, end, rows, spans: rows.flat() });
      }
      at += piece.length;
    }
    close(block.end);
    return blocks;
  });
}

function sameColumns(a: readonly Span[], b: readonly Span[]): boolean {
  return a.map(({ text }) => text).join("\n") === b.map(({ text }) => text).join("\n");
}

/** The cells of a line of a table (`a | b | c`), with their places. */
function cellsOf(text: string, line: Line): Span[] {
  const cells: Span[] = [];
  let from = line.start;
  for (const piece of line.text.split(/ \|(?: |$)/)) {
    const at = text.indexOf(piece, from);
    cells.push({ text: piece, start: at, end: at + piece.length, style: "plain" });
    from = at + piece.length;
  }
  return cells;
}

function isRow(line: Line): boolean {
  return / \|( |$)/.test(line.text);
}

/** Lines without a blank one between them, as a table, code, list items or a paragraph. */
function groupBlocks(text: string, lines: readonly Line[]): Block[] {
  const [first] = lines;
  const last = lines.at(-1);
  if (!first || !last) return [];
  const whole = { start: first.start, end: last.end };
  if (lines.length > 1 && lines.every(isRow)) {
    const rows = lines.map((line) => cellsOf(text, line));
    return [{ kind: "table", ...whole, rows, spans: rows.flat() }];
  }
  const items = lines.filter((line) => ITEM.test(line.text)).length;
  // Indented lines outside of a list are code: their shape means something.
  if (items === 0 && lines.some((line) => /^\s{2,}\S/.test(line.text))) {
    return [{ kind: "pre", ...whole, spans: raw(text, whole.start, whole.end) }];
  }
  const blocks: Block[] = [];
  let open: { start: number; end: number } | undefined;
  const close = () => {
    if (open) blocks.push({ kind: "paragraph", ...open, spans: raw(text, open.start, open.end) });
    open = undefined;
  };
  for (const line of lines) {
    const item = ITEM.exec(line.text);
    if (!item) {
      open = { start: open?.start ?? line.start, end: line.end };
      continue;
    }
    close();
    const start = line.start + item[0].length;
    blocks.push({ ...itemOf(item), start: line.start, end: line.end, spans: raw(text, start, line.end) });
  }
  close();
  return blocks;
}

/**
 * Cuts extracted text into blocks. The server has taken the marks off: headings are lines that its list names
 * (`headings` maps their UTF-16 starts to levels), list items keep their bullet or number, table rows read
 * `a | b`, and every line end means something.
 */
export function textBlocks(text: string, headings: ReadonlyMap<number, number> = new Map()): Block[] {
  const blocks: Block[] = [];
  let group: Line[] = [];
  const close = () => {
    blocks.push(...groupBlocks(text, group));
    group = [];
  };
  for (const line of linesOf(text)) {
    const level = headings.get(line.start);
    if (line.text.trim() === "") {
      close();
    } else if (level !== undefined) {
      close();
      blocks.push({ kind: "heading", level, start: line.start, end: line.end, spans: raw(text, line.start, line.end) });
    } else {
      group.push(line);
    }
  }
  close();
  return blocks;
}

/** A span cut at the borders of a highlighted range, each piece saying whether it is inside. */
export function cutSpan(span: Span, from: number, to: number): { readonly span: Span; readonly inside: boolean }[] {
  const borders = [
    span.start,
    Math.min(Math.max(from, span.start), span.end),
    Math.min(Math.max(to, span.start), span.end),
    span.end,
  ];
  const pieces: { span: Span; inside: boolean }[] = [];
  for (let i = 0; i < 3; i++) {
    const start = borders[i] as number;
    const end = borders[i + 1] as number;
    if (end <= start) continue;
    const text = span.text.slice(start - span.start, end - span.start);
    pieces.push({ span: { ...span, start, end, text }, inside: i === 1 });
  }
  return pieces;
}
