// Writes the hash of the page's sources beside its build, so that a test can tell a stale build.
// The hash is SHA-256 over sorted lines "<sha256 of file>  <path under web/>\n".
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

const web = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(web, "..", "crates", "server", "page", "sources.sha256");
const skipped = new Set(["node_modules", "dist"]);
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

function files(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !skipped.has(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      return entry.isDirectory() ? files(path) : [path];
    });
}

const lines = files(web).map(
  (path) => `${sha256(readFileSync(path))}  ${relative(web, path).split(sep).join("/")}\n`,
);
// By bytes, not by locale: every language sorts ASCII lines the same way.
lines.sort((a, b) => (a < b ? -1 : 1));
writeFileSync(out, `${sha256(lines.join(""))}\n`);
