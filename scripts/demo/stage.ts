import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { NotAsItShouldBe } from "./failure.ts";
import { PASSWORDS, SECRETS } from "./values.ts";

const PROGRAM = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const START_MS = 20_000;
const COMMAND_MS = 20_000;
const STOP_MS = 8_000;

/** What a command did. `shown` is both streams in the order in which they came. */
export interface Ran {
  readonly exitCode: number;
  readonly shown: string;
}

/**
 * A throw-away place for the demo: a vault in `vault/`, one desk at which all five sit, and for each of them a folder of
 * their own for what `sallyport login` keeps. Commands run in a shell exactly as they are printed; `sallyport` on its PATH
 * is the program that was built.
 */
export class Stage {
  readonly folder: string;
  readonly #bin: string;
  readonly #desk: string;
  readonly #running = new Set<ChildProcess>();
  #server: ChildProcess | null = null;
  #serverLog = "";

  constructor() {
    if (!existsSync(PROGRAM)) throw new NotAsItShouldBe("The program is not built: npm run build");
    this.folder = mkdtempSync(join(tmpdir(), "sallyport-demo-"));
    this.#bin = join(this.folder, "bin");
    this.#desk = join(this.folder, "desk");
    for (const name of ["bin", "vault", "desk", "home"]) mkdirSync(join(this.folder, name), { mode: 0o700 });
    const quoted = [process.execPath, PROGRAM].map((path) => `'${path.replaceAll("'", `'\\''`)}'`).join(" ");
    writeFileSync(join(this.#bin, "sallyport"), `#!/bin/sh\nexec ${quoted} "$@"\n`);
    chmodSync(join(this.#bin, "sallyport"), 0o700);
    for (const [name, value] of Object.entries(SECRETS)) this.#put(`${name}.value`, value);
    for (const [name, password] of Object.entries(PASSWORDS)) this.#put(`${name}.password`, `${password}\n`);
  }

  /** Starts the vault and waits until it listens. Throws with what it said when it does not. */
  start(command: string): Promise<{ readonly url: string; readonly shown: string }> {
    const server = this.#spawn(`exec ${command}`, "vault", "owner");
    this.#server = server;
    let shown = "";
    server.stderr?.on("data", (chunk: Buffer) => (this.#serverLog += chunk.toString()));
    return new Promise((resolve, reject) => {
      const fail = (why: string) =>
        reject(new NotAsItShouldBe(`The vault ${why}.\n${indent(`${shown}${this.#serverLog}`.trim())}`));
      const timer = setTimeout(() => fail(`did not listen after ${String(START_MS / 1000)} s`), START_MS);
      server.on("error", (error) => fail(`could not be started: ${error.message}`));
      server.on("exit", (code, signal) => {
        clearTimeout(timer);
        fail(`ended with ${String(code ?? signal)}`);
      });
      server.stdout?.on("data", (chunk: Buffer) => {
        shown += chunk.toString();
        const url = /listens on (http:\/\/\S+)/.exec(shown)?.[1];
        if (url === undefined) return;
        clearTimeout(timer);
        resolve({ url, shown: shown.trimEnd() });
      });
    });
  }

  /** Runs one command line at the desk as this person. */
  run(person: string, command: string): Promise<Ran> {
    const child = this.#spawn(command, "desk", person);
    let shown = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => (shown += chunk.toString()));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => child.kill("SIGKILL"), COMMAND_MS);
      child.on("error", reject);
      child.on("close", (code) => {
        clearTimeout(timer);
        resolve({ exitCode: code ?? -1, shown: shown.trimEnd() });
      });
    });
  }

  /** Tells the vault to end, as systemd would, and says how it ended. */
  async stop(): Promise<Ran> {
    const server = this.#server;
    if (server === null) return { exitCode: 0, shown: "" };
    const ended = new Promise<number>((resolve) => {
      if (server.exitCode !== null) resolve(server.exitCode);
      else server.once("exit", (code) => resolve(code ?? -1));
    });
    server.kill("SIGTERM");
    const timer = setTimeout(() => server.kill("SIGKILL"), STOP_MS);
    const exitCode = await ended;
    clearTimeout(timer);
    return { exitCode, shown: this.#serverLog };
  }

  /** Ends what still runs and removes the folder. Safe to call at any time, and more than once. */
  clear(): void {
    for (const child of this.#running) child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  #spawn(command: string, place: "vault" | "desk", person: string): ChildProcess {
    const home = join(this.folder, "home", person);
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const path = [this.#bin, dirname(process.execPath), process.env.PATH ?? ""].join(delimiter);
    const child = spawn("/bin/sh", ["-c", command], {
      cwd: join(this.folder, place),
      env: { PATH: path, HOME: home, XDG_CONFIG_HOME: home, SALLYPORT_NO_KEYRING: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#running.add(child);
    child.once("close", () => this.#running.delete(child));
    return child;
  }

  #put(name: string, content: string): void {
    writeFileSync(join(this.#desk, name), content, { mode: 0o600 });
  }
}

export function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "    ");
}
