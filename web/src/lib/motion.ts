/** How to scroll: smoothly, unless the person asked for less motion. CSS alone does not bind scrolling by script. */
export function scrollBehavior(): ScrollBehavior {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
}
