/** Small line icons on a 20-unit grid. They are decoration: the control that holds one has its own name. */

const PATHS = {
  arrow: "M4 10h12M11 5l5 5-5 5",
  back: "M16 10H4M9 5l-5 5 5 5",
  stop: "M6 6h8v8H6z",
  upload: "M10 13V4M6 7.5 10 3.5l4 4M4 13v2.5h12V13",
  file: "M5.5 2.5h6l3.5 3.5v11.5h-9.5zM11.5 2.5V6H15",
  folder: "M2.5 5.5h5l1.5 2h8.5v8.5h-15z",
  trash: "M4 5.5h12M8 5.5V3.5h4v2M5.5 5.5l.8 11h7.4l.8-11",
  retry: "M16 10a6 6 0 1 1-1.9-4.4M16.2 2.8v3.4h-3.4",
  edit: "M4 16l.8-3.6 8.6-8.6a1.4 1.4 0 0 1 2 0l.8.8a1.4 1.4 0 0 1 0 2l-8.6 8.6zM11.8 5.4l2.8 2.8",
  plus: "M10 4v12M4 10h12",
  copy: "M7 7V3.5h9.5V13H13M3.5 7H13v9.5H3.5z",
  check: "M4 10.5 8.2 15 16 5.5",
  warn: "M10 3 18 16.5H2zM10 8v4M10 14.2v.3",
  info: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 9v4.5M10 6.4v.3",
  sun: "M10 13.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM10 2.5v1.6M10 15.9v1.6M2.5 10h1.6M15.9 10h1.6M4.7 4.7l1.1 1.1M14.2 14.2l1.1 1.1M15.3 4.7l-1.1 1.1M5.8 14.2l-1.1 1.1",
  moon: "M16 11.8A6.5 6.5 0 0 1 8.2 4 6.5 6.5 0 1 0 16 11.8z",
  auto: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 3v14M10 5.5h3.8M10 8.5h6M10 11.5h6M10 14.5h3.8",
  clock: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM10 6v4l2.6 2",
  up: "M6.5 9v7.5h-3V9zM6.5 9.5 10 3c1.3 0 2 .9 2 2.1V8h4a1.3 1.3 0 0 1 1.3 1.6l-1.2 5.6a1.6 1.6 0 0 1-1.6 1.3h-8",
  down: "M6.5 11V3.5h-3V11zM6.5 10.5 10 17c1.3 0 2-.9 2-2.1V12h4a1.3 1.3 0 0 0 1.3-1.6l-1.2-5.6a1.6 1.6 0 0 0-1.6-1.3h-8",
  play: "M6 4v12l10-6z",
  quote: "M4 14V9.5C4 7 5.3 5.6 7.6 5.2M11.5 14V9.5c0-2.5 1.3-3.9 3.6-4.3M4 10h3.6v4H4zM11.5 10h3.6v4h-3.6z",
} as const;

/** The name of an icon. */
export type IconName = keyof typeof PATHS;

/** One icon, as large as it is told, in the colour of the text. */
export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
