/**
 * Compiles src/ into a clean dist/.
 *
 * Both TypeScript compilers install a `tsc`; the fast one is therefore called by its path. Imports of rooms (`#base`)
 * stay as they are: package.json resolves them to dist/ unless the condition `source` is set.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, rmSync } from "node:fs";
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const compiler = resolve(root, "node_modules/typescript-7/bin/tsc");
const entry = resolve(root, "dist/main.js");

rmSync(resolve(root, "dist"), { recursive: true, force: true });
const run = spawnSync(process.execPath, [compiler, "-p", "scripts/checks/tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
if (run.error) throw run.error;
if (existsSync(entry)) chmodSync(entry, 0o755);
process.exitCode = run.status ?? 1;
