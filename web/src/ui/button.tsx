import type { ReactNode } from "react";
import { Button as AriaButton, type ButtonProps as AriaButtonProps } from "react-aria-components/Button";
import css from "./button.module.css";

/** How much a button stands out; `danger` is for what cannot be undone. */
export type Emphasis = "primary" | "secondary" | "quiet" | "danger";

/** The class of a button, for links that look like one. */
export function buttonClass(emphasis: Emphasis = "secondary", small = false): string {
  return [css.button, css[emphasis], small ? css.small : ""].join(" ");
}

interface ButtonProps extends Omit<AriaButtonProps, "className" | "style" | "children"> {
  readonly emphasis?: Emphasis;
  readonly small?: boolean;
  readonly children: ReactNode;
}

/** A button with our looks and React Aria's press, focus and disabled behaviour. */
export function Button({ emphasis = "secondary", small = false, children, ...rest }: ButtonProps) {
  return (
    <AriaButton {...rest} className={buttonClass(emphasis, small)}>
      {children}
    </AriaButton>
  );
}
