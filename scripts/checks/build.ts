/**
 * Compiles src/ into a clean dist/, which is what the package holds.
 *
 * Both TypeScript compilers install a `tsc`; the fast one is therefore called by its path. Imports of rooms (`#base`)
 * stay as they are: package.json resolves them to dist/ unless the condition `sallyport-source` is set.
 *
 * There are no source maps: the sources are not in the package, and what is compiled is the source without its types.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const dist = resolve(root, "dist");
/** The rooms whose types a program can come to see by `sallyport/client`. */
const TYPED = ["base", "client", "contract"];
/** What the page at /docs needs of Swagger UI, and the licenses under which it is passed on. */
const SWAGGER = ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "LICENSE", "NOTICE"];

rmSync(dist, { recursive: true, force: true });
const compiler = resolve(root, "node_modules/typescript-7/bin/tsc");
const run = spawnSync(process.execPath, [compiler, "-p", "scripts/checks/tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (run.error) throw run.error;
if (run.status === 0) {
  keepDeclarations();
  copySwagger();
  chmodSync(join(dist, "main.js"), 0o755);
}
process.exitCode = run.status ?? 1;

/** The compiler leaves `./room.ts` in declarations, which only newer compilers than some of our readers' understand. */
function keepDeclarations(): void {
  for (const entry of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
    if (!entry.endsWith(".d.ts")) continue;
    const path = join(dist, entry);
    if (!TYPED.includes(entry.split("/")[0] ?? "")) rmSync(path);
    else writeFileSync(path, readFileSync(path, "utf8").replace(/(["'])(\.{1,2}\/[^"']+)\.ts\1/g, "$1$2.js$1"));
  }
}

function copySwagger(): void {
  const from = resolve(root, "node_modules/swagger-ui-dist");
  const to = join(dist, "http/swagger-ui");
  mkdirSync(to, { recursive: true });
  for (const file of SWAGGER) copyFileSync(join(from, file), join(to, basename(file)));
}
