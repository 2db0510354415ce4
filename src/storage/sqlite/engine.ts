import { stat } from "node:fs/promises";
import { join } from "node:path";
import type Database from "better-sqlite3";
import type { Clock, Id } from "#base";
import { SECOND, VaultError, isVaultError } from "#base";
import type { Raw } from "../column.ts";
import { Backlog, QUEUE_LIMITS } from "../backlog.ts";
import type { QueueLimits, Waiting } from "../backlog.ts";
import type { CommitWatch, Committed, Engine, EngineHealth, NodeSeen, Job, Scribe } from "../engine.ts";
import { EventClock } from "../event-clock.ts";
import { Committer, SLOT } from "./committer.ts";
import { emptyWal, loadDriver, lockFolder, openReader, openWriter, prepareFile } from "./open.ts";
import type { Connection } from "./open.ts";
import { codeOf, reasonOf } from "./reason.ts";
import { readSlots } from "./slots.ts";
import { Statements } from "./statements.ts";

const MOST_IN_BATCH = 128;
const LONGEST_GATHER_MS = 2;
const PROBE_EVERY_MS = SECOND;
/** A read that failed like this may fail on every connection, or only on one that was open when the disk went away. */
const OF_THE_FILE = /^SQLITE_(IOERR|CANTOPEN|CORRUPT|NOTADB)/;

/** The connection that writes and the one that reads, with what stands on each. */
interface Connections {
  readonly writer: Connection;
  readonly reader: Connection;
  readonly committer: Committer;
  readonly statements: Statements;
}

/**
 * SQLite in one folder: `vault.db` in WAL mode, one connection that writes and one that reads, and `lock.db`, held for as
 * long as the process lives.
 *
 * @throws {VaultError} `folder_in_use`, `schema_unknown`, `store_unavailable`.
 */
export async function openSqlite(options: {
  folder: string;
  scribe: Scribe;
  clock: Clock;
  queue?: QueueLimits;
  watch?: CommitWatch;
}): Promise<Engine> {
  const Driver = loadDriver();
  const lock = lockFolder(Driver, options.folder);
  try {
    const file = join(options.folder, "vault.db");
    await prepareFile(Driver, file);
    const clock = new EventClock(options.clock);
    const open = (): Connections => connect(Driver, file, options.scribe, clock, options.watch);
    return new SqliteEngine(file, open, lock, clock, options.queue ?? QUEUE_LIMITS);
  } catch (error) {
    lock.close();
    throw startError(error);
  }
}

function startError(error: unknown): VaultError {
  if (isVaultError(error)) return error;
  if (codeOf(error) === "SQLITE_NOTADB")
    return new VaultError("schema_unknown", "The database file is not a database, or a damaged one.", { cause: error });
  return new VaultError("store_unavailable", `The database cannot be opened: ${reasonOf(error)}.`, { cause: error });
}

class SqliteEngine implements Engine {
  readonly kind = "sqlite";
  readonly slot = SLOT;
  readonly #file: string;
  readonly #open: () => Connections;
  readonly #lock: Connection;
  readonly #clock: EventClock;
  readonly #backlog: Backlog;
  #on: Connections;
  /**
   * What failed of these connections: what they believe and what is on disk may differ, so they write no more. After a `sync`,
   * the system's own memory and the disk may differ too.
   */
  #spent: "write" | "sync" | null = null;
  #queue: Waiting[] = [];
  #gathering = false;
  #closing = false;
  #fault: string | null = null;
  #probedAt = -Infinity;
  #idle: (() => void)[] = [];

  constructor(file: string, open: () => Connections, lock: Connection, clock: EventClock, limits: QueueLimits) {
    this.#file = file;
    this.#lock = lock;
    this.#clock = clock;
    this.#backlog = new Backlog(limits);
    this.#open = open;
    this.#on = open();
  }

  now(): Date {
    return this.#clock.now();
  }

  slots(): Promise<readonly number[]> {
    try {
      return Promise.resolve(readSlots(this.#on.statements));
    } catch (error) {
      if (OF_THE_FILE.test(codeOf(error))) this.#fail(error, "write");
      return Promise.reject(new VaultError("store_unavailable", undefined, { cause: error }));
    }
  }

  nodes(): Promise<readonly NodeSeen[]> {
    return Promise.resolve([]);
  }

  rows(_org: Id<"org">, sql: string, values: readonly Raw[]): Promise<readonly Readonly<Record<string, Raw>>[]> {
    try {
      return Promise.resolve(this.#on.statements.all(sql, values));
    } catch (error) {
      if (OF_THE_FILE.test(codeOf(error))) this.#fail(error, "write");
      return Promise.reject(new VaultError("store_unavailable", undefined, { cause: error }));
    }
  }

  commit(job: Job): Promise<Committed> {
    return this.#backlog.admit(job, (waiting) => {
      this.#queue.push(waiting);
      if (!this.#gathering) this.#gather();
    });
  }

  health(): Promise<EngineHealth> {
    if (this.#fault !== null) this.#probe();
    return Promise.resolve({
      writable: this.#fault === null,
      reason: this.#fault,
      queued: this.#backlog.jobs,
      queuedBytes: this.#backlog.bytes,
      clockBehindMs: this.#clock.behindMs,
      clockAheadMs: null,
      connections: null,
    });
  }

  async bytes(): Promise<number> {
    const sizes = await Promise.all(
      [this.#file, `${this.#file}-wal`].map((file) =>
        stat(file).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
    );
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#backlog.close();
    if (this.#gathering || this.#queue.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    disconnect(this.#on);
    this.#lock.close();
  }

  /**
   * Waits while each turn of the event loop brings another job, at most 2 ms or a full batch: many exchanges at once share
   * one fsync, and one alone does not wait.
   */
  #gather(): void {
    this.#gathering = true;
    const began = performance.now();
    let seen = 0;
    const turn = (): void => {
      const grown = this.#queue.length > seen;
      seen = this.#queue.length;
      if (grown && seen < MOST_IN_BATCH && performance.now() - began < LONGEST_GATHER_MS) setImmediate(turn);
      else this.#flush();
    };
    setImmediate(turn);
  }

  #flush(): void {
    const batch = this.#queue.splice(0, MOST_IN_BATCH);
    this.#backlog.release(batch);
    try {
      this.#renew();
      const results = this.#on.committer.run(batch.map((one) => one.job));
      this.#fault = null;
      for (const [at, one] of batch.entries()) {
        const result = results[at];
        if (result === undefined) one.reject(new VaultError("internal"));
        else if ("error" in result) one.reject(result.error);
        else one.resolve(result.committed);
      }
    } catch (error) {
      const known = isVaultError(error) ? error : new VaultError("store_unavailable", undefined, { cause: error });
      this.#fail(known.cause, known.code === "outcome_unknown" ? "sync" : "write");
      for (const one of batch) one.reject(known);
    }
    if (this.#queue.length > 0) this.#gather();
    else {
      this.#gathering = false;
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  #fail(cause: unknown, what: "write" | "sync"): void {
    // A sync that failed is not made good by whatever fails after it.
    if (this.#spent !== "sync") this.#spent = what;
    this.#fault = reasonOf(cause);
  }

  /** New connections in the place of spent ones. Throws what opening them throws; the spent ones still read. */
  #renew(): void {
    if (this.#spent === null) return;
    const fresh = this.#open();
    try {
      if (this.#spent === "sync") emptyWal(fresh.writer);
    } catch (error) {
      disconnect(fresh);
      throw error;
    }
    const old = this.#on;
    this.#on = fresh;
    this.#spent = null;
    disconnect(old);
  }

  /** One real write, to see whether what failed works again: at most one a second, whoever asks. */
  #probe(): void {
    const now = performance.now();
    if (this.#gathering || this.#closing || now - this.#probedAt < PROBE_EVERY_MS) return;
    this.#probedAt = now;
    try {
      this.#renew();
      this.#on.writer.exec(
        "INSERT INTO meta (name, value) VALUES ('probe', '') ON CONFLICT (name) DO UPDATE SET value = ''",
      );
      this.#fault = null;
    } catch (error) {
      this.#fail(error, codeOf(error).includes("FSYNC") ? "sync" : "write");
    }
  }
}

function connect(
  Driver: typeof Database,
  file: string,
  scribe: Scribe,
  clock: EventClock,
  watch?: CommitWatch,
): Connections {
  const writer = openWriter(Driver, file);
  try {
    const committer = new Committer(writer, scribe, clock, watch);
    const reader = openReader(Driver, file);
    return { writer, reader, committer, statements: new Statements(reader) };
  } catch (error) {
    writer.close();
    throw error;
  }
}

function disconnect({ reader, writer }: Connections): void {
  try {
    reader.close();
  } finally {
    writer.close();
  }
}
