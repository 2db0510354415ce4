import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type Database from "better-sqlite3";
import { INSTANCE, VaultError, idToBytes, isVaultError } from "#base";
import { missingFrom } from "../migrations/index.ts";
import { snake } from "../table.ts";
import { TABLES } from "../tables.ts";
import { SLOTS_MARK } from "../transfer/place.ts";
import type { Place } from "../transfer/place.ts";
import { checkOurs, emptyWal, loadDriver, lockFolder, openReader, openWriter, prepareFile } from "./open.ts";
import type { Connection } from "./open.ts";
import { codeOf, reasonOf } from "./reason.ts";
import { readSlots } from "./slots.ts";
import { Statements } from "./statements.ts";

/**
 * The database of a folder, for a copy: locked, so that no vault runs on it meanwhile. A source is only read; a target that is
 * not there is made.
 *
 * @throws {VaultError} `folder_in_use`, `schema_unknown`, `migration_needed`, `target_not_empty`, `store_unavailable`.
 */
export async function openSqlitePlace(folder: string, role: "source" | "target"): Promise<Place> {
  const Driver = loadDriver();
  const file = join(folder, "vault.db");
  const isThere = existsSync(file) && statSync(file).size > 0;
  if (role === "source" && !isThere)
    throw new VaultError("schema_unknown", `There is no vault in ${folder}: it has no vault.db.`);
  const lock = lockFolder(Driver, folder);
  try {
    if (isThere) checkSchema(Driver, file, role);
    if (role === "target") await prepareFile(Driver, file);
    const db = role === "source" ? openReader(Driver, file) : openWriter(Driver, file);
    return placeOf(db, lock, role);
  } catch (error) {
    lock.close();
    if (isVaultError(error)) throw error;
    throw codeOf(error) === "SQLITE_NOTADB"
      ? new VaultError("schema_unknown", `${file} is not a database, or a damaged one.`, { cause: error })
      : new VaultError("store_unavailable", `${file} cannot be opened: ${reasonOf(error)}.`, { cause: error });
  }
}

/** Before anything is written: a source is not brought up to date, and neither is a target that somebody uses. */
function checkSchema(Driver: typeof Database, file: string, role: "source" | "target"): void {
  const done = checkOurs(Driver, file);
  const missing = missingFrom(done);
  if (missing.length === 0) return;
  if (role === "source") throw new VaultError("migration_needed", `The schema of ${file} lacks ${missing.join(", ")}.`);
  const db = openReader(Driver, file);
  try {
    if (done.length > 0 && Number(db.prepare("SELECT count(*) FROM meta").pluck().get()) > 0)
      throw new VaultError("target_not_empty", "The target holds another vault, of an older version.");
  } finally {
    db.close();
  }
}

function placeOf(db: Connection, lock: Connection, role: "source" | "target"): Place {
  const statements = new Statements(db);
  const failing = (what: string, error: unknown): VaultError =>
    new VaultError("store_unavailable", `The ${role} cannot be ${what}: ${reasonOf(error)}.`, { cause: error });
  const place: Place = {
    kind: "sqlite",
    rows(_org, { sql, values }) {
      try {
        return Promise.resolve(statements.all(sql, values));
      } catch (error) {
        return Promise.reject(failing("read", error));
      }
    },
    write(_org, asked) {
      try {
        db.exec("BEGIN IMMEDIATE");
        const changed = asked.map(({ sql, values }) => statements.run(sql, values));
        db.exec("COMMIT");
        return Promise.resolve(changed);
      } catch (error) {
        if (db.inTransaction) db.exec("ROLLBACK");
        return Promise.reject(failing("written", error));
      }
    },
    slots: () => Promise.resolve(readSlots(statements)),
    async addSlots(slots) {
      // Slot 0 is there in any case.
      if (slots.every((slot) => slot === 0)) return;
      const sql =
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
      await place.write(INSTANCE, [{ sql, values: [SLOTS_MARK, slots.join(",")] }]);
    },
    // Whoever holds the lock is alone.
    checkAlone: () => Promise.resolve(),
    strays() {
      const names = Object.entries(TABLES).filter(([, { owner }]) => owner === "org");
      const sums = names.map(
        ([name]) =>
          `(SELECT count(*) FROM ${snake(name)} WHERE org_id <> :instance AND org_id NOT IN (SELECT id FROM orgs))`,
      );
      const count = db.prepare(`SELECT ${sums.join(" + ")}`).pluck();
      return Promise.resolve(Number(count.get({ instance: idToBytes(INSTANCE) })));
    },
    close() {
      try {
        if (role === "target") emptyWal(db);
      } finally {
        db.close();
        lock.close();
      }
      return Promise.resolve();
    },
  };
  return place;
}
