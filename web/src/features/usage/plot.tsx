import type { UsageReport } from "../../api/types.ts";
import { useI18n } from "../../lib/i18n/index.ts";
import css from "./usage.module.css";
import { amountOf, formatValue, type Measure } from "./usage-page.tsx";

const WIDTH = 720;
const HEIGHT = 220;
const LEFT = 64;
const BOTTOM = 24;
const TOP = 10;
const DAY_MS = 86_400_000;

/** A round number at or above the largest value: 1, 2 or 5 with noughts. */
export function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

/** Every day of a report from the first to the last, those without usage too. */
export function daysOf(report: UsageReport): { day: string; sum?: UsageReport["items"][number] }[] {
  const sums = new Map(report.items.map((item) => [item.key, item]));
  const days = [];
  for (let at = Date.parse(report.from); at <= Date.parse(report.until); at += DAY_MS) {
    const day = new Date(at).toISOString().slice(0, 10);
    days.push({ day, sum: sums.get(day) });
  }
  return days;
}

/** A bar a day. The table below says the same in numbers. */
export function Plot({ report, measure }: { report: UsageReport; measure: Measure }) {
  const { t, language } = useI18n();
  const days = daysOf(report);
  const values = days.map(({ sum }) => (sum ? amountOf(sum, measure) : 0));
  const top = roundUp(Math.max(...values));
  const step = (WIDTH - LEFT) / days.length;
  const height = HEIGHT - TOP - BOTTOM;
  const date = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", timeZone: "UTC" });
  const label = t(`usage.plot.${measure}`, {
    from: date.format(Date.parse(report.from)),
    until: date.format(Date.parse(report.until)),
  });
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
      {[0, 0.5, 1].map((part) => {
        const y = TOP + height * (1 - part);
        return (
          <g key={part}>
            <line className={css.grid} x1={LEFT} x2={WIDTH} y1={y} y2={y} />
            <text className={css.tick} x={LEFT - 8} y={y + 4} textAnchor="end">
              {formatValue(top * part, measure, language)}
            </text>
          </g>
        );
      })}
      {days.map(({ day }, i) => {
        const bar = (height * (values[i] ?? 0)) / top;
        return (
          <g key={day}>
            <rect
              className={css.column}
              x={LEFT + i * step + step * 0.15}
              width={step * 0.7}
              y={TOP + height - bar}
              height={bar}
              rx={2}
            >
              <title>{`${date.format(Date.parse(day))}: ${formatValue(values[i] ?? 0, measure, language)}`}</title>
            </rect>
            {i % Math.ceil(days.length / 6) === 0 && (
              <text className={css.tick} x={LEFT + (i + 0.5) * step} y={HEIGHT - 6} textAnchor="middle">
                {date.format(Date.parse(day))}
              </text>
            )}
          </g>
        );
      })}
    </svg>
  );
}
