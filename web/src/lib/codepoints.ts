/**
 * The server counts characters as Unicode scalar values; JavaScript strings count UTF-16 units. These helpers
 * translate, so that a passage after an emoji is still the passage the citation names.
 */

/** A translator from code-point offsets to UTF-16 indexes of one text. */
export interface CodePointIndex {
  /** Length of the text in code points. */
  readonly length: number;
  /** The UTF-16 index of a code-point offset; offsets outside the text are clamped to its ends. */
  toUnit(offset: number): number;
  /** The code-point offset of a UTF-16 index, clamped likewise. */
  toPoint(unit: number): number;
}

/**
 * Builds the translator in one pass. A text without surrogate pairs costs nothing; otherwise the positions of
 * the pairs are kept and found by bisection.
 */
export function codePointIndex(text: string): CodePointIndex {
  // Code-point offsets of the characters that take two units.
  const pairs: number[] = [];
  let point = 0;
  for (let unit = 0; unit < text.length; point++) {
    const wide = (text.codePointAt(unit) ?? 0) > 0xffff;
    if (wide) pairs.push(point);
    unit += wide ? 2 : 1;
  }
  const length = point;
  const before = (offset: number): number => {
    let low = 0;
    let high = pairs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((pairs[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const toUnit = (offset: number): number => {
    const clamped = Math.min(Math.max(Math.trunc(offset), 0), length);
    return clamped + before(clamped);
  };
  return {
    length,
    toUnit,
    toPoint(unit) {
      let low = 0;
      let high = length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (toUnit(middle) < unit) low = middle + 1;
        else high = middle;
      }
      return low;
    },
  };
}

/** The part of `text` between two code-point offsets, as the server would cut it. */
export function sliceCodePoints(text: string, start: number, end: number): string {
  const index = codePointIndex(text);
  return text.slice(index.toUnit(start), index.toUnit(end));
}
