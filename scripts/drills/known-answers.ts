import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Findings } from "./drill.ts";
import type { Drill, Report } from "./drill.ts";

const RUNNER = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** So many cases there are of AES-256-GCM, HMAC-SHA-256 and Ed25519; the tests count them. */
const CASES = 66 + 87 + 151;

interface Counted {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
}

/** Wycheproof's cases are tests of the room that seals: this runs that file. */
export const knownAnswers: Drill = {
  name: "known-answers",
  what: "cases of Wycheproof through the vault's own seal, open, MAC and signature (test/crypto/wycheproof.test.ts)",
  async run(): Promise<Report> {
    const found = new Findings();
    const vectors = process.env.SALLYPORT_VECTORS ?? "";
    if (vectors === "") return found.report({ "not run": "SALLYPORT_VECTORS names no folder of known answers" }, 0);
    const { numPassedTests, numFailedTests, numPendingTests } = await tests();
    if (numFailedTests > 0 || numPendingTests > 0 || numPassedTests === 0)
      found.fail(`${String(numFailedTests)} tests failed, ${String(numPendingTests)} were skipped`);
    return found.report({ tests: numPassedTests }, CASES);
  },
};

function tests(): Promise<Counted> {
  const args = ["run", "--config", "scripts/checks/vitest.config.ts", "--coverage.enabled=false", "--reporter=json"];
  const child = spawn(process.execPath, [RUNNER, ...args, "test/crypto/wycheproof.test.ts"], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => {
      const report = /\{.*\}/s.exec(printed)?.[0];
      if (report === undefined) reject(new Error(`the tests reported nothing: ${printed.slice(0, 300)}`));
      else resolve(JSON.parse(report) as Counted);
    });
  });
}
