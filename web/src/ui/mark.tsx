import css from "./mark.module.css";

/** The sign of Astrolabe: limb, ecliptic ring, alidade and throne. While `busy`, the alidade seeks. */
export function Mark({ size = 28, busy = false }: { size?: number; busy?: boolean }) {
  return (
    <svg
      className={busy ? `${css.mark} ${css.busy}` : css.mark}
      width={size}
      height={size}
      viewBox="0 0 32 32"
      fill="none"
      aria-hidden="true"
      focusable="false"
    >
      <circle cx="16" cy="17.5" r="11.5" stroke="currentColor" strokeWidth="1.7" />
      <circle cx="16" cy="20.2" r="6.4" stroke="currentColor" strokeWidth="1.2" opacity="0.75" />
      <path d="M13.6 4.4a2.4 2.4 0 0 1 4.8 0" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" />
      <g className={css.alidade}>
        <path d="M7.4 26.6 24.6 8.4" stroke="currentColor" strokeWidth="1.7" strokeLinecap="round" />
        <circle cx="16" cy="17.5" r="1.9" fill="currentColor" />
      </g>
    </svg>
  );
}

const CENTRE = 300;

function polar(radius: number, degrees: number): [number, number] {
  const angle = ((degrees - 90) * Math.PI) / 180;
  return [CENTRE + radius * Math.cos(angle), CENTRE + radius * Math.sin(angle)];
}

function tick(degrees: number, from: number, to: number): string {
  const [x1, y1] = polar(from, degrees);
  const [x2, y2] = polar(to, degrees);
  return `M${x1.toFixed(1)} ${y1.toFixed(1)}L${x2.toFixed(1)} ${y2.toFixed(1)}`;
}

const DEGREES = Array.from({ length: 180 }, (_, i) => i * 2);
const LIMB = DEGREES.map((d) => tick(d, d % 30 === 0 ? 262 : d % 10 === 0 ? 272 : 279, 286)).join("");
const ZODIAC = Array.from({ length: 36 }, (_, i) => i * 10);
/** Pointers of the rete: angle, distance from the centre. */
const STARS: readonly [number, number][] = [
  [18, 212],
  [52, 150],
  [84, 226],
  [131, 178],
  [158, 240],
  [203, 120],
  [226, 208],
  [271, 232],
  [298, 158],
  [334, 238],
];

/** A drawing of the instrument's face, for the empty first page. Decoration only. */
export function Astrolabe({ className }: { className?: string }) {
  return (
    <svg
      className={`${css.face} ${className ?? ""}`}
      viewBox="0 0 600 600"
      fill="none"
      aria-hidden="true"
      focusable="false"
    >
      <g stroke="currentColor" strokeWidth="1.1">
        <circle cx="300" cy="300" r="290" strokeWidth="1.6" />
        <circle cx="300" cy="300" r="258" />
        <path d={LIMB} />
        <circle cx="300" cy="300" r="190" opacity="0.6" />
        <circle cx="300" cy="300" r="122" opacity="0.6" />
        <path d="M42 300H558M300 42V558" opacity="0.5" />
        {[40, 78, 118, 160, 206].map((radius) => (
          <circle key={radius} cx="300" cy={300 - (206 - radius) * 0.42} r={radius} opacity="0.28" />
        ))}
      </g>
      <g className={css.rete} stroke="currentColor" strokeWidth="1.2">
        <circle cx="300" cy="358" r="156" strokeWidth="1.8" />
        <circle cx="300" cy="358" r="140" />
        <path
          d={ZODIAC.map((d) => {
            const angle = (d * Math.PI) / 180;
            const [c, s] = [Math.cos(angle), Math.sin(angle)];
            return `M${(300 + 140 * c).toFixed(1)} ${(358 + 140 * s).toFixed(1)}L${(300 + 156 * c).toFixed(1)} ${(358 + 156 * s).toFixed(1)}`;
          }).join("")}
        />
        {STARS.map(([degrees, radius]) => {
          const [x, y] = polar(radius, degrees);
          const [bx, by] = polar(radius - 34, degrees + 14);
          const [mx, my] = polar(radius - 8, degrees + 11);
          return (
            <g key={degrees}>
              <path
                d={`M${bx.toFixed(1)} ${by.toFixed(1)}Q${mx.toFixed(1)} ${my.toFixed(1)} ${x.toFixed(1)} ${y.toFixed(1)}`}
              />
              <circle cx={x.toFixed(1)} cy={y.toFixed(1)} r="3.4" fill="currentColor" stroke="none" />
            </g>
          );
        })}
        <path d="M118 482 482 118" strokeWidth="2.2" />
        <circle cx="300" cy="300" r="9" fill="currentColor" stroke="none" />
      </g>
    </svg>
  );
}
