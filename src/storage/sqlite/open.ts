import { chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type Database from "better-sqlite3";
import { VaultError } from "#base";

export type Connection = Database.Database;

/**
 * The driver, loaded only after a look at the runtime: its 13th version needs Node-API 10 and takes the process down with a
 * segmentation fault, when the first file is opened, on a Node that does not have it.
 */
export async function loadDriver(): Promise<typeof Database> {
  const require = createRequire(import.meta.url);
  const { version } = JSON.parse(readFileSync(require.resolve("better-sqlite3/package.json"), "utf8")) as {
    version: string;
  };
  if (Number(version.split(".")[0]) >= 13 && Number(process.versions.napi) < 10) {
    throw new VaultError(
      "store_unavailable",
      `better-sqlite3 ${version} needs a newer Node than ${process.version}: install again with this Node (\`npm ci\`).`,
    );
  }
  return (await import("better-sqlite3")).default;
}

/** One process a folder. The lock goes with the process, however it ends. */
export function lockFolder(Driver: typeof Database, folder: string): Connection {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, "lock.db");
  const lock = new Driver(path, { timeout: 0 });
  try {
    lock.pragma("locking_mode = EXCLUSIVE");
    lock.pragma("journal_mode = DELETE");
    lock.exec("BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS holder (pid INTEGER); DELETE FROM holder;");
    lock.prepare("INSERT INTO holder VALUES (?)").run(process.pid);
    lock.exec("COMMIT");
    chmodSync(path, 0o600);
  } catch (error) {
    lock.close();
    if (codeOf(error).startsWith("SQLITE_BUSY"))
      throw new VaultError("folder_in_use", `Another vault uses the data folder ${folder}.`);
    throw new VaultError("store_unavailable", `The data folder ${folder} cannot be written.`, { cause: error });
  }
  return lock;
}

/** The connection that writes. */
export function openWriter(Driver: typeof Database, file: string): Connection {
  const fresh = !existsSync(file);
  const db = new Driver(file, { timeout: 5_000 });
  try {
    if (fresh) chmodSync(file, 0o600);
    db.pragma("journal_mode = WAL");
    // FULL and not the driver's NORMAL: in WAL mode NORMAL loses acknowledged commits with the power.
    db.pragma("synchronous = FULL");
    db.pragma("foreign_keys = ON");
    db.pragma("secure_delete = ON");
    db.pragma("trusted_schema = OFF");
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

/** A connection that only reads, and sees what is committed. */
export function openReader(Driver: typeof Database, file: string): Connection {
  const db = new Driver(file, { readonly: true, timeout: 5_000 });
  db.pragma("synchronous = FULL");
  db.pragma("query_only = ON");
  return db;
}

/** The migrations a database has seen, or `null` for an empty one. Throws `schema_unknown` for what is not a vault's. */
export function knownMigrations(db: Connection): readonly string[] | null {
  const tables = db
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .pluck()
    .all();
  if (tables.length === 0) return null;
  if (!tables.includes("kysely_migration"))
    throw new VaultError("schema_unknown", "The database file belongs to another program.");
  return db.prepare("SELECT name FROM kysely_migration ORDER BY name").pluck().all().map(String);
}

/** SQLite's code of an error, or the empty string. */
export function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}
