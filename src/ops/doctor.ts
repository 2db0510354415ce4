import { inspectDatabase } from "#storage";
import type { Inspection } from "#storage";
import type { Config } from "#settings";
import { failed } from "./check.ts";
import type { Check, Finding, Scene } from "./check.ts";
import { fileChecks } from "./files.ts";
import { groundChecks, machineChecks } from "./machine.ts";
import { findRunning } from "./running.ts";

/** Every check, in the order of the report. */
export const CHECKS: readonly Check[] = [...groundChecks, ...fileChecks, ...machineChecks];

export interface Checked extends Finding {
  readonly name: string;
}

/** Looks at everything that a vault with these settings needs, whether it runs or not. Changes nothing. */
export async function examine(config: Config): Promise<readonly Checked[]> {
  const running = await findRunning(config.dataFolder);
  const scene: Scene = { config, running, database: databaseOf(config.dataFolder, running !== null), now: new Date() };
  const checked: Checked[] = [];
  for (const check of CHECKS) checked.push({ name: check.name, ...(await tried(check, scene)) });
  return checked;
}

function databaseOf(folder: string, live: boolean): Inspection | Error | null {
  try {
    return inspectDatabase(folder, live);
  } catch (error) {
    return error instanceof Error ? error : new Error("it cannot be looked at");
  }
}

/** A check that cannot be made has failed: what is not known to be right is not right. */
async function tried(check: Check, scene: Scene): Promise<Finding> {
  try {
    return await check.run(scene);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
    return failed(`it could not be looked at${code}`, "Run this as the vault's user.");
  }
}
