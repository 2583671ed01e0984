/* next build, then what the server needs to serve the result: hashes of the inline scripts for the
   Content-Security-Policy, a shell with a place for the head of each page, compressed files. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const ROOT = new URL("..", import.meta.url).pathname;
const OUT = join(ROOT, "out");
const MANIFEST = join(OUT, "site.json");
const INITIAL_JS_KB = 200;
const COMPRESSED = new Set([".js", ".css", ".html", ".svg", ".json", ".webmanifest", ".txt"]);
const SMALLEST = 512;
/* What the server replaces by title, description and the rest of the page's head. */
const HEAD = "<!--head-->";
const TITLE = "<title>Serai</title>";

rmSync(MANIFEST, { force: true });
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1" };
const built = spawnSync(join(ROOT, "node_modules/.bin/next"), ["build"], {
  cwd: ROOT,
  env,
  stdio: "inherit",
});
if (built.status !== 0) process.exit(built.status ?? 1);

const files = readdirSync(OUT, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));

// The router's own data files: nothing fetches them in a shell of one page.
for (const file of files.filter((name) => name.endsWith(".txt") && name.includes("__next")))
  rmSync(file);

const pages = {};
for (const name of ["index.html", "404.html"]) {
  const path = join(OUT, name);
  let html = readFileSync(path, "utf8");
  const scripts = [...html.matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g)].map(
    ([, code]) => code,
  );
  const hashes = scripts.map(
    (code) => `sha256-${createHash("sha256").update(code).digest("base64")}`,
  );
  html = html.replace("</head>", `${HEAD}${TITLE}${HEAD}</head>`);
  writeFileSync(path, html);
  pages[name] = { script_hashes: [...new Set(hashes)] };
}

const index = readFileSync(join(OUT, "index.html"), "utf8");
const initial = [
  ...new Set(
    [...index.matchAll(/<script[^>]*\ssrc="([^"]+)"([^>]*)>/g)]
      .filter(([, , rest]) => !/nomodule/i.test(rest))
      .map(([, source]) => source),
  ),
];
const bytes = initial.reduce(
  (sum, source) => sum + gzipSync(readFileSync(join(OUT, source)), { level: 9 }).length,
  0,
);
const kilobytes = bytes / 1000;
console.log(
  `initial JavaScript: ${kilobytes.toFixed(1)} kB gzip in ${initial.length} files (at most ${INITIAL_JS_KB})`,
);
if (kilobytes > INITIAL_JS_KB) {
  console.error("Too much: load what not every page needs by shell/pages.ts or import().");
  process.exit(1);
}

let saved = 0;
for (const file of files) {
  if (!existsSync(file) || !COMPRESSED.has(extname(file)) || statSync(file).size < SMALLEST)
    continue;
  const content = readFileSync(file);
  const brotli = brotliCompressSync(content, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
    },
  });
  writeFileSync(`${file}.br`, brotli);
  writeFileSync(`${file}.gz`, gzipSync(content, { level: 9 }));
  saved += content.length - brotli.length;
}
console.log(`compressed: ${(saved / 1000).toFixed(0)} kB less with Brotli`);

// Written last: without it there is no site.
const document = createHash("sha256")
  .update(readFileSync(join(ROOT, "openapi.json")))
  .digest("hex");
writeFileSync(
  MANIFEST,
  `${JSON.stringify({ pages, openapi: document, api_origin: env.SERAI_API_ORIGIN ?? "" }, null, 1)}\n`,
);
