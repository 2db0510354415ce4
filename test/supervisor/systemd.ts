import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { PROGRAM, cleanEnv } from "../harness.ts";

const SCRIPT = new URL("systemd.py", import.meta.url).pathname;

/** What is missing on this machine for these tests, in a sentence; `null` where nothing is. */
export function missing(): string | null {
  if (spawnSync("python3", ["--version"]).status !== 0) return "there is no python3";
  return existsSync("/usr/bin/systemd-notify") ? null : "there is no /usr/bin/systemd-notify";
}

/** Stands in for systemd over a real server process: its sockets, its watchdog, and what it was told. */
export class Systemd {
  readonly folder = mkdtempSync(join(tmpdir(), "sallyport-systemd-"));
  readonly told: string[] = [];
  readonly ends: number[] = [];
  readonly #child;
  #ports: number[] = [];

  constructor(options: {
    sockets: number;
    watchdogUsec?: number;
    args?: readonly string[];
    env?: Record<string, string>;
  }) {
    const { sockets, watchdogUsec = 0, args = [], env } = options;
    const program = [process.execPath, PROGRAM, "up", "--listen", "127.0.0.1:0", ...args];
    this.#child = spawn("python3", [SCRIPT, this.folder, String(sockets), String(watchdogUsec), "--", ...program], {
      env: cleanEnv({ SALLYPORT_MAX_FAILURES: "1000000", ...env }),
      stdio: ["pipe", "pipe", "inherit"],
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const said = JSON.parse(line) as { ports?: number[]; told?: string[]; ended?: number };
      if (said.ports !== undefined) this.#ports = said.ports;
      if (said.told !== undefined) this.told.push(...said.told);
      if (said.ended !== undefined) this.ends.push(said.ended);
    });
  }

  get output(): string {
    return readFileSync(join(this.folder, "output"), "utf8");
  }

  url(at = 0): string {
    return `http://127.0.0.1:${String(this.#ports[at])}`;
  }

  count(note: string): number {
    return this.told.filter((line) => line === note).length;
  }

  /** Starts the vault and waits until it says that it is ready. */
  async start(): Promise<void> {
    const before = this.count("READY=1");
    this.#say("start");
    await this.heard("READY=1", before + 1);
  }

  signal(name: NodeJS.Signals): void {
    this.#say(String(constants.signals[name]));
  }

  /** SIGTERM, and the code with which it ended. */
  async stop(): Promise<number> {
    const before = this.ends.length;
    this.signal("SIGTERM");
    await until("it ends", () => this.ends.length > before);
    return this.ends.at(-1) ?? -1;
  }

  async heard(note: string, times = 1): Promise<void> {
    await until(`it says ${note}`, () => this.count(note) >= times);
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.stdin.end();
    await ended;
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #say(word: string): void {
    this.#child.stdin.write(`${word}\n`);
  }
}

/** Tests that run side by side share no `expect.poll`. */
async function until(what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`waited 60 s until ${what}`);
    await pause(5);
  }
}
