import { afterAll } from "vitest";
import { dropDatabases } from "./engine.ts";

// For each file of tests: no database outlives the file that asked for it.
afterAll(() => dropDatabases());
