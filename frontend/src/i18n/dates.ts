/** Dates, numbers and names as the reader's language writes them. Formatters are kept: making one is slow. */
const relative = new Map<string, Intl.RelativeTimeFormat>();
const others = new Map<string, { format(value: never): string }>();

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** "3 hours ago"; "now" under a minute. */
export function ago(time: string, language: string, now = Date.now()): string {
  let formatter = relative.get(language);
  if (!formatter) {
    formatter = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
    relative.set(language, formatter);
  }
  const seconds = (Date.parse(time) - now) / 1000;
  for (const [unit, length] of STEPS)
    if (Math.abs(seconds) >= length) return formatter.format(Math.trunc(seconds / length), unit);
  return formatter.format(0, "second");
}

export function fullDate(time: string, language: string): string {
  return date(language, { dateStyle: "long", timeStyle: "short" }).format(new Date(time));
}

/** A day without a clock: of "2026-11-20", which is the same day everywhere, or of a time. */
export function day(time: string, language: string): string {
  const options = { dateStyle: "medium" } as const;
  const zone = time.includes("T") ? {} : { timeZone: "UTC" };
  return date(language, { ...options, ...zone }).format(new Date(time));
}

/** "Mar 2026" of "2026-03". */
export function monthName(month: string, language: string): string {
  return date(language, { year: "numeric", month: "short", timeZone: "UTC" }).format(
    new Date(`${month}-01T00:00:00Z`),
  );
}

/** "12K" where the room is small. */
export function compact(value: number, language: string): string {
  return number(language, { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

export function integer(value: number, language: string): string {
  return number(language, { maximumFractionDigits: 0 }).format(value);
}

/** "Germany" in the reader's language; the code where the browser does not know it. */
export function countryName(code: string, language: string): string {
  try {
    return new Intl.DisplayNames(language, { type: "region" }).of(code.toUpperCase()) ?? code;
  } catch {
    return code;
  }
}

export function languageName(tag: string, language: string): string {
  try {
    return new Intl.DisplayNames(language, { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

function date(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return kept(
    `date ${language} ${JSON.stringify(options)}`,
    () => new Intl.DateTimeFormat(language, options),
  );
}

function number(language: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  return kept(
    `number ${language} ${JSON.stringify(options)}`,
    () => new Intl.NumberFormat(language, options),
  );
}

function kept<T extends { format(value: never): string }>(key: string, make: () => T): T {
  const known = others.get(key);
  if (known) return known as T;
  const made = make();
  others.set(key, made);
  return made;
}
