/* Pure parts of the sources, compiled on the spot: messages, addresses. Run by `npm run check`. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import ts from "typescript";

const SRC = new URL("../src/", import.meta.url).pathname;

/** The module without its imports, which the parts tested here do not need. */
async function load(path, before = "") {
  const source = readFileSync(join(SRC, path), "utf8").replace(/^import .*$/gm, "");
  const options = {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  };
  const code = before + ts.transpileModule(source, options).outputText;
  return import(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`);
}

const { format } = await load("i18n/message.ts");

test("arguments are put in, numbers as the language writes them", () => {
  assert.equal(format("{a} of {b}", { a: "x", b: 12345 }, "de"), "x of 12.345");
  assert.equal(format("{missing}", {}, "en"), "{missing}");
});

test("plurals take the form of the language, an exact number first", () => {
  const message = "{n, plural, =0 {none} one {# day of {total}} other {# days of {total}}}";
  assert.equal(format(message, { n: 0, total: 3 }, "en"), "none");
  assert.equal(format(message, { n: 1, total: 3 }, "en"), "1 day of 3");
  assert.equal(format(message, { n: 2000, total: 3 }, "en"), "2,000 days of 3");
  const arabic = "{n, plural, one {واحد} two {اثنان} few {قليل} many {كثير} other {غير}}";
  assert.deepEqual(
    [1, 2, 3, 11, 100].map((n) => format(arabic, { n }, "ar")),
    ["واحد", "اثنان", "قليل", "كثير", "غير"],
  );
});

test("every message can be said in its language with any number", () => {
  const messages = join(SRC, "i18n/messages");
  for (const section of readdirSync(messages))
    for (const file of readdirSync(join(messages, section)))
      for (const [key, text] of Object.entries(
        JSON.parse(readFileSync(join(messages, section, file), "utf8")),
      ))
        for (const number of [0, 1, 2, 3, 11, 100, 1_000_000]) {
          const names = [...text.matchAll(/\{(\w+)[,}]/g)].map((found) => found[1]);
          const said = format(
            text,
            Object.fromEntries(names.map((name) => [name, number])),
            file.slice(0, 2),
          );
          assert.ok(said.trim() !== "" && !/[{}]/.test(said), `${section}/${file} ${key}: ${said}`);
        }
});

const paths = readFileSync(join(SRC, "routing/paths.json"), "utf8");
const { match, to } = await load("routing/router.ts", `const paths = ${paths};`);

test("every address leads to its own page and back", () => {
  for (const [name, template] of Object.entries(JSON.parse(paths))) {
    const params = Object.fromEntries(
      [...template.matchAll(/\{(\w+)\}/g)].map(([, key]) => [key, `a ${key}`]),
    );
    const found = match(to(name, params));
    assert.deepEqual([found?.name, { ...found?.params }], [name, params], template);
  }
  assert.equal(match("/no/such/page"), null);
});

const { orderFaults, serverFaults } = await load("visa/timelineRules.ts");
const steps = (text) =>
  text.split(" ").map((step) => {
    const [kind, day] = step.split("@");
    return { kind, date: `2026-01-${day}` };
  });
const faults = (text) => orderFaults(steps(text)).map(({ place, message }) => [place, message]);

test("steps that can have happened so have no fault, however they were entered", () => {
  assert.deepEqual(faults("application_submitted@01"), []);
  assert.deepEqual(
    faults("passport_returned@09 application_submitted@01 interview@02 decision_refused@09"),
    [[0, "visa.fault_returned"]],
  );
  assert.deepEqual(
    faults("application_submitted@01 passport_returned@09 interview@02 withdrawn@08"),
    [],
  );
});

test("a step that can't have happened there is named by its place in the form", () => {
  assert.deepEqual(faults("application_submitted@03 biometrics@02"), [[1, "visa.fault_first"]]);
  assert.deepEqual(faults("application_submitted@03 application_submitted@02"), [
    [0, "visa.fault_submitted"],
  ]);
  assert.deepEqual(faults("application_submitted@01 withdrawn@02 interview@03"), [
    [2, "visa.fault_ended"],
  ]);
  assert.deepEqual(faults("application_submitted@01 decision_approved@02 withdrawn@03"), [
    [2, "visa.fault_ended"],
  ]);
});

test("what the server says of a step is shown at its place in the form", () => {
  const entered = steps("application_submitted@03 biometrics@02");
  assert.deepEqual(
    serverFaults(["consulate", "events[0].date", "events[1].kind", "events"], entered),
    [
      { place: 1, message: "visa.fault_day" },
      { place: 0, message: "visa.fault_kind" },
      { place: null, message: "visa.fault_count" },
    ],
  );
});
