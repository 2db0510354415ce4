import { existsSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";
import type { TestProjectInlineConfiguration } from "vitest/config";
import { testedEngines } from "./engines.ts";
import type { EngineName } from "./engines.ts";
import { CountingReporter } from "./reporter.ts";
import { LONG, LONG_ON_POSTGRES, OF_POSTGRES, ON_EACH_ENGINE, WITHOUT_STORE, globs } from "./suites.ts";

const root = resolve(import.meta.dirname, "../..");
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

type ProjectConfig = NonNullable<TestProjectInlineConfiguration["test"]>;

const shared = {
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["sallyport-source", "node", "module-sync"] } },
};

const common: ProjectConfig = {
  environment: "node",
  pool: "forks",
  // A few processes, and the product is loaded once in each: no module of it holds state.
  isolate: false,
  restoreMocks: true,
  execArgv: ["--conditions=sallyport-source"],
  // For what hangs. A slow machine, or one that does other things as well, is no failure.
  testTimeout: 120_000,
  hookTimeout: 120_000,
  expect: { poll: { timeout: 60_000 } },
  setupFiles: ["test/engine-setup.ts"],
};
const env = { TMPDIR: throwAway() };
const long = globs(Object.keys(LONG));

const sqlite = { ...env, ENGINE: "sqlite" };
const postgres = { ...env, ENGINE: "postgres" };
const onPostgres = globs(ON_EACH_ENGINE);
const longOnPostgres = globs(LONG_ON_POSTGRES);
const withoutStore = globs(WITHOUT_STORE);

/** The quick tests on each engine, and the long ones. The name stands before each failure. */
const projects: Readonly<Record<EngineName | "long" | "postgres-long", ProjectConfig>> = {
  sqlite: { include: ["test/**/*.test.ts"], exclude: [...long, ...globs(OF_POSTGRES)], env: sqlite },
  postgres: {
    include: [...onPostgres, ...globs(OF_POSTGRES)],
    exclude: [...long, ...longOnPostgres, ...withoutStore],
    env: postgres,
  },
  long: { include: long, env: sqlite },
  "postgres-long": { include: longOnPostgres, exclude: long, env: postgres },
};
const engines = testedEngines();
const named = [...engines, "long" as const, ...(engines.includes("postgres") ? (["postgres-long"] as const) : [])];

export default defineConfig({
  root,
  ...shared,
  test: {
    projects: named.map((name) => ({ root, ...shared, test: { ...common, ...projects[name], name } })),
    globalSetup: ["test/postgres/global-setup.ts"],
    maxWorkers: "100%",
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
