/**
 * What the vault takes, measured: `npm run bench -- NAME [options]`, by the name of a file in scripts/bench. Each measures its own
 * floor in the same run and prints ratios to it; figures of different runs are not to be compared.
 */
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";

const folder = new URL("bench/", import.meta.url);
/** What measures by itself; the others are parts of these. */
const MEASURES = readdirSync(folder)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -3))
  .filter((name) => !["launches"].includes(name));

const [name = "", ...rest] = process.argv.slice(2);
if (!MEASURES.includes(name)) {
  console.error(`npm run bench -- ${MEASURES.join("|")} [options]`);
  process.exitCode = 2;
} else {
  const child = spawn(process.execPath, [...process.execArgv, new URL(`${name}.ts`, folder).pathname, ...rest], {
    stdio: "inherit",
  });
  child.on("exit", (code) => (process.exitCode = code ?? 1));
}
