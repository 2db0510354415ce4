/**
 * One run of a server: the process, and the watcher that ends it with its parent.
 */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync, readdirSync } from "node:fs";
import { Socket } from "node:net";
import { setTimeout } from "node:timers/promises";
import type { Runner } from "./binaries.ts";

export type StopMode = "smart" | "fast" | "immediate";

const SIGNALS: Readonly<Record<StopMode, NodeJS.Signals>> = { smart: "SIGTERM", fast: "SIGINT", immediate: "SIGQUIT" };

/**
 * The shell becomes the server, so the child's id is the server's. Before that it leaves a watcher behind, as a
 * grandchild that is no child of the server. It waits on a pipe, whose other end only this process holds (descriptor
 * 3, for Node destroys the standard input of a child that ends before the word could be said): a word means that all ended well; the pipe's end without one means that this process is no more, however
 * that came about. The watcher then ends the server, if it still is this one, and deletes the folders named to it.
 */
const SCRIPT = `
umask 077
data=$1; first=$2; second=$3; shift 3
( ( read -r word <&3 && exit
    if [ "$(head -n 1 "$data/postmaster.pid" 2>/dev/null)" = $$ ]; then
      kill -QUIT $$ 2>/dev/null
      tries=0
      while [ -e "$data/postmaster.pid" ] && kill -0 $$ 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    fi
    kill -KILL $$ 2>/dev/null
    rm -rf "$first" "$second"
  ) </dev/null >/dev/null 2>&1 & )
exec "$@" </dev/null 3<&-
`;

export class Running {
  readonly pid: number;
  readonly #data: string;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #over = false;

  /** Starts `command` on `data`; `folders` are deleted if this process dies first. */
  constructor(
    command: readonly string[],
    place: { data: string; log: string; folders: readonly [string, string]; runner: Runner | null },
  ) {
    const log = openSync(place.log, "a", 0o644);
    this.#data = place.data;
    this.#child = spawn("/bin/sh", ["-c", SCRIPT, "sh", place.data, ...place.folders, ...command], {
      cwd: place.folders[0],
      env: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" },
      stdio: ["ignore", log, log, "pipe"],
      // Ctrl-C is for the tests: they end the server.
      detached: true,
      ...(place.runner ?? {}),
    });
    closeSync(log);
    const pipe = this.#child.stdio[3];
    if (!(pipe instanceof Socket)) throw new Error("there is no pipe to the watcher of the server");
    pipe.on("error", () => undefined);
    this.#ended = new Promise((resolve) => {
      const over = () => {
        this.#over = true;
        resolve();
      };
      this.#child.once("exit", () => {
        pipe.end("over\n");
        over();
      });
      this.#child.once("error", over);
    });
    this.pid = this.#child.pid ?? 0;
    // A process that has nothing else to do may end: the watcher cleans up.
    this.#child.unref();
    pipe.unref();
  }

  get over(): boolean {
    return this.#over;
  }

  /** True once clients are let in, false if the server ended or `seconds` passed before. */
  async ready(seconds: number): Promise<boolean> {
    const end = Date.now() + seconds * 1000;
    while (Date.now() < end && !this.#over) {
      const lines = pidFile(this.#data);
      if (Number(lines[0]) === this.pid && lines[7]?.trim() === "ready") return true;
      await setTimeout(10);
    }
    return false;
  }

  async stop(mode: StopMode): Promise<void> {
    this.#child.ref();
    if (!this.#over) process.kill(this.pid, SIGNALS[mode]);
    await this.#ended;
  }

  /** Ends the server and each process of it with SIGKILL, as a crash does: nothing is written or said on the way. */
  async kill(): Promise<void> {
    this.#child.ref();
    if (!this.#over) {
      // Stopped first, so that it starts no process behind our back.
      process.kill(this.pid, "SIGSTOP");
      const children = childrenOf(this.pid);
      for (const pid of [this.pid, ...children]) end(pid);
      while (children.some(alive)) await setTimeout(5);
    }
    await this.#ended;
  }

  /** The server's process and those it started. */
  processes(): number[] {
    return this.#over ? [] : [this.pid, ...childrenOf(this.pid)];
  }
}

/** Whether a process runs; one that ended and was not yet collected does not. */
export function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return process.platform !== "linux" || !["Z", "X", undefined].includes(statOf(pid)?.state);
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function childrenOf(parent: number): number[] {
  if (process.platform === "linux") {
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => pid > 0 && statOf(pid)?.parent === parent);
  }
  return execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, of]) => (pid !== undefined && of === parent ? [pid] : []));
}

/** From /proc/<pid>/stat: `pid (name) state parent …`, where the name may hold anything. */
function statOf(pid: number): { state: string | undefined; parent: number } | null {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "latin1");
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state, parent: Number(parent) };
  } catch {
    return null;
  }
}

/** Its first line is the server's process, its eighth how far the server has come. */
function pidFile(data: string): string[] {
  try {
    return readFileSync(`${data}/postmaster.pid`, "utf8").split("\n");
  } catch {
    return [];
  }
}
