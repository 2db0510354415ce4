import type { Config } from "#settings";
import type { RunningVault } from "./running.ts";
import type { Inspection } from "./store.ts";

/** `warning`: it works, and may not for long, or not as safely as it could. */
export type Result = "ok" | "warning" | "failed";

/** What one check found. */
export interface Finding {
  readonly result: Result;
  /** What was found, as a sentence without its full stop. */
  readonly what: string;
  /** What to do about it; where there is nothing to do, nothing. */
  readonly remedy?: string;
}

/** All that checks look at; made once, so that each sees the same. */
export interface Scene {
  readonly config: Config;
  /** The vault that runs on this data folder, if one answers. */
  readonly running: RunningVault | null;
  /** What the database says, or why it says nothing; `null` where there is none yet. */
  readonly database: Inspection | Error | null;
  readonly now: Date;
}

/** One row of the table: what is looked at, and how. It changes nothing, and never takes longer than a few seconds. */
export interface Check {
  readonly name: string;
  /** What it is good for, in a few words. */
  readonly about: string;
  /** The engine that it is about; without it, whichever it is. */
  readonly only?: Config["store"]["engine"];
  run(scene: Scene): Promise<Finding> | Finding;
}

export const ok = (what: string): Finding => ({ result: "ok", what });
export const warning = (what: string, remedy: string): Finding => ({ result: "warning", what, remedy });
export const failed = (what: string, remedy: string): Finding => ({ result: "failed", what, remedy });
