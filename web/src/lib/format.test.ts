import { expect, test } from "vitest";
import { formatBytes, formatScore, formatWhen } from "./format.ts";

test("sizes have a fitting unit", () => {
  expect(formatBytes(0, "en")).toBe("0 kB");
  expect(formatBytes(20, "en")).toBe("0.1 kB");
  expect(formatBytes(523, "en")).toBe("0.5 kB");
  expect(formatBytes(12_300, "en")).toBe("12 kB");
  expect(formatBytes(4_200_000, "en")).toBe("4.2 MB");
});

test("times are relative for a week and dates after it", () => {
  const now = Date.parse("2026-11-21T12:00:00Z");
  expect(formatWhen("2026-11-21T11:59:40Z", now, "en")).toBe("now");
  expect(formatWhen("2026-11-21T09:00:00Z", now, "en")).toBe("3 hours ago");
  expect(formatWhen("2026-11-20T11:00:00Z", now, "en")).toBe("yesterday");
  expect(formatWhen("2026-10-01T12:00:00Z", now, "en")).toBe("Oct 1, 2026");
  expect(formatWhen("not a time", now, "en")).toBe("not a time");
});

test("scores keep two digits on any scale", () => {
  expect(formatScore(0.03278, "en")).toBe("0.033");
  expect(formatScore(0.8123, "en")).toBe("0.81");
});
