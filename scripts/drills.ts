/**
 * The drills in full: `npm run drills`, or `npm run drills -- <name>…` for some. Prints for each what it tried, how often,
 * and what was not as it must be; exits with 1 when anything was not. `npm test` runs the same drills, small.
 */
import { DRILLS } from "./drills/all.ts";

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !DRILLS.some((drill) => drill.name === name));
if (unknown.length > 0) {
  process.stderr.write(`There is no drill ${unknown.join(", ")}: ${DRILLS.map((drill) => drill.name).join(", ")}\n`);
  process.exit(2);
}

let failed = 0;
for (const drill of DRILLS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  process.stdout.write(`\n${drill.name}: ${drill.what}\n`);
  const began = performance.now();
  let failures: readonly string[];
  let line: string;
  try {
    const report = await drill.run("full");
    failures = report.failures;
    const said = Object.entries(report.said).map(([word, number]) => `${word} ${String(number)}`);
    line = [`n ${String(report.n)}`, `failures ${String(failures.length)}`, ...said].join(", ");
  } catch (error) {
    failures = [error instanceof Error ? (error.stack ?? error.message) : String(error)];
    line = "it could not be carried out";
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  process.stdout.write(`  ${failures.length === 0 ? "ok" : "FAILED"}: ${line}, ${seconds} s\n`);
  for (const failure of failures) process.stdout.write(`  - ${failure}\n`);
  if (failures.length > 0) failed += 1;
}
process.stdout.write(failed === 0 ? "\nEvery drill holds.\n" : `\n${String(failed)} drills failed.\n`);
process.exitCode = failed === 0 ? 0 : 1;
