import { setImmediate as nextTurn } from "node:timers/promises";
import type { Id } from "#base";
import { isVaultError } from "#base";
import { oneOf } from "./query.ts";
import type { Reader } from "./query.ts";
import { TABLES } from "./tables.ts";
import type { TableName } from "./tables.ts";

/** How a proved row stands: the event that it says changed it last, that it is not there, or that it does not prove itself. */
export type ProvedRow = { readonly changedBy: Id<"evt"> } | "gone" | "unproved";

const BATCH = 200;

/** The tables under a MAC. Each has a key of one column, an id, which is also what events call the row. */
export const PROVED_TABLES: readonly { readonly name: TableName; readonly key: string }[] = Object.entries(
  TABLES,
).flatMap(
  ([
    name,
    {
      macs,
      key: [key],
    },
  ]) => (macs === null || key === undefined ? [] : [{ name: name as TableName, key }]),
);

/**
 * Looks up proved rows by the names that events give them (`RowDigest.row`). `null` for a name that no row of such a table
 * can have, or a table that has no proved rows.
 */
export async function* provedRows(
  reader: Reader,
  table: string,
  names: readonly string[],
): AsyncGenerator<readonly [name: string, row: ProvedRow | null]> {
  const [key] = isProved(table) ? TABLES[table].key : [];
  if (!isProved(table) || key === undefined) {
    for (const name of names) yield [name, null];
    return;
  }
  for (let at = 0; at < names.length; at += BATCH) {
    const batch = names.slice(at, at + BATCH);
    const found = await look(reader, table, key, batch).catch(() => null);
    for (const name of batch)
      yield [name, found === null ? await lookAlone(reader, table, key, name) : (found.get(name) ?? "gone")];
    // There may be many, and others are waiting.
    await nextTurn();
  }
}

function isProved(table: string): table is TableName {
  return Object.hasOwn(TABLES, table) && TABLES[table as TableName].macs !== null;
}

async function look(
  reader: Reader,
  table: TableName,
  key: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, ProvedRow>> {
  const rows = await reader.list(table, { where: { [key]: oneOf(names) } });
  return new Map(
    rows.map((row) => {
      const values = row as unknown as Readonly<Record<string, string>>;
      return [values[key] ?? "", { changedBy: values.changedBy as Id<"evt"> }];
    }),
  );
}

/** One row of a batch of which one at least does not prove itself. */
async function lookAlone(reader: Reader, table: TableName, key: string, name: string): Promise<ProvedRow | null> {
  try {
    return (await look(reader, table, key, [name])).get(name) ?? "gone";
  } catch (error) {
    if (isVaultError(error, "integrity_failed")) return "unproved";
    if (error instanceof TypeError) return null;
    throw error;
  }
}
