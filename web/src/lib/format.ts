/** Numbers, sizes and times as people of each language write them. */

const UNITS = ["kilobyte", "megabyte", "gigabyte"] as const;

/** A size in bytes as kilobytes or more (powers of 1000), for example `0.5 kB` or `12 MB`. */
export function formatBytes(bytes: number, locale: string): string {
  // A small file is shown as something, not as nothing.
  let value = bytes > 0 ? Math.max(bytes / 1000, 0.1) : 0;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: UNITS[unit],
    unitDisplay: "short",
    maximumFractionDigits: value < 10 ? 1 : 0,
  }).format(value);
}

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** A past time relative to `now` (milliseconds), turning into a date after a week. */
export function formatWhen(iso: string, now: number, locale: string): string {
  const time = Date.parse(iso);
  if (Number.isNaN(time)) return iso;
  const seconds = Math.round((time - now) / 1000);
  if (Math.abs(seconds) > 7 * 86_400) return new Intl.DateTimeFormat(locale, { dateStyle: "medium" }).format(time);
  const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return relative.format(0, "second");
}

/** A full date and time, for tooltips and the activity list. */
export function formatTime(iso: string, locale: string): string {
  const time = Date.parse(iso);
  if (Number.isNaN(time)) return iso;
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(time);
}

/** A retrieval score: two significant digits, because scales differ between engines. */
export function formatScore(score: number, locale: string): string {
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: 2 }).format(score);
}
