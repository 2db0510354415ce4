import { join } from "node:path";
import pg from "pg";
import type { Database } from "better-sqlite3";
import { databaseOf } from "../engine.ts";
import { connect } from "../postgres/server.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";

export type RawValue = Buffer | string | number | bigint | null;
export type RawRow = Record<string, RawValue>;

/**
 * Somebody at the database with a tool for it, who knows the schema and no key: the file of SQLite, or PostgreSQL as its
 * superuser. Neither row policies nor foreign keys hold them up. Parameters are `?`, whichever the engine.
 */
export interface RawStore {
  rows<T = RawRow>(sql: string, ...values: readonly RawValue[]): Promise<T[]>;
  /** How many rows it changed. */
  run(sql: string, ...values: readonly RawValue[]): Promise<number>;
  insert(table: string, row: Readonly<RawRow>): Promise<void>;
  /** All rows of these tables as they are now, to be put back by the call of what it gives. */
  keep(tables: readonly string[]): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** The store of the vault in this folder; of a store without a vault, `sub` is "". */
export async function rawStore(folder: string, sub = "data"): Promise<RawStore> {
  const database = await databaseOf(folder);
  if (database === null) return new SqliteFile(join(folder, sub, "vault.db"));
  const client = await connect(database.superuserUrl);
  await client.query("SET session_replication_role = replica");
  client.setTypeParser(pg.types.builtins.INT8, toInteger);
  return new PostgresDatabase(client);
}

/** The whole store as it is now, of a vault that is stopped; putting it back takes one that is stopped too. */
export async function keepStore(folder: string): Promise<() => Promise<void>> {
  const database = await databaseOf(folder);
  if (database !== null) return database.keep();
  const { copyFile, rm } = await import("node:fs/promises");
  const file = join(folder, "data", "vault.db");
  const kept = join(folder, `kept-${String(Date.now())}-${String(Math.random())}.db`);
  await copyFile(file, kept);
  return async () => {
    await copyFile(kept, file);
    for (const rest of ["-wal", "-shm"]) await rm(`${file}${rest}`, { force: true });
  };
}

function insertion(table: string, row: Readonly<RawRow>): string {
  const names = Object.keys(row);
  return `INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`;
}

class SqliteFile implements RawStore {
  readonly #db: Database;

  constructor(file: string) {
    const Driver = loadDriver();
    this.#db = new Driver(file);
    this.#db.pragma("foreign_keys = OFF");
  }

  async rows<T>(sql: string, ...values: readonly RawValue[]): Promise<T[]> {
    return this.#db.prepare(sql).all(...values) as T[];
  }

  async run(sql: string, ...values: readonly RawValue[]): Promise<number> {
    return this.#db.prepare(sql).run(...values).changes;
  }

  async insert(table: string, row: Readonly<RawRow>): Promise<void> {
    await this.run(insertion(table, row), ...Object.values(row));
  }

  async keep(tables: readonly string[]): Promise<() => Promise<void>> {
    const kept = tables.map((table) => [table, this.#db.prepare<[], RawRow>(`SELECT * FROM ${table}`).all()] as const);
    return async () => {
      this.#db.transaction(() => {
        for (const [table, rows] of kept) {
          this.#db.prepare(`DELETE FROM ${table}`).run();
          for (const row of rows) this.#db.prepare(insertion(table, row)).run(...Object.values(row));
        }
      })();
    };
  }

  async close(): Promise<void> {
    this.#db.close();
  }
}

class PostgresDatabase implements RawStore {
  readonly #client: pg.Client;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  async rows<T>(sql: string, ...values: readonly RawValue[]): Promise<T[]> {
    return (await this.#ask(sql, values)).rows as T[];
  }

  async run(sql: string, ...values: readonly RawValue[]): Promise<number> {
    return (await this.#ask(sql, values)).rowCount ?? 0;
  }

  async insert(table: string, row: Readonly<RawRow>): Promise<void> {
    await this.run(insertion(table, row), ...Object.values(row));
  }

  async keep(tables: readonly string[]): Promise<() => Promise<void>> {
    const kept: (readonly [string, string])[] = [];
    for (const table of tables) {
      const [row] = await this.rows<{ kept: string }>(
        `SELECT coalesce(json_agg(it), '[]')::text AS kept FROM ${table} AS it`,
      );
      kept.push([table, row?.kept ?? "[]"]);
    }
    return async () => {
      await this.#client.query("BEGIN");
      for (const [table, rows] of kept) {
        await this.#client.query(`DELETE FROM ${table}`);
        await this.#client.query(`INSERT INTO ${table} SELECT * FROM json_populate_recordset(NULL::${table}, $1)`, [
          rows,
        ]);
      }
      await this.#client.query("COMMIT");
    };
  }

  close(): Promise<void> {
    return this.#client.end();
  }

  #ask(sql: string, values: readonly RawValue[]): Promise<pg.QueryResult> {
    let at = 0;
    return this.#client.query(
      sql.replaceAll("?", () => `$${String((at += 1))}`),
      [...values],
    );
  }
}

/** As SQLite's driver gives it. */
function toInteger(text: string): number {
  return Number(text);
}
