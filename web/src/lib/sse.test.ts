import { expect, test } from "vitest";
import { collect } from "../../test/collect.ts";
import { readSse, SseParser } from "./sse.ts";

test("an event comes out when its blank line has arrived", () => {
  const parser = new SseParser();
  expect(parser.push("id: 1\nevent: answer.delta\ndata: {}")).toEqual([]);
  expect(parser.push("\n\n")).toEqual([{ id: "1", event: "answer.delta", data: "{}" }]);
});

test("where the text is cut makes no difference", () => {
  const text =
    'retry: 250\r\n\r\n: beat\r\nid: 7\r\nevent: a\r\ndata: {"x":\r\ndata: 1}\r\n\r\nid: 8\r\ndata: zażółć 🛰\r\n\r\n';
  const whole = new SseParser().push(text);
  expect(whole).toEqual([
    { id: "7", event: "a", data: '{"x":\n1}' },
    { id: "8", event: "message", data: "zażółć 🛰" },
  ]);
  for (let cut = 0; cut <= text.length; cut++) {
    const parser = new SseParser();
    const parts = [...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))];
    expect(parts).toEqual(whole);
    expect(parser.hints.retry).toBe(250);
  }
});

test("all three line endings end a line", () => {
  expect(new SseParser().push("data: a\rdata: b\ndata: c\r\n\n")).toEqual([
    { id: "", event: "message", data: "a\nb\nc" },
  ]);
});

test("a byte order mark, comments and unknown fields are passed over", () => {
  expect(new SseParser().push("\uFEFF: hello\nfoo: bar\ndata:x\n\n")).toEqual([
    { id: "", event: "message", data: "x" },
  ]);
});

test("an event without data is not dispatched but its id is kept", () => {
  expect(new SseParser().push("id: 4\nevent: a\n\ndata: x\n\n")).toEqual([{ id: "4", event: "message", data: "x" }]);
});

test("a block that the end of the stream cuts short is dropped", async () => {
  const bytes = new TextEncoder().encode("id: 1\ndata: a\n\nid: 2\ndata: b\n");
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      // Cut inside of the bytes, where a character may be split too.
      for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
      controller.close();
    },
  });
  const events = await collect(readSse(body));
  expect(events).toEqual([{ id: "1", event: "message", data: "a" }]);
});
