import type pg from "pg";

/** A table as the database itself tells of it. */
export interface Table {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** Without `org_id`. */
  readonly key: readonly string[];
  readonly owned: boolean;
  /** Columns of its own, without `org_id`, that refer to another table. */
  readonly refers: readonly string[];
}

/** Every table of every schema that is not the server's own. */
export async function tablesOf(client: pg.Client): Promise<readonly Table[]> {
  const { rows } = await client.query<Omit<Table, "owned">>(`
    SELECT it.oid::regclass::text AS name,
      (SELECT json_agg(json_build_object('name', attname, 'type', format_type(atttypid, NULL)) ORDER BY attnum)
         FROM pg_attribute WHERE attrelid = it.oid AND attnum > 0 AND NOT attisdropped) AS columns,
      (SELECT coalesce(json_agg(attname), '[]') FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
         WHERE conrelid = it.oid AND contype = 'p' AND attname <> 'org_id') AS key,
      (SELECT coalesce(json_agg(DISTINCT attname), '[]') FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
         WHERE conrelid = it.oid AND contype = 'f' AND attname <> 'org_id') AS refers
    FROM pg_class AS it JOIN pg_namespace AS home ON home.oid = it.relnamespace
    WHERE it.relkind IN ('r', 'p', 'f') AND home.nspname NOT LIKE 'pg\\_%' AND home.nspname <> 'information_schema'
    ORDER BY it.relname`);
  return rows.map((row) => ({ ...row, owned: row.columns.some(({ name }) => name === "org_id") }));
}

/**
 * A row of `org` whose ids are all the same `id` and whose texts and numbers are `n`: whatever refers to another row finds
 * the one that was made with the same `id`.
 */
export function rowOf(table: Table, org: Buffer, id: Buffer, n: number): Record<string, unknown> {
  const value = (type: string): unknown =>
    type === "bytea" ? id : type === "text" ? `text-of-${org.toString("hex", 0, 1)}-${String(n)}` : n;
  return Object.fromEntries(table.columns.map(({ name, type }) => [name, name === "org_id" ? org : value(type)]));
}

/** A row that is not there yet, and refers to rows that were made with the id `parent`. */
export function newRowOf(table: Table, org: Buffer, ids: { fresh: Buffer; parent: Buffer }, n: number) {
  const row = rowOf(table, org, ids.parent, n);
  for (const name of table.key) if (Buffer.isBuffer(row[name]) && !table.refers.includes(name)) row[name] = ids.fresh;
  return row;
}

export function insertOf(table: Table, row: Readonly<Record<string, unknown>>): pg.QueryConfig {
  const names = Object.keys(row);
  const places = names.map((_, at) => `$${String(at + 1)}`);
  return {
    text: `INSERT INTO ${table.name} (${names.join(", ")}) VALUES (${places.join(", ")})`,
    values: Object.values(row),
  };
}

/** What a statement came to: the rows that it met or changed, or the SQLSTATE of its refusal. */
export type Came = number | string;

/** In a transaction of its own, which is committed, for the org in `setting` (`null`: without one). */
export async function tried(
  client: pg.Client,
  setting: string | null,
  query: string | pg.QueryConfig,
  end: "COMMIT" | "ROLLBACK" = "COMMIT",
): Promise<Came> {
  await client.query("BEGIN");
  try {
    if (setting !== null) await client.query("SELECT set_config('sallyport.org', $1, true)", [setting]);
    // Several statements in one text have several answers.
    const answers = [await client.query<{ count?: string }>(query)].flat() as pg.QueryResult<{ count?: string }>[];
    await client.query(end);
    const last = answers.at(-1);
    return Number(last?.rows[0]?.count ?? last?.rowCount ?? 0);
  } catch (error) {
    await client.query("ROLLBACK");
    return (error as pg.DatabaseError).code ?? String(error);
  }
}
