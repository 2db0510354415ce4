import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { VaultError } from "#base";

type Environment = Record<string, string | undefined>;

/** What may be told: sd_notify(3) says what each means. */
export type Note = "READY=1" | "RELOADING=1" | "STOPPING=1" | "WATCHDOG=1";

interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

interface Told {
  readonly socket: string;
  readonly tool: string;
  /** 0 where nobody watches. */
  readonly watchdogMs: number;
}

/** Where the program lies on every distribution; not looked for on the PATH, which others may have set. */
const TOOLS = ["/usr/bin/systemd-notify", "/bin/systemd-notify", "/run/current-system/sw/bin/systemd-notify"];
const PATIENCE_MS = 10_000;

/**
 * Tells the program that supervises this one how it is: sd_notify(3). Node has no datagram sockets in the Unix family, so
 * each message is sent by `systemd-notify`, which is part of what reads it: without a shell, and with nothing of our
 * environment. A unit has to say NotifyAccess=all for that.
 *
 * A message that cannot be sent is logged and fails nothing.
 */
export class Supervisor {
  readonly #told: Told | null;
  readonly #log: Log;
  /** Messages leave in their order. */
  #last: Promise<void> = Promise.resolve();
  #watch: NodeJS.Timeout | null = null;
  #sick = false;

  private constructor(told: Told | null, log: Log) {
    this.#told = told;
    this.#log = log;
  }

  /**
   * Who supervises, from the environment, whose variables are removed: they are for this process and no child of it.
   *
   * @throws {VaultError} `config_invalid` where it is to be told and the program for that is not there: a start that nobody
   * hears of would be ended after its time, without a reason.
   */
  static find(env: Environment, pid: number, log: Log, tools: readonly string[] = TOOLS): Supervisor {
    const { NOTIFY_SOCKET: socket = "", WATCHDOG_USEC: microseconds = "", WATCHDOG_PID: watched = String(pid) } = env;
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) Reflect.deleteProperty(env, name);
    if (socket === "") return new Supervisor(null, log);
    const tool = tools.find(isExecutable);
    if (tool === undefined) {
      const message = `whoever reads it cannot be told that the vault is ready: ${tools[0] ?? "systemd-notify"} is not there`;
      throw new VaultError("config_invalid", undefined, { detail: { faults: [{ field: "NOTIFY_SOCKET", message }] } });
    }
    const isWatched = watched === String(pid) && /^\d{4,15}$/.test(microseconds);
    return new Supervisor({ socket, tool, watchdogMs: isWatched ? Number(microseconds) / 1_000 : 0 }, log);
  }

  /** Resolves when it was read, or could not be sent. `status` is one line for people. */
  async tell(note: Note | null, status?: string): Promise<void> {
    if (this.#told === null) return;
    const { socket, tool } = this.#told;
    const words = [
      ...(note === null ? [] : [note]),
      // What tells this reload from one before (sd_notify(3), MONOTONIC_USEC).
      ...(note === "RELOADING=1" ? [`MONOTONIC_USEC=${String(process.hrtime.bigint() / 1_000n)}`] : []),
      ...(status === undefined ? [] : [`STATUS=${status}`]),
    ];
    const sent = this.#last.then(
      () =>
        new Promise<void>((resolve) => {
          const options = { env: { NOTIFY_SOCKET: socket }, cwd: "/", timeout: PATIENCE_MS, maxBuffer: 4_096 };
          execFile(tool, words, options, (error) => {
            if (error !== null) this.#log.warn({ note, code: codeOf(error) }, "the supervisor could not be told");
            resolve();
          });
        }),
    );
    this.#last = sent;
    return sent;
  }

  /**
   * Says that the process is alive at half of the time that it may be silent, while `isHealthy` says so within that half.
   * When it does not, the supervisor is left to do what its unit says: to end it and start another.
   */
  watch(isHealthy: () => Promise<boolean>): void {
    if (this.#told === null || this.#told.watchdogMs === 0) return;
    const half = this.#told.watchdogMs / 2;
    const look = async () => {
      const healthy = await within(half, isHealthy);
      if (healthy !== this.#sick) {
        if (healthy) await this.tell("WATCHDOG=1");
        return;
      }
      this.#sick = !healthy;
      if (healthy) {
        this.#log.info({}, "healthy again");
        await this.tell("WATCHDOG=1", "Healthy again");
      } else {
        this.#log.error({}, "not healthy: the supervisor is no longer told that the vault is alive");
        await this.tell(null, "The store cannot be written or read");
      }
    };
    // One at a time: where the messages are slow to send, they must not pile up and tell of a health that was.
    let looking = false;
    const lookOnce = async () => {
      if (looking) return;
      looking = true;
      await look();
      looking = false;
    };
    void lookOnce();
    this.#watch = setInterval(() => void lookOnce(), half).unref();
  }

  /** From now on it is not told that the process is alive. */
  close(): void {
    if (this.#watch !== null) clearInterval(this.#watch);
    this.#watch = null;
  }
}

async function within(ms: number, isHealthy: () => Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
    timer.unref();
  });
  const healthy = await Promise.race([isHealthy().catch(() => false), late]);
  clearTimeout(timer);
  return healthy;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : "failed";
}
