/** Where the reader stands after a page has changed: its heading has the focus, the scroll bar is
 *  where they left it or at the top. */
import { onArrival, savedScroll } from "@/routing/router";

const PATIENCE_MS = 2_000;

let wantsFocus = false;

/** Whether the heading that appears now is that of a page the reader asked for. */
export function takeFocusWish(): boolean {
  const wish = wantsFocus;
  wantsFocus = false;
  return wish;
}

export function startArrivals(): () => void {
  const [opened] = performance.getEntriesByType("navigation");
  const how = opened instanceof PerformanceNavigationTiming ? opened.type : "navigate";
  if (how === "reload" || how === "back_forward") restore(savedScroll());
  return onArrival((how, isOtherPage) => {
    wantsFocus = isOtherPage;
    if (how === "new") {
      const target = window.location.hash.slice(1);
      if (!target) window.scrollTo(0, 0);
    } else restore(savedScroll());
  });
}

/** Tries until the page is as long as it was, or the reader scrolls. */
function restore(y: number): void {
  const until = performance.now() + PATIENCE_MS;
  let touched = false;
  const touch = () => {
    touched = true;
  };
  const events = ["wheel", "touchmove", "keydown"] as const;
  for (const name of events) window.addEventListener(name, touch, { once: true, passive: true });
  const step = () => {
    const room = document.documentElement.scrollHeight - window.innerHeight;
    window.scrollTo(0, Math.min(y, room));
    if (room < y && !touched && performance.now() < until) requestAnimationFrame(step);
    else for (const name of events) window.removeEventListener(name, touch);
  };
  requestAnimationFrame(step);
}
