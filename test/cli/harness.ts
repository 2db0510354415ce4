import { PassThrough, Readable, Writable } from "node:stream";
import { runCli } from "#cli";
import type { Doors } from "#cli";
import type { Settings } from "#settings";

export interface Ran {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** stdout as text. */
  readonly out: string;
  readonly up: Settings[];
}

export interface Around {
  readonly env?: Record<string, string>;
  readonly stdin?: string | Buffer;
  readonly folder?: string;
  /** The width of the terminal that stdout is. */
  readonly terminal?: number;
  /** What `up` does; without it nothing. */
  readonly up?: (settings: Settings) => Promise<number>;
}

/** One command line in this process. */
export async function sallyport(argv: string, around: Around = {}): Promise<Ran> {
  return sallyportArgs(
    argv.split(" ").filter((word) => word !== ""),
    around,
  );
}

export async function sallyportArgs(argv: readonly string[], around: Around = {}): Promise<Ran> {
  const [stdout, stderr] = [new Collector(), new Collector()];
  if (around.terminal !== undefined) Object.assign(stdout, { isTTY: true, columns: around.terminal });
  const up: Settings[] = [];
  const doors: Doors = {
    up: async (settings) => {
      up.push(settings);
      return around.up?.(settings) ?? 0;
    },
    version: "1.2.3",
    stdin: around.stdin === undefined ? new PassThrough().end() : Readable.from([Buffer.from(around.stdin)]),
    stdout,
    stderr,
    env: { HOME: "/nonexistent", ...around.env },
    folder: around.folder ?? "/nonexistent",
  };
  const code = await runCli(argv, doors);
  return { code, stdout: stdout.bytes, out: stdout.bytes.toString("utf8"), stderr: stderr.bytes.toString("utf8"), up };
}

class Collector extends Writable {
  bytes = Buffer.alloc(0);

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.bytes = Buffer.concat([this.bytes, chunk]);
    done();
  }
}

/** An environment in which nothing of the person who runs the tests is found. */
export function surroundings(folder: string, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    HOME: folder,
    XDG_CONFIG_HOME: `${folder}/config`,
    SALLYPORT_NO_KEYRING: "1",
    SALLYPORT_NO_WARN: "1",
    ...more,
  };
}

/** A text that looks like a token of this kind, and opens nothing. */
export function fakeToken(kind: string, letter = "3"): string {
  return `sp_${kind}_0${letter.repeat(108)}`;
}
