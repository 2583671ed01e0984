import { type ReactNode, useEffect, useRef } from "react";
import { takeFocusWish } from "./arrival";

/** Sets the tab's title. Every page calls it, by PageHeading or itself. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Serai` : "Serai";
  }, [title]);
}

/**
 * The page's one h1. It takes the focus when the reader came here by a link, so that a screen
 * reader says where they are and the next Tab goes into the page.
 */
export function PageHeading({
  title,
  children,
  className = "text-3xl font-bold",
}: {
  title: string;
  children?: ReactNode;
  className?: string;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useTitle(title);
  useEffect(() => {
    if (takeFocusWish()) heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <h1 ref={heading} tabIndex={-1} className={className}>
      {children ?? title}
    </h1>
  );
}
