import { join } from "node:path";
import type Database from "better-sqlite3";
import type { Clock, Id } from "#base";
import { SECOND, VaultError, isVaultError } from "#base";
import type { Raw } from "../column.ts";
import type { Committed, Engine, EngineHealth, Job, Scribe } from "../engine.ts";
import { Committer } from "./committer.ts";
import { codeOf, loadDriver, lockFolder, openReader, openWriter, prepareFile } from "./open.ts";
import type { Connection } from "./open.ts";
import { Statements } from "./statements.ts";

const MOST_IN_BATCH = 128;
const LONGEST_GATHER_MS = 2;
const MOST_QUEUED = 20_000;
const PROBE_EVERY_MS = SECOND;

interface Waiting {
  readonly job: Job;
  readonly resolve: (committed: Committed) => void;
  readonly reject: (error: Error) => void;
}

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
export async function openSqlite(options: { folder: string; scribe: Scribe; clock: Clock }): Promise<Engine> {
  const Driver = loadDriver();
  const lock = lockFolder(Driver, options.folder);
  try {
    const file = join(options.folder, "vault.db");
    await prepareFile(Driver, file);
    return new SqliteEngine(Driver, file, lock, options.scribe, options.clock);
  } catch (error) {
    lock.close();
    throw startError(error);
  }
}

function startError(error: unknown): VaultError {
  if (isVaultError(error)) return error;
  if (codeOf(error) === "SQLITE_NOTADB")
    return new VaultError("schema_unknown", "The database file is not a database, or a damaged one.", { cause: error });
  return new VaultError("store_unavailable", "The database cannot be opened.", { cause: error });
}

class SqliteEngine implements Engine {
  readonly kind = "sqlite";
  readonly #open: () => Connections;
  readonly #lock: Connection;
  #on: Connections;
  /** A write of these connections failed: what they believe and what is on disk may differ, so they write no more. */
  #spent = false;
  #queue: Waiting[] = [];
  #gathering = false;
  #closing = false;
  #fault: string | null = null;
  #probedAt = -Infinity;
  #idle: (() => void)[] = [];

  constructor(Driver: typeof Database, file: string, lock: Connection, scribe: Scribe, clock: Clock) {
    this.#lock = lock;
    this.#open = () => connect(Driver, file, scribe, clock);
    this.#on = this.#open();
  }

  now(): Date {
    return this.#on.committer.now();
  }

  rows(_org: Id<"org">, sql: string, values: readonly Raw[]): Promise<readonly Readonly<Record<string, Raw>>[]> {
    try {
      return Promise.resolve(this.#on.statements.all(sql, values));
    } catch (error) {
      return Promise.reject(new VaultError("store_unavailable", undefined, { cause: error }));
    }
  }

  commit(job: Job): Promise<Committed> {
    return new Promise((resolve, reject) => {
      if (this.#closing) {
        reject(new VaultError("store_unavailable"));
        return;
      }
      if (this.#queue.length >= MOST_QUEUED) {
        reject(new VaultError("overloaded", undefined, { detail: { retryAfterSeconds: 1 } }));
        return;
      }
      this.#queue.push({ job, resolve, reject });
      if (!this.#gathering) this.#gather();
    });
  }

  health(): Promise<EngineHealth> {
    if (this.#fault !== null) this.#probe();
    return Promise.resolve({ writable: this.#fault === null, reason: this.#fault, queued: this.#queue.length });
  }

  async close(): Promise<void> {
    this.#closing = true;
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
      this.#fail(known.cause);
      for (const one of batch) one.reject(known);
    }
    if (this.#queue.length > 0) this.#gather();
    else {
      this.#gathering = false;
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  #fail(cause: unknown): void {
    this.#spent = true;
    this.#fault = codeOf(cause) || "write failed";
  }

  /** New connections in the place of spent ones. Throws what opening them throws; the spent ones still read. */
  #renew(): void {
    if (!this.#spent) return;
    const fresh = this.#open();
    const old = this.#on;
    this.#on = fresh;
    this.#spent = false;
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
      this.#fail(error);
    }
  }
}

function connect(Driver: typeof Database, file: string, scribe: Scribe, clock: Clock): Connections {
  const writer = openWriter(Driver, file);
  try {
    const committer = new Committer(writer, scribe, clock);
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
