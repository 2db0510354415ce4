/**
 * `npm run fuzz`, or `npm run fuzz -- --seconds 600 --seed 42`: random and boundary input for every operation of a real
 * vault, each answer held against the OpenAPI document. Exits with 1 when anything was not as it must be.
 */
import { parseArgs } from "node:util";
import { fuzz } from "./fuzz/run.ts";

const { values } = parseArgs({ options: { seed: { type: "string" }, seconds: { type: "string", default: "60" } } });
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
const seconds = Number(values.seconds);
if (!Number.isSafeInteger(seed) || !(seconds > 0)) {
  process.stderr.write("usage: npm run fuzz -- [--seconds <number>] [--seed <whole number>]\n");
  process.exit(2);
}

process.stdout.write(`Fuzzing for ${String(seconds)} s with seed ${String(seed)}.\n`);
const { n, findings, seen } = await fuzz({ seed, seconds });
for (const [id, counts] of [...seen].sort(([a], [b]) => a.localeCompare(b))) {
  const statuses = [...counts]
    .sort(([a], [b]) => a - b)
    .map(([status, times]) => `${String(status)} × ${String(times)}`);
  process.stdout.write(`  ${id.padEnd(28)} ${statuses.join(", ")}\n`);
}
for (const { fault, operation, nth, request } of findings)
  process.stdout.write(`\n  - ${operation}: ${fault}\n    case ${String(nth)}: ${request}\n`);
process.stdout.write(
  findings.length === 0
    ? `\nn ${String(n)} requests, 0 findings. Seed ${String(seed)}.\n`
    : `\nn ${String(n)} requests, ${String(findings.length)} findings. Again: npm run fuzz -- --seed ${String(seed)}\n`,
);
process.exitCode = findings.length === 0 ? 0 : 1;
