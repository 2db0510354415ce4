import type Database from "better-sqlite3";
import type { Raw } from "../column.ts";
import type { Connection } from "./open.ts";

const MOST = 1_000;
/** A list of thousands makes a text that is not asked again, and not worth its memory. */
const LONGEST_TEXT = 16_384;

/** Prepared statements of one connection, found again by their text. */
export class Statements {
  readonly #db: Connection;
  readonly #prepared = new Map<string, Database.Statement<Raw[], Record<string, Raw>>>();

  constructor(db: Connection) {
    this.#db = db;
  }

  /** The number of rows changed. */
  run(sql: string, values: readonly Raw[]): number {
    return this.#find(sql).run(...values).changes;
  }

  all(sql: string, values: readonly Raw[]): Record<string, Raw>[] {
    return this.#find(sql).all(...values);
  }

  get(sql: string, values: readonly Raw[]): Record<string, Raw> | null {
    return this.#find(sql).get(...values) ?? null;
  }

  /** The first column of the first row. */
  pluck(sql: string, values: readonly Raw[]): Raw {
    const row = this.get(sql, values);
    return row === null ? null : (Object.values(row)[0] ?? null);
  }

  #find(sql: string): Database.Statement<Raw[], Record<string, Raw>> {
    const known = this.#prepared.get(sql);
    if (known !== undefined) return known;
    const statement = this.#db.prepare<Raw[], Record<string, Raw>>(sql);
    if (sql.length > LONGEST_TEXT) return statement;
    // Shapes are few; lists of scopes make some more. When there are too many, begin anew rather than keep a ledger of use.
    if (this.#prepared.size >= MOST) this.#prepared.clear();
    this.#prepared.set(sql, statement);
    return statement;
  }
}
