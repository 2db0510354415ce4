import type { Settings } from "#settings";
import type { TerminalReadable } from "./input.ts";
import type { TerminalWritable } from "./output.ts";

/** What the command line needs from the process around it. */
export interface Doors {
  /** Runs the vault until it is told to stop; the exit code. Its errors get theirs by `exitCodeOf`. */
  up(settings: Settings): Promise<number>;
  readonly version: string;
  readonly stdin: TerminalReadable;
  readonly stdout: TerminalWritable;
  readonly stderr: TerminalWritable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The working folder, where it is not the process's. */
  readonly folder?: string;
}
