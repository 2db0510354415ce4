import { join } from "node:path";
import { Kysely, SqliteDialect } from "kysely";
import type Database from "better-sqlite3";
import type { Clock, Id } from "#base";
import { VaultError, isVaultError } from "#base";
import type { Raw } from "../column.ts";
import type { Committed, Engine, EngineHealth, Job, Scribe } from "../engine.ts";
import { migrate } from "../migrations/index.ts";
import { Committer } from "./committer.ts";
import { codeOf, knownMigrations, loadDriver, lockFolder, openReader, openWriter } from "./open.ts";
import type { Connection } from "./open.ts";
import { Statements } from "./statements.ts";

const MOST_IN_BATCH = 128;
const LONGEST_GATHER_MS = 2;
const MOST_QUEUED = 20_000;

interface Waiting {
  readonly job: Job;
  readonly resolve: (committed: Committed) => void;
  readonly reject: (error: Error) => void;
}

/**
 * SQLite in one folder: `vault.db` in WAL mode, one connection that writes and one that reads, and `lock.db`, held for as
 * long as the process lives.
 *
 * @throws {VaultError} `folder_in_use`, `schema_unknown`, `store_unavailable`.
 */
export async function openSqlite(options: { folder: string; scribe: Scribe; clock: Clock }): Promise<Engine> {
  const Driver = await loadDriver();
  const lock = lockFolder(Driver, options.folder);
  try {
    const file = join(options.folder, "vault.db");
    await prepare(Driver, file);
    return new SqliteEngine(Driver, file, lock, options.scribe, options.clock);
  } catch (error) {
    lock.close();
    throw startError(error);
  }
}

function startError(error: unknown): VaultError {
  if (isVaultError(error)) return error;
  if (codeOf(error) === "SQLITE_NOTADB")
    return new VaultError("schema_unknown", "The database file is not a database, or a damaged one.");
  return new VaultError("store_unavailable", "The database cannot be opened.", { cause: error });
}

async function prepare(Driver: typeof Database, file: string): Promise<void> {
  const db = openWriter(Driver, file);
  try {
    const done = knownMigrations(db);
    // Kysely closes what it is given when it is destroyed; this connection serves nothing else.
    await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: db }) }), "sqlite", done);
  } finally {
    db.close();
  }
}

class SqliteEngine implements Engine {
  readonly kind = "sqlite";
  readonly #open: () => { writer: Connection; reader: Connection; committer: Committer; statements: Statements };
  readonly #lock: Connection;
  #on: ReturnType<SqliteEngine["open"]>;
  #queue: Waiting[] = [];
  #gathering = false;
  #closing = false;
  #fault: string | null = null;
  #idle: (() => void)[] = [];

  constructor(Driver: typeof Database, file: string, lock: Connection, scribe: Scribe, clock: Clock) {
    this.#lock = lock;
    this.#open = () => {
      const writer = openWriter(Driver, file);
      const reader = openReader(Driver, file);
      return { writer, reader, committer: new Committer(writer, scribe, clock), statements: new Statements(reader) };
    };
    this.#on = this.#open();
  }

  open(): { writer: Connection; reader: Connection; committer: Committer; statements: Statements } {
    return this.#open();
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
    if (this.#fault !== null) this.#heal();
    return Promise.resolve({ writable: this.#fault === null, reason: this.#fault, queued: this.#queue.length });
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (this.#gathering || this.#queue.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#on.reader.close();
    this.#on.writer.close();
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
      this.#fault = codeOf(known.cause) || "write failed";
      this.#reopen();
      for (const one of batch) one.reject(known);
    }
    if (this.#queue.length > 0) this.#gather();
    else {
      this.#gathering = false;
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  /** A connection whose commit failed is not used again: what it believes and what is on disk may differ. */
  #reopen(): void {
    try {
      const fresh = this.#open();
      const old = this.#on;
      this.#on = fresh;
      old.reader.close();
      old.writer.close();
    } catch {
      // The disk may be full or gone. The next batch fails in the same way and tries again.
    }
  }

  /** One real write, to see whether what failed works again. */
  #heal(): void {
    if (this.#queue.length > 0 || this.#closing) return;
    try {
      this.#reopen();
      this.#on.writer.exec(
        "BEGIN IMMEDIATE; INSERT INTO meta (name, value) VALUES ('probe', '') ON CONFLICT (name) DO UPDATE SET value = ''; COMMIT",
      );
      this.#fault = null;
    } catch (error) {
      if (this.#on.writer.inTransaction) this.#on.writer.exec("ROLLBACK");
      this.#fault = codeOf(error) || "write failed";
    }
  }
}
