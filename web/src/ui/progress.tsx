import { useId } from "react";
import css from "./progress.module.css";

/** A bar with what it counts beside it. The native element needs no style attribute and speaks for itself. */
export function Progress({ label, text, value, max }: { label: string; text: string; value: number; max: number }) {
  const id = useId();
  return (
    <div className={css.row}>
      <progress id={id} className={css.bar} aria-label={label} value={value} max={Math.max(max, 1)} />
      <span className={css.text} aria-hidden="true">
        {text}
      </span>
    </div>
  );
}
