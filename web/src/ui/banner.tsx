import type { ReactNode } from "react";
import css from "./banner.module.css";
import { Icon } from "./icons.tsx";

/** A line of news that stays in place: `warn` for less than usual, `bad` for broken, `info` for the rest. */
export function Banner({
  tone = "info",
  children,
  action,
}: {
  tone?: "info" | "warn" | "bad";
  children: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={`${css.banner} ${css[tone]}`}>
      <span className={css.icon}>
        <Icon name={tone === "info" ? "info" : "warn"} />
      </span>
      <div className={css.text}>{children}</div>
      {action}
    </div>
  );
}

/** Text with `code` between backticks shown as code. */
export function CodeText({ text }: { text: string }) {
  // The pieces never move, so their place is a good key.
  return text.split("`").map((piece, index) => {
    const key = `${index}:${piece}`;
    return index % 2 === 1 ? <code key={key}>{piece}</code> : <span key={key}>{piece}</span>;
  });
}
