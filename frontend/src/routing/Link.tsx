import type { AnchorHTMLAttributes, MouseEvent } from "react";
import { navigate, useLocation } from "./router";

/** A real link that stays inside the shell. `aria-current` is set on the page's own. */
export function Link({
  href,
  onClick,
  ...rest
}: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const { path } = useLocation();
  function follow(event: MouseEvent<HTMLAnchorElement>) {
    onClick?.(event);
    const plain =
      event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (event.defaultPrevented || !plain || rest.target === "_blank") return;
    event.preventDefault();
    navigate(href);
  }
  const isCurrent = href.split(/[?#]/)[0] === path;
  return <a href={href} aria-current={isCurrent ? "page" : undefined} onClick={follow} {...rest} />;
}
