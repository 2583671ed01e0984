/**
 * The part of ICU MessageFormat that Serai's messages use: `{name}`, and
 * `{count, plural, =0 {…} one {…} other {# …}}`, nested at will.
 */
export type Values = Record<string, string | number>;

export function format(message: string, values: Values, language: string): string {
  return render(message, values, language, null);
}

function render(text: string, values: Values, language: string, count: number | null): string {
  let out = "";
  for (let at = 0; at < text.length; ) {
    const char = text[at];
    if (char === "#" && count !== null) {
      out += new Intl.NumberFormat(language).format(count);
      at += 1;
    } else if (char === "{") {
      const end = closing(text, at);
      out += argument(text.slice(at + 1, end), values, language, count);
      at = end + 1;
    } else {
      out += char;
      at += 1;
    }
  }
  return out;
}

function argument(body: string, values: Values, language: string, count: number | null): string {
  const [name = "", kind] = body.split(",", 2).map((part) => part.trim());
  const value = values[name];
  if (kind !== "plural") {
    if (typeof value === "number") return new Intl.NumberFormat(language).format(value);
    return value ?? `{${name}}`;
  }
  const number = Number(value);
  const forms = branches(body.slice(body.indexOf("plural") + "plural".length + 1));
  const form =
    forms[`=${number}`] ??
    forms[new Intl.PluralRules(language).select(number)] ??
    forms.other ??
    "";
  return render(form, values, language, Number.isNaN(number) ? count : number);
}

function branches(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (let at = 0; at < text.length; ) {
    const open = text.indexOf("{", at);
    if (open < 0) break;
    const end = closing(text, open);
    found[text.slice(at, open).trim()] = text.slice(open + 1, end);
    at = end + 1;
  }
  return found;
}

function closing(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === "{") depth += 1;
    if (text[at] === "}" && --depth === 0) return at;
  }
  return text.length;
}
