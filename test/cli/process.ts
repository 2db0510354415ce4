import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROGRAM, cleanEnv, startServer } from "../harness.ts";
import type { Ran, ServerProcess } from "../harness.ts";
import { surroundings } from "./harness.ts";

export interface Launched {
  readonly child: ChildProcess;
  readonly ended: Promise<Ran>;
}

/** A folder with nothing in it, and the processes that are started there. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), "sallyport-folder-"));
  readonly #servers: ServerProcess[] = [];

  /** `sallyport up`, listening. */
  async up(args: readonly string[] = [], env: Record<string, string> = {}): Promise<ServerProcess> {
    const server = await startServer(this.path, { args, env: surroundings(this.path, env) });
    this.#servers.push(server);
    return server;
  }

  /** `sallyport …` with the words as they are, to its end. */
  run(
    args: readonly string[],
    options: { input?: string | Buffer; env?: Record<string, string>; cwd?: string } = {},
  ): Promise<Ran> {
    return this.start([process.execPath, PROGRAM, ...args], options).ended;
  }

  /** Any program, with nothing of the person's own around it. */
  start(
    [program = "", ...args]: readonly string[],
    options: { input?: string | Buffer; env?: Record<string, string>; cwd?: string } = {},
  ): Launched {
    const child = spawn(program, args, {
      cwd: options.cwd ?? this.path,
      env: cleanEnv(surroundings(this.path, options.env)),
      stdio: "pipe",
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on("data", (part: Buffer) => out.push(part));
    child.stderr.on("data", (part: Buffer) => err.push(part));
    const ended = new Promise<Ran>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => {
        resolve({ code, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
      });
    });
    return { child, ended };
  }

  /** Ends the servers that still run, and leaves nothing behind. */
  async remove(): Promise<void> {
    for (const server of this.#servers) server.kill("SIGKILL");
    await Promise.all(this.#servers.map((server) => server.ended));
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A command for `run` that is this JavaScript. */
export function script(code: string, ...args: readonly string[]): readonly string[] {
  return [process.execPath, "-e", code, "--", ...args];
}
