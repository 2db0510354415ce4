import type { Config } from "#settings";
import { failed } from "./check.ts";
import type { Check, Finding, Scene } from "./check.ts";
import { fileChecks } from "./files.ts";
import { groundChecks, machineChecks } from "./machine.ts";
import { findRunning } from "./running.ts";
import { serverChecks } from "./server.ts";
import { inspectStore } from "./store.ts";
import type { Inspection } from "./store.ts";

/** Every check, in the order of the report. */
const CHECKS: readonly Check[] = [...groundChecks, ...serverChecks, ...fileChecks, ...machineChecks];

/** Those that are about a vault on this engine. */
export function checksOf(engine: Config["store"]["engine"]): readonly Check[] {
  return CHECKS.filter(({ only = engine }) => only === engine);
}

export interface Checked extends Finding {
  readonly name: string;
}

/** Looks at everything that a vault with these settings needs, whether it runs or not. Changes nothing. */
export async function examine(config: Config): Promise<readonly Checked[]> {
  const running = await findRunning(config.dataFolder);
  const database = await databaseOf(config, running !== null);
  const scene: Scene = { config, running, database, now: new Date() };
  const checked: Checked[] = [];
  for (const check of checksOf(config.store.engine)) checked.push({ name: check.name, ...(await tried(check, scene)) });
  return checked;
}

async function databaseOf(config: Config, live: boolean): Promise<Inspection | Error | null> {
  try {
    return await inspectStore(config, live);
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
