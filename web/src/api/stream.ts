import { readSse, type SseEvent, type SseHints } from "../lib/sse.ts";
import { ApiError, send } from "./client.ts";

/** Whether events flow, or the page is on its way back to them. */
export type StreamState = "open" | "resuming";

/** How to follow a stream through cuts. */
export interface FollowOptions {
  /** Opens the stream; `after` is the sequence number of the last event seen, 0 at first. */
  readonly open: (after: number, signal: AbortSignal) => Promise<Response>;
  /** True for the event after which the server closes the stream for good. */
  readonly isTerminal: (event: SseEvent) => boolean;
  readonly signal: AbortSignal;
  readonly onState?: (state: StreamState) => void;
  /** How many reconnections in a row may fail before the error is passed on. */
  readonly attempts?: number;
}

/** Without a byte for this long (three missed heartbeats of 15 s) a stream counts as dead. */
const SILENCE_MS = 45_000;
const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      window.removeEventListener("online", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
    // The browser knows best when the network is back.
    window.addEventListener("online", done, { once: true });
  });
}

/** Reading a body that falls silent is ended by this watch, which every byte winds up again. */
class Watch {
  readonly controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(outer: AbortSignal) {
    outer.addEventListener("abort", () => this.controller.abort(), { once: true, signal: this.controller.signal });
    if (outer.aborted) this.controller.abort();
    this.wind();
  }

  wind(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.controller.abort(), SILENCE_MS);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.controller.abort();
  }
}

/** A request for a stream of ours that continues after the event `after`. */
export function openStream(
  path: string,
  after: number,
  signal: AbortSignal,
  init: RequestInit = {},
): Promise<Response> {
  const headers = new Headers(init.headers);
  headers.set("accept", "text/event-stream");
  if (after > 0) headers.set("last-event-id", String(after));
  return send(path, { ...init, headers, signal });
}

/**
 * Yields the events of one of our streams, in order and each once, through any number of cuts: after a cut it
 * opens the stream again behind the last event seen. Ends after the terminal event or when `signal` aborts.
 * Throws {@link ApiError} when the server refuses (4xx) or when the attempts are used up.
 */
export async function* follow(options: FollowOptions): AsyncGenerator<SseEvent> {
  const { open, isTerminal, signal, onState, attempts = Number.POSITIVE_INFINITY } = options;
  const hints: SseHints = {};
  let after = 0;
  let failures = 0;
  while (!signal.aborted) {
    const watch = new Watch(signal);
    try {
      const response = await open(after, watch.controller.signal);
      if (!response.body) throw new ApiError({ title: "empty stream", status: 0, code: "network" });
      onState?.("open");
      for await (const event of readSse(response.body, hints, () => watch.wind())) {
        const seq = Number(event.id);
        // A replayed event was shown already.
        if (Number.isFinite(seq) && seq > 0) {
          if (seq <= after) continue;
          after = seq;
        }
        failures = 0;
        yield event;
        if (isTerminal(event)) return;
      }
    } catch (cause) {
      if (signal.aborted) return;
      if (cause instanceof ApiError && cause.status >= 400 && cause.status < 500 && cause.status !== 429) throw cause;
      if (failures + 1 >= attempts) {
        throw cause instanceof ApiError ? cause : new ApiError({ title: "network", status: 0, code: "network" });
      }
    } finally {
      watch.end();
    }
    if (signal.aborted) return;
    onState?.("resuming");
    const wait = Math.min((hints.retry ?? FIRST_WAIT_MS) * 2 ** Math.min(failures, 5), LONGEST_WAIT_MS);
    failures++;
    await pause(wait, signal);
  }
}
