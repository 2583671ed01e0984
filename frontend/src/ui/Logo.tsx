/** An arch with a lit lamp in it. */
export function Logo() {
  return (
    <span className="inline-flex items-center gap-2.5">
      <svg width="30" height="32" viewBox="0 0 30 32" aria-hidden="true">
        <path d="M1 31V15.5C1 8 7 4.5 15 .8C23 4.5 29 8 29 15.5V31Z" fill="var(--tile)" />
        <path d="M8 31V18.5C8 14 11 12 15 9.8C19 12 22 14 22 18.5V31Z" fill="var(--ground)" />
        <path
          d="M15 15.5l1.5 2.9 3.1-1-1 3.1 2.9 1.5-2.9 1.5 1 3.1-3.1-1-1.5 2.9-1.5-2.9-3.1 1 1-3.1L8.500 22l2.9-1.500-1-3.100 3.100 1Z"
          fill="var(--lamp)"
        />
      </svg>
      <span className="translate-y-[0.12em] font-display text-[1.4rem] leading-none font-bold tracking-tight">
        Serai
      </span>
    </span>
  );
}
