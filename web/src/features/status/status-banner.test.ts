import { expect, test } from "vitest";
import type { Readiness } from "../../api/types.ts";
import { newsOf } from "./status-banner.tsx";

function report(report: Readiness, available = true) {
  return newsOf({ kind: "report", report, available })?.key;
}

test("a ready server is no news", () => {
  expect(report({ status: "ready", degraded: [] })).toBeUndefined();
});

test("a missing chat model is the normal empty configuration and no news", () => {
  expect(report({ status: "degraded", degraded: ["chat_model"] })).toBeUndefined();
});

test("a missing embedder is said, a loading one too, and loading wins", () => {
  const embedder = (status: string) => ({ embedder: { status, required: false, detail: "" } });
  expect(report({ status: "degraded", degraded: ["embedder"], dependencies: embedder("not_configured") })).toBe(
    "status.banner.embedder",
  );
  expect(report({ status: "degraded", degraded: ["embedder"], dependencies: embedder("loading") })).toBe(
    "status.banner.embedderLoading",
  );
});

test("a server that is away, warming up or in maintenance is told apart", () => {
  expect(newsOf({ kind: "lost" })?.key).toBe("status.banner.lost");
  expect(report({ status: "warming" }, false)).toBe("status.banner.warming");
  expect(report({ status: "unavailable" }, false)).toBe("status.banner.maintenance");
});

test("another missing part is named", () => {
  expect(
    newsOf({ kind: "report", available: true, report: { status: "degraded", degraded: ["index"] } }),
  ).toMatchObject({
    key: "status.banner.other",
    params: { parts: "index" },
  });
});
