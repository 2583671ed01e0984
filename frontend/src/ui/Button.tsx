import type { AnchorHTMLAttributes, ButtonHTMLAttributes, ReactNode, Ref } from "react";
import { Link } from "@/routing/Link";

type Look = "primary" | "secondary" | "quiet" | "danger";
type Size = "small" | "normal";

const LOOKS: Record<Look, string> = {
  primary: "bg-tile text-on-tile hover:bg-tile-hover",
  secondary: "border border-line-strong bg-raised text-ink hover:bg-sunken",
  quiet: "text-ink-soft hover:bg-sunken hover:text-ink",
  danger: "border border-danger bg-raised text-danger hover:bg-danger-wash",
};
const SIZES: Record<Size, string> = {
  small: "min-h-9 px-3 text-sm",
  normal: "min-h-11 px-5",
};

function classes(look: Look, size: Size, extra = ""): string {
  return `inline-flex items-center justify-center gap-2 rounded-full font-semibold whitespace-nowrap transition-colors disabled:opacity-60 ${LOOKS[look]} ${SIZES[size]} ${extra}`;
}

type Common = { look?: Look; size?: Size; icon?: ReactNode };

/** `busy`: what it started is under way; it keeps its place and can't start it twice. */
export function Button({
  look = "secondary",
  size = "normal",
  icon,
  busy = false,
  className,
  children,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> &
  Common & { busy?: boolean; ref?: Ref<HTMLButtonElement> }) {
  return (
    <button
      type="button"
      {...rest}
      disabled={rest.disabled || busy}
      aria-busy={busy || undefined}
      className={classes(look, size, className)}
    >
      {busy ? <Spinner /> : icon}
      {children}
    </button>
  );
}

export function ButtonLink({
  look = "secondary",
  size = "normal",
  icon,
  className,
  children,
  ...rest
}: AnchorHTMLAttributes<HTMLAnchorElement> & Common & { href: string }) {
  return (
    <Link {...rest} className={classes(look, size, className)}>
      {icon}
      {children}
    </Link>
  );
}

/** A button that is only a picture: `label` is its name, also for the eye when it is pointed at. */
export function IconButton({
  label,
  className = "",
  children,
  ...rest
}: ButtonHTMLAttributes<HTMLButtonElement> & { label: string }) {
  return (
    <button
      type="button"
      title={label}
      aria-label={label}
      {...rest}
      className={`inline-flex size-11 shrink-0 items-center justify-center rounded-full text-ink-soft transition-colors hover:bg-sunken hover:text-ink ${className}`}
    >
      {children}
    </button>
  );
}

export function Spinner() {
  return (
    <span
      aria-hidden="true"
      className="size-4 animate-spin rounded-full border-2 border-current border-e-transparent"
    />
  );
}
