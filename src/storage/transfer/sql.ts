import { idToBytes } from "#base";
import type { Id } from "#base";
import type { Raw } from "../column.ts";
import { PROOF_COLUMNS } from "../compile.ts";
import type { Compiled } from "../compile.ts";
import type { Engine } from "../engine.ts";
import { snake } from "../table.ts";
import { TABLES } from "../tables.ts";
import type { TableName } from "../tables.ts";
import { OWN_MARKS } from "./place.ts";

export type RawRow = Readonly<Record<string, Raw>>;

/** Rows only ever come to these: the vault's role may not change what stands there, and nothing does. */
const APPEND_ONLY: ReadonlySet<TableName> = new Set(["exchanges", "auditEvents", "auditCheckpoints"] as const);
/** PostgreSQL takes 65,535 parameters for one statement. */
const MOST_PARAMETERS = 30_000;

/** Every column but the org's, the proof's among them. */
export function columnsOf(table: TableName): readonly string[] {
  const { columns, macs } = TABLES[table];
  return [...Object.keys(columns).map(snake), ...(macs === null ? [] : PROOF_COLUMNS)];
}

export function keyOf(table: TableName): readonly string[] {
  return TABLES[table].key.map(snake);
}

/** Rows in the order of their key: those after one key, at most so many, and not after another. */
export function selectRows(
  kind: Engine["kind"],
  org: Id<"org">,
  table: TableName,
  { after, limit }: { readonly after: readonly Raw[] | null; readonly limit: number },
): Compiled {
  const text = new Text(kind);
  const key = keyOf(table).join(", ");
  const conditions = own(text, org, table);
  if (after !== null) conditions.push(`(${key}) > (${after.map((value) => text.put(value)).join(", ")})`);
  const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
  return text.compiled(
    `SELECT ${columnsOf(table).join(", ")} FROM ${snake(table)}${where} ORDER BY ${key} LIMIT ${String(limit)}`,
  );
}

export function countRows(kind: Engine["kind"], org: Id<"org">, table: TableName): Compiled {
  const text = new Text(kind);
  const conditions = own(text, org, table);
  const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
  return text.compiled(`SELECT count(*) AS count FROM ${snake(table)}${where}`);
}

/** Puts rows there as they are. Those that an earlier attempt has put there become what they are now. */
export function insertRows(
  kind: Engine["kind"],
  org: Id<"org">,
  table: TableName,
  rows: readonly RawRow[],
): readonly Compiled[] {
  const owned = TABLES[table].owner === "org";
  const columns = columnsOf(table);
  const names = owned ? ["org_id", ...columns] : columns;
  const key = owned ? ["org_id", ...keyOf(table)] : keyOf(table);
  const changing = columns.filter((name) => !key.includes(name));
  const again =
    APPEND_ONLY.has(table) || changing.length === 0
      ? "NOTHING"
      : `UPDATE SET ${changing.map((name) => `${name} = excluded.${name}`).join(", ")}`;
  const head = `INSERT INTO ${snake(table)} (${names.join(", ")}) VALUES `;
  const tail = ` ON CONFLICT (${key.join(", ")}) DO ${again}`;
  // SQLite is in this process: one statement that is prepared once is quickest. A server is asked as seldom as may be.
  const each = kind === "sqlite" ? 1 : Math.floor(MOST_PARAMETERS / names.length);
  const statements: Compiled[] = [];
  for (let at = 0; at < rows.length; at += each) {
    const text = new Text(kind);
    const tuples = rows.slice(at, at + each).map((row) => {
      const values = columns.map((name) => row[name] ?? null);
      return `(${(owned ? [idToBytes(org), ...values] : values).map((value) => text.put(value)).join(", ")})`;
    });
    statements.push(text.compiled(`${head}${tuples.join(", ")}${tail}`));
  }
  return statements;
}

/** What is remembered only for a while may be gone at the source by the time of another attempt. */
export function forgetRows(kind: Engine["kind"], org: Id<"org">, table: TableName): Compiled {
  const text = new Text(kind);
  return text.compiled(`DELETE FROM ${snake(table)} WHERE ${own(text, org, table).join(" AND ")}`);
}

/** A statement with its parameters as the engine writes them. */
export class Text {
  readonly #kind: Engine["kind"];
  readonly #values: Raw[] = [];

  constructor(kind: Engine["kind"]) {
    this.#kind = kind;
  }

  put(value: Raw): string {
    this.#values.push(value);
    return this.#kind === "sqlite" ? "?" : `$${String(this.#values.length)}`;
  }

  compiled(sql: string): Compiled {
    return { sql, values: this.#values };
  }
}

/** The org's own rows; of `meta`, those that are the vault's and not the database's. */
function own(text: Text, org: Id<"org">, table: TableName): string[] {
  if (TABLES[table].owner === "org") return [`org_id = ${text.put(idToBytes(org))}`];
  return table === "meta" ? [`name NOT IN (${OWN_MARKS.map((name) => text.put(name)).join(", ")})`] : [];
}
