/**
 * Prints what failed and why, the reason of every test that was skipped, and last of all one line with the counts:
 * `12 passed, 0 failed, 1 skipped`.
 *
 * A file that cannot be loaded, a hook that throws and an error outside every test count as failed, so that the line
 * never says 0 failed of a run that did.
 */
import { MinimalReporter } from "vitest/node";
import type { SerializedError, TestModule, TestRunEndReason } from "vitest/node";

export class CountingReporter extends MinimalReporter {
  #line: string | null = null;

  override onTestRunEnd(
    modules: readonly TestModule[],
    unhandled: readonly SerializedError[],
    reason: TestRunEndReason,
  ): void {
    super.onTestRunEnd(modules, unhandled, reason);

    let passed = 0;
    let failed = unhandled.length;
    let skipped = 0;
    for (const module of modules) {
      failed += module.errors().length;
      for (const suite of module.children.allSuites()) failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "passed") passed += 1;
        else if (result.state === "failed") failed += 1;
        else {
          skipped += 1;
          const note = result.state === "skipped" ? result.note : "did not finish";
          this.log(`skipped: ${module.relativeModuleId} > ${test.fullName}: ${note ?? "no reason given"}`);
        }
      }
    }
    // A run whose setup threw has no test, and no error that anyone handed over.
    if (reason === "interrupted" || (modules.length === 0 && unhandled.length === 0)) failed += 1;

    const first = this.#line === null;
    this.#line = `${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped`;
    if (this.ctx.config.watch) this.log(this.#line);
    // The coverage table follows the end of the run, so the line waits for the end of the process.
    else if (first) process.once("exit", () => process.stdout.write(`${this.#line ?? ""}\n`));
  }
}
