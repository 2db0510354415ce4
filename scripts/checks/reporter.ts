/**
 * Prints what failed and why, the reason of every test that was skipped, a line for each project (`sqlite: …`), and last of
 * all one line with the counts of all: `12 passed, 0 failed, 1 skipped`.
 *
 * A file that cannot be loaded, a hook that throws and an error outside every test count as failed, so that the line
 * never says 0 failed of a run that did.
 */
import { MinimalReporter } from "vitest/node";
import type { SerializedError, TestModule, TestRunEndReason } from "vitest/node";

const KINDS = ["passed", "failed", "skipped"] as const;

type Counts = Record<(typeof KINDS)[number], number>;

export class CountingReporter extends MinimalReporter {
  #line: string | null = null;

  override onTestRunEnd(
    modules: readonly TestModule[],
    unhandled: readonly SerializedError[],
    reason: TestRunEndReason,
  ): void {
    super.onTestRunEnd(modules, unhandled, reason);

    const all: Counts = { passed: 0, failed: unhandled.length, skipped: 0 };
    const projects = new Map<string, Counts>();
    for (const module of modules) {
      const { name } = module.project;
      const own = projects.get(name) ?? { passed: 0, failed: 0, skipped: 0 };
      projects.set(name, own);
      own.failed += module.errors().length;
      for (const suite of module.children.allSuites()) own.failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "passed") own.passed += 1;
        else if (result.state === "failed") own.failed += 1;
        else {
          own.skipped += 1;
          const note = result.state === "skipped" ? result.note : "did not finish";
          this.log(`skipped: ${name}: ${module.relativeModuleId} > ${test.fullName}: ${note ?? "no reason given"}`);
        }
      }
    }
    for (const own of projects.values()) for (const kind of KINDS) all[kind] += own[kind];
    // A run whose setup threw has no test, and no error that anyone handed over.
    if (reason === "interrupted" || (modules.length === 0 && unhandled.length === 0)) all.failed += 1;

    const first = this.#line === null;
    for (const [name, own] of projects) this.log(`${name}: ${told(own)}`);
    this.#line = told(all);
    if (this.ctx.config.watch) this.log(this.#line);
    // The coverage table follows the end of the run, so the line waits for the end of the process.
    else if (first) process.once("exit", () => process.stdout.write(`${this.#line ?? ""}\n`));
  }
}

function told(counts: Counts): string {
  return KINDS.map((kind) => `${String(counts[kind])} ${kind}`).join(", ");
}
