import { describe, test } from "vitest";
import type { TestOptions } from "vitest";

type Test = (name: string, run: () => void | Promise<void>, options?: TestOptions) => void;

/** `test`; where this machine lacks something, a test that is skipped and says why. */
export function testUnless(why: string | null): Test {
  return (name, run, options = {}) => {
    if (why === null) test(name, options, run);
    else skipped(name, why);
  };
}

/** `describe`; where this machine lacks something, one test that is skipped in place of all, and says why. */
export function describeUnless(why: string | null): (name: string, tests: () => void) => void {
  return why === null ? describe : (name) => describe(name, () => skipped("all of it", why));
}

function skipped(name: string, why: string): void {
  test(name, (context) => context.skip(why));
}
