import { VaultError } from "#base";
import { holdsNul } from "./column.ts";
import type { Raw } from "./column.ts";
import type { Query, Reader } from "./query.ts";
import { TABLES } from "./tables.ts";
import type { Row, TableName } from "./tables.ts";

export interface PageRequest {
  /** The cursor that the page before gave. */
  readonly after?: string | undefined;
  /** 100 unless said. */
  readonly limit?: number | undefined;
}

export interface Page<T> {
  readonly items: readonly T[];
  /** The cursor of the next page, or `null` at the end. */
  readonly next: string | null;
}

const DEFAULT_LIMIT = 100;

/**
 * One page of a query, in the order of the given columns, which together must tell any two rows apart. The cursor holds
 * the last row's place in the order, so rows that come or go meanwhile shift nothing.
 *
 * @throws {VaultError} `invalid_input` for a cursor that is not one of this list.
 */
export async function listPage<T extends TableName>(
  reader: Reader,
  table: T,
  query: Omit<Query<T>, "after" | "limit" | "order"> & { readonly order: readonly (keyof Row<T> & string)[] },
  request: PageRequest,
): Promise<Page<Row<T>>> {
  const limit = request.limit ?? DEFAULT_LIMIT;
  const after = request.after === undefined ? undefined : decodeCursor(table, query.order, request.after);
  const rows = await reader.list(table, { ...query, after, limit: limit + 1 });
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last !== undefined ? encodeCursor(table, query.order, last) : null };
}

type Encoder = { encode(value: unknown): Raw; decode(raw: Raw): unknown } | undefined;

function columnsOf(table: TableName, order: readonly string[]): Encoder[] {
  const columns = TABLES[table].columns as Readonly<Record<string, Encoder>>;
  return order.map((name) => columns[name]);
}

function encodeCursor(table: TableName, order: readonly string[], row: Readonly<Record<string, unknown>>): string {
  const raws = columnsOf(table, order).map((column, at) => column?.encode(row[order[at] ?? ""]) ?? null);
  const text = JSON.stringify(raws.map((raw) => (Buffer.isBuffer(raw) ? { b: raw.toString("base64url") } : raw)));
  return Buffer.from(text).toString("base64url");
}

function decodeCursor(table: TableName, order: readonly string[], cursor: string): unknown[] {
  try {
    const raws: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (!Array.isArray(raws) || raws.length !== order.length) throw new TypeError("another list's cursor");
    return columnsOf(table, order).map((column, at) => {
      const value = column?.decode(rawOf(raws[at]));
      if (
        value instanceof Date
          ? Number.isNaN(value.getTime())
          : typeof value === "number" && !Number.isSafeInteger(value)
      )
        throw new TypeError("not a place in the order");
      if (holdsNul(value)) throw new TypeError("no text of a row");
      return value;
    });
  } catch (error) {
    throw new VaultError("invalid_input", "The cursor is not one of this list.", {
      detail: { faults: [{ field: "after", message: "not a cursor of this list" }] },
      cause: error,
    });
  }
}

/** One place of a cursor. Anybody can write one, so nothing but texts, numbers and bytes as text gets past here. */
function rawOf(part: unknown): Raw {
  if (typeof part === "string" || typeof part === "number") return part;
  if (typeof part === "object" && part !== null && "b" in part && typeof part.b === "string")
    return Buffer.from(part.b, "base64url");
  throw new TypeError("not a place in the order");
}
