/** For `scrollTo` and `scrollIntoView`: the style sheet's answer to prefers-reduced-motion does not
 *  reach what scripts ask for themselves. */
export function scrolling(): ScrollBehavior {
  return matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth";
}
