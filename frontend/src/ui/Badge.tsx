import type { ReactNode } from "react";

const TONES = {
  plain: "bg-sunken text-ink-soft",
  tile: "bg-tile-wash text-tile",
  leaf: "bg-leaf-wash text-leaf",
  clay: "bg-clay-wash text-clay",
  lamp: "bg-lamp text-on-lamp",
  danger: "bg-danger-wash text-danger",
} as const;

export function Badge({
  tone = "plain",
  icon,
  children,
}: {
  tone?: keyof typeof TONES;
  icon?: ReactNode;
  children: ReactNode;
}) {
  return (
    <span
      className={`inline-flex items-center gap-1 rounded-full px-2.5 py-0.5 text-xs font-semibold whitespace-nowrap ${TONES[tone]}`}
    >
      {icon}
      {children}
    </span>
  );
}
