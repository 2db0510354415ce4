import { VaultError } from "#base";
import type { Id } from "#base";
import { holdsNul } from "./column.ts";
import type { Column, Raw } from "./column.ts";

type Columns = Readonly<Record<string, Column<unknown>>>;

export interface TableSpec<C> {
  readonly columns: C;
  /** Identifies a row within its org. */
  readonly key: readonly (keyof C & string)[];
  /**
   * `org`: every row has an `orgId`, which the store sets and asks for by itself. `directory`: the instance's own list of
   * orgs, and what it knows of itself.
   */
  readonly owner: "org" | "directory";
  /**
   * For rows that grant power: the columns that the row's MAC covers, in order, by MAC version. The newest is written; the
   * older ones are still read. A column that is not listed proves nothing.
   */
  readonly macs: Readonly<Record<number, readonly (keyof C & string)[]>> | null;
  /** Columns that may change without an event: when something was last used, how often a key was. Never under a MAC. */
  readonly unaudited: readonly (keyof C & string)[];
  /** Rows that are only remembered for a while: the column that tells since when, and how long, in ms. Pruned without an event. */
  readonly lasts: { readonly since: keyof C & string; readonly ms: number } | null;
  /** May be read before there is a permit, by the rooms that decide whether there is one. */
  readonly fact: boolean;
}

export type ColumnValue<C> = C extends Column<infer T> ? T : never;
export type RowOf<S> =
  S extends TableSpec<infer C> ? { readonly [K in keyof C]: ColumnValue<C[K]> } & Changed<S> : never;
type Changed<S> = S extends { readonly macs: null } ? unknown : { readonly changedBy: Id<"evt"> };

/** What is given to write a row: `changedBy` is the store's to say. */
export type Draft<S> = S extends TableSpec<infer C> ? { readonly [K in keyof C]: ColumnValue<C[K]> } : never;

/** `createdAt` in the program is `created_at` in the database. */
export function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** @throws {VaultError} `internal` for a value that its column does not have: a driver might write something in its place. */
export function encodeRow(columns: Columns, row: Readonly<Record<string, unknown>>): Record<string, Raw> {
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => {
      const raw = column.encode(row[name]);
      if (!isRaw(raw)) throw new VaultError("internal", `A value of the column ${name} is of no type that is stored.`);
      if (holdsNul(raw)) throw new VaultError("invalid_input", `A text for the column ${name} holds U+0000.`);
      return [name, raw];
    }),
  );
}

function isRaw(value: unknown): value is Raw {
  return value === null || Buffer.isBuffer(value) || ["string", "number", "bigint"].includes(typeof value);
}

export function decodeRow(columns: Columns, raw: Readonly<Record<string, Raw>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [name, column.decode(raw[snake(name)] ?? null)]),
  );
}
