import { existsSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";
import { CountingReporter } from "./reporter.ts";

const conditions = ["sallyport-source", ...defaultServerConditions];

/**
 * Thousands of commits wait for the disk, and what a test can see of them is the same on a disk of memory: throw-away
 * vaults are there where the machine has one with room.
 */
function throwAway(): string {
  const memory = "/dev/shm";
  if (process.env.TMPDIR !== undefined || !existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize >= 2 * 1024 ** 3 ? memory : tmpdir();
}

export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["sallyport-source", "node", "module-sync"] } },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/postgres/global-setup.ts"],
    environment: "node",
    env: { TMPDIR: throwAway() },
    pool: "forks",
    // One process for each core, and the product is loaded once in each: no module of it holds state.
    isolate: false,
    maxWorkers: "100%",
    restoreMocks: true,
    execArgv: ["--conditions=sallyport-source"],
    // For what hangs. A slow machine, or one that does other things as well, is no failure.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000 } },
    silent: "passed-only",
    reporters: [new CountingReporter()],
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: [["text", { skipFull: true }], "json-summary"],
      reportsDirectory: "coverage",
      reportOnFailure: true,
    },
  },
});
