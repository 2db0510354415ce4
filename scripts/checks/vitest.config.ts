import { resolve } from "node:path";
import { defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";
import { CountingReporter } from "./reporter.ts";

const conditions = ["sallyport-source", ...defaultServerConditions];

export default defineConfig({
  root: resolve(import.meta.dirname, "../.."),
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["sallyport-source", "node", "module-sync"] } },
  test: {
    include: ["test/**/*.test.ts"],
    environment: "node",
    pool: "forks",
    execArgv: ["--conditions=sallyport-source"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
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
