/**
 * A reader of `text/event-stream`, as the WHATWG HTML standard (section 9.2.6) defines it, over a `fetch` body.
 * `EventSource` cannot send a POST, a header or see a status, so the page reads the stream itself.
 */

/** One dispatched event. `id` is the last event id seen so far, `data` the joined data lines. */
export interface SseEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** What a parser has learned beside the events. */
export interface SseHints {
  /** Milliseconds the server asks to wait before a reconnection, when it said so. */
  retry?: number;
}

/**
 * Turns text, cut anywhere, into events.
 *
 * Feed it decoded text with {@link SseParser.push}; an event comes out when its blank line has arrived. A block
 * that the end of the stream cuts short is dropped, as the standard demands: it will come again on resumption.
 */
export class SseParser {
  readonly hints: SseHints = {};
  #buffer = "";
  #started = false;
  #id = "";
  #event = "";
  #data: string[] = [];

  /** Adds text and returns the events that it completes, in order. */
  push(text: string): SseEvent[] {
    let input = this.#buffer + text;
    if (!this.#started && input.length > 0) {
      if (input.startsWith("\uFEFF")) input = input.slice(1);
      this.#started = true;
    }
    const events: SseEvent[] = [];
    let from = 0;
    for (let at = 0; at < input.length; at++) {
      const char = input[at];
      if (char !== "\n" && char !== "\r") continue;
      // A carriage return at the very end may be the first half of CRLF: wait for the rest.
      if (char === "\r" && at === input.length - 1) break;
      const done = this.#line(input.slice(from, at));
      if (done) events.push(done);
      if (char === "\r" && input[at + 1] === "\n") at++;
      from = at + 1;
    }
    this.#buffer = input.slice(from);
    return events;
  }

  #line(line: string): SseEvent | undefined {
    if (line === "") return this.#dispatch();
    if (line.startsWith(":")) return undefined;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.hints.retry = Number(value);
    return undefined;
  }

  #dispatch(): SseEvent | undefined {
    const data = this.#data;
    const event = this.#event || "message";
    this.#data = [];
    this.#event = "";
    return data.length === 0 ? undefined : { id: this.#id, event, data: data.join("\n") };
  }
}

/** Reads a response body as events until it ends; throws what the network throws. */
export async function* readSse(
  body: ReadableStream<Uint8Array>,
  hints?: SseHints,
  onBytes?: () => void,
): AsyncGenerator<SseEvent> {
  const parser = new SseParser();
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes?.();
      const events = parser.push(decoder.decode(value, { stream: true }));
      if (hints && parser.hints.retry !== undefined) hints.retry = parser.hints.retry;
      yield* events;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
