import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { VaultError, bytesToId } from "#base";
import type { Id } from "#base";
import { loadDriver, openReader } from "./open.ts";
import { codeOf } from "./reason.ts";
import type { Connection } from "./open.ts";

/** What a look at the database of a folder says of it. */
export interface FileInspection {
  readonly engine: "sqlite";
  /** The version of SQLite. */
  readonly sqlite: string;
  readonly bytes: number;
  /** What SQLite's quick_check finds; `null`: not asked. */
  readonly damage: readonly string[] | null;
  readonly newestEventAt: Date | null;
  readonly newestCheckpointAt: Date | null;
  /** The root key under which the database's keys are wrapped; `null`: it has none. */
  readonly rootKey: Id<"key"> | null;
}

/** A database that is larger is not read into memory to be checked. */
const MOST_BYTES = 1024 * 1024 * 1024;
/** Where the header says how the file is read and written (SQLite file format, section 1.3.3): 1 is rollback, 2 is WAL. */
const FORMAT_BYTES = [18, 19] as const;

/** The versions of the driver that this runtime can use. @throws {VaultError} `store_unavailable` when there is none. */
export function driverVersion(): string {
  const db = new (loadDriver())(":memory:");
  try {
    return String(db.prepare("SELECT sqlite_version()").pluck().get());
  } finally {
    db.close();
  }
}

/**
 * Looks at the database of a folder and changes nothing: with `live`, beside the vault that runs, as one more reader; else
 * a copy in memory, because SQLite would lay files beside the one it reads. `null` where there is no database.
 *
 * @throws {VaultError} `schema_unknown`: it is no database of a vault. `store_unavailable`: it cannot be read, it was not
 * closed cleanly, or it is too large to be looked at this way; the message says which.
 */
export function inspectDatabase(folder: string, live: boolean): FileInspection | null {
  const file = join(folder, "vault.db");
  if (!existsSync(file)) return null;
  try {
    const db = live ? openReader(loadDriver(), file) : openCopy(file);
    try {
      return look(db, statSync(file).size, !live);
    } finally {
      db.close();
    }
  } catch (error) {
    if (error instanceof VaultError) throw error;
    const isDamage = ["SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_ERROR"].includes(codeOf(error));
    throw isDamage
      ? new VaultError("schema_unknown", "the file is not a vault's database, or a damaged one", { cause: error })
      : new VaultError("store_unavailable", "the file cannot be read", { cause: error });
  }
}

function openCopy(file: string): Connection {
  const wal = `${file}-wal`;
  if (existsSync(wal) && statSync(wal).size > 0)
    throw new VaultError("store_unavailable", "it was not closed cleanly; the next start mends that, then ask again");
  if (statSync(file).size > MOST_BYTES)
    throw new VaultError("store_unavailable", "it is too large for a look in memory");
  const bytes = readFileSync(file);
  for (const at of FORMAT_BYTES) if (bytes[at] === 2) bytes[at] = 1;
  return new (loadDriver())(bytes, { readonly: true });
}

function look(db: Connection, bytes: number, check: boolean): FileInspection {
  const found = check ? db.prepare("PRAGMA quick_check(20)").pluck().all().map(String) : null;
  const one = (sql: string): unknown => db.prepare(sql).pluck().get();
  const time = (sql: string) => {
    const value = one(sql);
    return typeof value === "number" ? new Date(value) : null;
  };
  const chains = "SELECT id FROM orgs UNION SELECT zeroblob(16)";
  const newest = (table: string) =>
    `SELECT max((SELECT max(time) FROM ${table} WHERE org_id = chains.id)) FROM (${chains}) AS chains`;
  const parent = one("SELECT parent_id FROM keys WHERE purpose = 'instance' AND state = 'current'");
  return {
    engine: "sqlite",
    sqlite: String(one("SELECT sqlite_version()")),
    bytes,
    damage: found?.join() === "ok" ? [] : found,
    newestEventAt: time(newest("audit_events")),
    newestCheckpointAt: time(newest("audit_checkpoints")),
    rootKey: Buffer.isBuffer(parent) ? bytesToId("key", parent) : null,
  };
}
