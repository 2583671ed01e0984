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

test("a day without a clock is the same day everywhere", async () => {
  process.env.TZ = "America/Los_Angeles";
  try {
    const { day } = await load("i18n/dates.ts");
    assert.equal(day("2026-11-20", "en"), "Nov 20, 2026");
    assert.equal(day("2026-11-20T05:00:00Z", "en"), "Nov 19, 2026");
  } finally {
    delete process.env.TZ;
  }
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

const { Problem } = await load("api/problem.ts");
let keys = 0;
const newKey = () => `key ${++keys}`;
Object.assign(globalThis, { Problem, newKey });
const { afterFailure, firstTry } = await load("api/tries.ts");
const failure = (code, status, errors = []) => new Problem({ code, status, errors });

test("a key is kept until the server has done with it what was changed since", () => {
  const first = firstTry();
  const refused = afterFailure(first, failure("invalid", 422));
  assert.deepEqual(refused.tries, first);
  // Too many of them: nothing was lost, so nothing was done.
  const tooMany = afterFailure(first, failure("conflict", 409));
  assert.deepEqual([tooMany.tries, tooMany.problem.code], [first, "conflict"]);

  const lost = afterFailure(first, failure("offline", 0)).tries;
  assert.deepEqual(lost, { key: first.key, lost: true });
  for (const later of [
    failure("invalid", 422),
    failure("unauthenticated", 401),
    failure("unavailable", 503),
    failure("conflict", 409, [{ path: "name", reason: "is taken" }]),
  ])
    assert.deepEqual(afterFailure(lost, later).tries, lost);
  const done = afterFailure(lost, failure("conflict", 409));
  assert.notEqual(done.tries.key, first.key);
  assert.deepEqual([done.tries.lost, done.problem.code], [false, "sent_before"]);
});

/** The outbox of a tab of its own; `sent`: what it asked the server, which `outcome` answers. */
async function outbox() {
  const tab = { sent: [], outcome: () => Promise.reject(failure("offline", 0)), handlers: {} };
  tab.api = {
    POST: (_path, { params, body }) => {
      tab.sent.push([params.header["Idempotency-Key"], body.body_markdown]);
      return tab.outcome(body);
    },
  };
  tab.window = { addEventListener: (kind, handle) => (tab.handlers[kind] = handle) };
  tab.become = (id) => {
    tab.session = { account: id === null ? null : { id } };
    tab.handlers.session?.();
  };
  tab.become("ana");
  tab.onSession = (handle) => (tab.handlers.session = handle);
  // Each module has an address of its own, so that a second tab is not the first one again.
  globalThis.tabs = [...(globalThis.tabs ?? []), tab];
  const parts = await load(
    "thread/outbox.ts",
    `const tab = tabs[${globalThis.tabs.length - 1}], { api, onSession, window } = tab;
     const answer = (call) => call, currentSession = () => tab.session, useSession = currentSession;
     const useSyncExternalStore = (_, now) => now(), setTimeout = () => 0, clearTimeout = () => {};
    `,
  );
  return Object.assign(tab, parts, {
    shown: () => parts.useUnsent("post").map(({ body }) => body),
  });
}

/** As browsers have it, as far as the outbox asks: names are properties. */
function newStorage() {
  return Object.create({
    setItem(name, text) {
      this[name] = text;
    },
    getItem(name) {
      return this[name] ?? null;
    },
    removeItem(name) {
      delete this[name];
    },
  });
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

test("what is unsent is shown to its account alone, and sent as that account alone", async () => {
  globalThis.localStorage = newStorage();
  const tab = await outbox();
  tab.send("post", null, "of Ana");
  await settled();
  assert.deepEqual([tab.shown(), tab.sent.length], [["of Ana"], 1]);
  const [{ key }] = tab.useUnsent("post");

  for (const other of [null, "ben"]) {
    tab.become(other);
    tab.retry(key);
    tab.handlers.online();
    assert.deepEqual([tab.shown(), tab.sent.length], [[], 1]);
  }
  tab.outcome = () => Promise.resolve({ id: "comment" });
  tab.become("ana");
  await settled();
  assert.deepEqual(tab.sent, [
    [key, "of Ana"],
    [key, "of Ana"],
  ]);
  assert.deepEqual([tab.shown(), Object.keys(localStorage)], [[], []]);
});

test("tabs keep what is unsent beside each other, and each with its first key", async () => {
  globalThis.localStorage = newStorage();
  const [one, other] = [await outbox(), await outbox()];
  one.send("post", null, "of one tab");
  other.send("post", null, "of the other");
  await settled();
  const third = await outbox();
  await settled();
  assert.deepEqual(third.shown(), ["of one tab", "of the other"]);
  assert.deepEqual(third.sent, [...one.sent, ...other.sent]);

  const [{ key }] = one.useUnsent("post");
  one.discard(key);
  third.handlers.storage({ key: `serai.outbox.${key}`, newValue: null });
  assert.deepEqual(third.shown(), ["of the other"]);
  assert.equal(Object.keys(localStorage).length, 1);
});

test("an event is one pending comment, not another with the same words", async () => {
  const { meeting } = await outbox();
  const item = (key, fields) => ({
    ...{ key, account: "ana", parent: null, body: "Thank you", state: "sending" },
    ...fields,
  });
  const comment = (id, author = "ana") => ({
    ...{ id, author: { id: author }, parent_id: null, body_markdown: "Thank you" },
  });
  const items = [
    item("failed", { state: "failed" }),
    item("elsewhere", { parent: "x" }),
    item("first"),
    item("second"),
  ];
  const met = new Map();
  assert.equal(meeting(items, comment("1"), met)?.key, "first");
  met.set("first", "1");
  assert.equal(meeting(items, comment("1"), met), undefined);
  assert.equal(meeting(items, comment("2"), met)?.key, "second");
  assert.equal(meeting(items, comment("3", "ben"), met), undefined);
});

const { withOrigin, fileName } = await load("content/ownFiles.ts");
const FILE = "/api/v1/media/0192f5a6-7c3e-7000-8b1a-9c7d5e3f1a2b";
const REST = 'rel="nofollow noopener ugc"';

test("addresses of files lead to the API's origin, other ones and text stay", () => {
  const at = (origin) =>
    `<p dir="auto"><a href="${origin}${FILE}" ${REST}><img loading="lazy" alt="a > b" ` +
    `src="${origin}${FILE}/thumbnails/960"></a> <a ${REST} href="${origin}${FILE}">lease.pdf</a></p>`;
  assert.equal(withOrigin(at(""), "https://api.example.org"), at("https://api.example.org"));
  assert.equal(withOrigin(at(""), ""), at(""));
  const others =
    `<p>src="${FILE}" &lt;img src="${FILE}"&gt; <a href="https://example.org${FILE}">x</a></p>` +
    `<pre><code>&lt;a href="${FILE}"</code></pre>`;
  assert.equal(withOrigin(others, "https://api.example.org"), others);
});

test("a file has the name that the server gives it", () => {
  const coded = "attachment; filename=\"Vertr_ge.pdf\"; filename*=UTF-8''Vertr%C3%A4ge.pdf";
  assert.equal(fileName(coded), "Verträge.pdf");
  assert.equal(fileName('attachment; filename="lease.pdf"'), "lease.pdf");
  assert.equal(fileName("attachment; filename*=UTF-8''%E4"), null);
  assert.equal(fileName(null), null);
});
