/* Every section has every language, every language every message with the same arguments, every
   plural the forms that its language needs, and every message of the sources is there. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = new URL("../src/", import.meta.url).pathname;
const MESSAGES = join(ROOT, "i18n/messages");
const LANGUAGES = ["en", "de", "es", "hi", "ar", "zh"];
/* Forms that ICU asks for but that whole numbers never take ("many" of Spanish are the millions). */
const UNUSED = { es: ["many"], ar: ["zero"] };

const problems = [];
const known = new Set();

for (const section of readdirSync(MESSAGES)) {
  const texts = Object.fromEntries(
    LANGUAGES.map((language) => {
      try {
        return [
          language,
          JSON.parse(readFileSync(join(MESSAGES, section, `${language}.json`), "utf8")),
        ];
      } catch (error) {
        problems.push(`${section}/${language}.json: ${error.message}`);
        return [language, {}];
      }
    }),
  );
  for (const key of Object.keys(texts.en)) known.add(`${section}.${key}`);
  for (const language of LANGUAGES) {
    const here = `${section}/${language}.json`;
    for (const key of Object.keys(texts.en)) {
      const text = texts[language][key];
      if (typeof text !== "string" || text.trim() === "")
        problems.push(`${here}: ${key} is missing`);
      else check(here, key, text, texts.en[key], language);
    }
    for (const key of Object.keys(texts[language]))
      if (!(key in texts.en)) problems.push(`${here}: ${key} is not in English`);
  }
}

function check(here, key, text, english, language) {
  const names = (message) =>
    [...new Set(message.match(/\{(\w+)[,}]/g) ?? [])]
      .map((name) => name.slice(1, -1))
      .sort()
      .join();
  if (names(text) !== names(english))
    problems.push(`${here}: ${key} has other arguments than English`);
  if (
    [...text].filter((char) => char === "{").length !==
    [...text].filter((char) => char === "}").length
  )
    problems.push(`${here}: ${key} has braces that do not close`);
  if (!text.includes(", plural,")) return;
  const needed = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
  for (const form of needed)
    if (!text.includes(`${form} {`) && !UNUSED[language]?.includes(form))
      problems.push(`${here}: ${key} lacks the form "${form}"`);
}

const used = new Set();
for (const file of readdirSync(ROOT, { recursive: true })) {
  if (!/\.tsx?$/.test(file) || file.startsWith("i18n/")) continue;
  const source = readFileSync(join(ROOT, file), "utf8");
  for (const [, key] of source.matchAll(/"([a-z]\w*\.\w+)"/g)) if (known.has(key)) used.add(key);
}
for (const key of known) if (!used.has(key)) problems.push(`${key} is used nowhere`);

for (const problem of problems) console.error(problem);
console.log(
  `messages: ${known.size} in ${LANGUAGES.length} languages, ${problems.length} problems`,
);
process.exit(problems.length > 0 ? 1 : 0);
