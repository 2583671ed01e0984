/** A member's initial on a colour of their own; names stand beside it, so it says nothing by itself. */
export function Avatar({
  handle,
  size = "normal",
}: {
  handle: string;
  size?: "small" | "normal" | "large";
}) {
  const sizes = { small: "size-6 text-xs", normal: "size-9 text-sm", large: "size-20 text-3xl" };
  return (
    <span
      aria-hidden="true"
      className={`inline-flex shrink-0 items-center justify-center rounded-full font-bold text-white uppercase ${COLOURS[hash(handle) % COLOURS.length]} ${sizes[size]}`}
    >
      {handle[0]}
    </span>
  );
}

/** A community's arch with the letters of its country in it (flags are no emoji on every system), or
 *  the first letter of a group. */
export function Arch({
  country,
  name,
  large = false,
}: {
  country: string | null;
  name: string;
  large?: boolean;
}) {
  const look = country
    ? "bg-tile-wash text-tile"
    : `text-white ${COLOURS[hash(name) % COLOURS.length]}`;
  return (
    <span
      aria-hidden="true"
      className={`inline-block shrink-0 ${large ? "size-[60px]" : "size-10"}`}
    >
      <span
        className={`arch flex items-end justify-center pb-1 font-display text-base font-bold ${look} ${large ? "origin-top-left scale-150 rtl:origin-top-right" : ""}`}
      >
        {country ?? [...name][0]?.toUpperCase()}
      </span>
    </span>
  );
}

/* Dark enough for white letters (4.5:1 and more). */
const COLOURS = [
  "bg-[#0e6560]",
  "bg-[#a4462a]",
  "bg-[#7a5a12]",
  "bg-[#3f6b2c]",
  "bg-[#5b4a86]",
  "bg-[#93355a]",
  "bg-[#2f5d86]",
] as const;

function hash(text: string): number {
  let value = 7;
  for (const char of text) value = (value * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return value;
}
