import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type Database from "better-sqlite3";
import { Kysely, SqliteDialect } from "kysely";
import { VaultError } from "#base";
import { checkKnown, migrate } from "../migrations/index.ts";
import { codeOf, reasonOf } from "./reason.ts";

export type Connection = Database.Database;

/** How every SQLite database begins (SQLite file format, section 1.3). */
const MAGIC = Buffer.from("SQLite format 3\0");

/** Where each major version of the driver may be found, the one to prefer first. */
const DRIVERS = ["better-sqlite3-13", "better-sqlite3"] as const;

/**
 * The driver that this runtime can use, loaded only after a look at both. Its 13th version needs Node-API 10 and takes the
 * process down with a segmentation fault, when the first file is opened, on a Node that does not have it. Its 12th is built
 * on a class that Node 24 has since changed, and aborts there when a statement is collected.
 *
 * @throws {VaultError} `store_unavailable` when neither fits.
 */
export function loadDriver(): typeof Database {
  const require = createRequire(import.meta.url);
  const wanted = Number(process.versions.napi) >= 10 ? 13 : 12;
  for (const name of DRIVERS) {
    if (majorOf(require, name) === wanted) return withBinary(require(name) as typeof Database, name);
  }
  throw new VaultError(
    "store_unavailable",
    `Node ${process.version} needs better-sqlite3 ${String(wanted)}, which is not installed: install again with this Node (\`npm ci\`).`,
  );
}

/** The driver's compiled part is made, or fetched, by its install script, which not every installation runs. */
function withBinary(Driver: typeof Database, name: string): typeof Database {
  try {
    new Driver(":memory:").close();
    return Driver;
  } catch (cause) {
    throw new VaultError(
      "store_unavailable",
      `${name} has no part compiled for Node ${process.version} here. Where it was installed, run \`npm rebuild ${name}\` with this ` +
        `Node; an npm that blocks install scripts has to be told "allowScripts": { "${name}": true } in package.json. Node 24 needs none of this.`,
      { cause },
    );
  }
}

/** The major version of an installed driver; `null` when it is not there: one of them is optional. */
function majorOf(require: NodeJS.Require, name: string): number | null {
  try {
    const { version } = JSON.parse(readFileSync(require.resolve(`${name}/package.json`), "utf8")) as {
      version: string;
    };
    return Number(version.split(".")[0]);
  } catch {
    return null;
  }
}

/** With the folders above it. Not by `recursive`: where nothing can be made (/proc), Node then never comes back. */
function makeFolder(path: string): void {
  if (existsSync(path)) return;
  const above = dirname(path);
  if (above !== path) makeFolder(above);
  mkdirSync(path, { mode: 0o700 });
}

/** One process a folder. The lock goes with the process, however it ends. */
export function lockFolder(Driver: typeof Database, folder: string): Connection {
  const path = join(folder, "lock.db");
  let lock: Connection | null = null;
  try {
    makeFolder(folder);
    lock = new Driver(path, { timeout: 0 });
    chmodSync(path, 0o600);
    lock.pragma("locking_mode = EXCLUSIVE");
    lock.pragma("journal_mode = DELETE");
    lock.exec("BEGIN EXCLUSIVE; CREATE TABLE IF NOT EXISTS holder (pid INTEGER); DELETE FROM holder;");
    lock.prepare("INSERT INTO holder VALUES (?)").run(process.pid);
    lock.exec("COMMIT");
    return lock;
  } catch (error) {
    lock?.close();
    if (codeOf(error).startsWith("SQLITE_BUSY"))
      throw new VaultError("folder_in_use", `${folder} is locked by a running process.`);
    const why = codeOf(error).startsWith("SQLITE_") ? `: ${reasonOf(error)}` : "";
    throw new VaultError("store_unavailable", `The data folder ${folder} cannot be written${why}.`, { cause: error });
  }
}

/**
 * The data folder, made and locked for a process whose database is elsewhere. @returns what lets it go.
 *
 * @throws {VaultError} `folder_in_use`, `store_unavailable`.
 */
export function holdFolder(folder: string): () => void {
  const lock = lockFolder(loadDriver(), folder);
  return () => {
    lock.close();
  };
}

/**
 * The database file with this version's schema: made, brought up to date or left as it is.
 *
 * @throws {VaultError} `schema_unknown` for what is not a vault's, or a newer vault's: the file is not touched.
 */
export async function prepareFile(Driver: typeof Database, file: string): Promise<void> {
  if (existsSync(file) && statSync(file).size > 0) checkOurs(Driver, file);
  const db = openWriter(Driver, file);
  try {
    // Kysely's migrator opens no transaction on SQLite. Without one, a crash would leave half a schema that no start mends.
    db.exec("BEGIN EXCLUSIVE");
    await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: db }) }), "sqlite");
    db.exec("COMMIT");
    emptyWal(db);
  } finally {
    db.close();
  }
}

/**
 * Writes what is committed from the WAL into the database file, syncs that, and cuts the WAL off. Throws where any of it fails.
 *
 * Must be done before anything is written after a sync of the WAL that failed, by this process or by the one before it.
 * Linux (since 4.13) reports such a failure once and then counts the pages as clean: they stay readable in its memory, may
 * never have reached the disk, and no later sync writes them. Commits that were put behind such pages would be synced and
 * acknowledged, and lost with the power: recovery reads the WAL up to the first frame that is not whole. Copied into the
 * database file, what is committed is written and synced anew.
 */
export function emptyWal(db: Connection): void {
  const [done] = db.pragma("wal_checkpoint(TRUNCATE)") as { busy: number }[];
  if (done?.busy !== 0) throw new VaultError("store_unavailable", "Another process holds the database.");
}

/**
 * The migrations that a file has seen, without a write to it. Throws `schema_unknown` for one that this version cannot take
 * over.
 */
export function checkOurs(Driver: typeof Database, file: string): readonly string[] {
  // SQLite takes a file that is shorter than a page for an empty database, and would write over it.
  const start = Buffer.alloc(MAGIC.length);
  const opened = openSync(file, "r");
  try {
    readSync(opened, start, 0, MAGIC.length, 0);
  } finally {
    closeSync(opened);
  }
  if (!start.equals(MAGIC)) throw new VaultError("schema_unknown", "The database file is not a database.");
  const db = new Driver(file, { readonly: true, timeout: 5_000 });
  try {
    const done = knownMigrations(db);
    checkKnown(done);
    return done;
  } finally {
    db.close();
  }
}

/** The connection that writes. */
export function openWriter(Driver: typeof Database, file: string): Connection {
  const db = new Driver(file, { timeout: 5_000 });
  try {
    // Before the first page is written, and again for a file that was put back by hand; its WAL takes the same mode.
    if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
    db.pragma("journal_mode = WAL");
    // FULL and not the driver's NORMAL: in WAL mode NORMAL loses acknowledged commits with the power.
    db.pragma("synchronous = FULL");
    db.pragma("foreign_keys = ON");
    db.pragma("secure_delete = ON");
    // What a statement or a savepoint sets aside stays out of the folder for temporary files.
    db.pragma("temp_store = MEMORY");
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
  try {
    db.pragma("synchronous = FULL");
    db.pragma("query_only = ON");
    db.pragma("temp_store = MEMORY");
    db.pragma("trusted_schema = OFF");
  } catch (error) {
    db.close();
    throw error;
  }
  return db;
}

/** The migrations a database has seen: none for an empty one. Throws `schema_unknown` for what is not a vault's. */
function knownMigrations(db: Connection): readonly string[] {
  const tables = db
    .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .pluck()
    .all();
  if (tables.length === 0) return [];
  if (!tables.includes("kysely_migration"))
    throw new VaultError("schema_unknown", "The database file belongs to another program.");
  return db.prepare("SELECT name FROM kysely_migration ORDER BY name").pluck().all().map(String);
}
