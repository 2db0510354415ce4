import type { TerminalReadable } from "./input.ts";
import type { TerminalWritable } from "./output.ts";

/** What `sallyport up` was told: each from its option, else its variable, else its default; texts, not yet looked at. */
export interface UpFlags {
  /** `--data`, SALLYPORT_DATA; `./data`. */
  readonly data: string;
  /** `--keys`, SALLYPORT_KEYS; `./keys`. */
  readonly keys: string;
  /** `--listen`, SALLYPORT_LISTEN; `127.0.0.1:7433`. */
  readonly listen: string;
  /** `--org`, SALLYPORT_ORG; `main`. Of the first start only. */
  readonly org: string;
  /** `--owner`, SALLYPORT_OWNER; `owner`. Of the first start only. */
  readonly owner: string;
  /** `--log-level`, SALLYPORT_LOG_LEVEL; `info`. */
  readonly logLevel: string;
  /** `--insecure-plain-http`, SALLYPORT_INSECURE_PLAIN_HTTP; `false`. */
  readonly insecurePlainHttp: string;
}

/** What the command line needs from the process around it. */
export interface Doors {
  /** Runs the vault until it is told to stop; the exit code. Its errors get theirs by `exitCodeOf`. */
  up(flags: UpFlags): Promise<number>;
  readonly version: string;
  readonly stdin: TerminalReadable;
  readonly stdout: TerminalWritable;
  readonly stderr: TerminalWritable;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The working folder, where it is not the process's. */
  readonly folder?: string;
}
