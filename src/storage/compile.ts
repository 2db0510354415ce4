import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteQueryCompiler,
  sql,
} from "kysely";
import type { ExpressionBuilder, ExpressionWrapper, SqlBool } from "kysely";
import { holdsNul } from "./column.ts";
import type { Column, Raw } from "./column.ts";
import type { Engine } from "./engine.ts";
import type { Comparison, Query, ScopeSet } from "./query.ts";
import { snake } from "./table.ts";
import { TABLES } from "./tables.ts";
import type { TableName } from "./tables.ts";

/** Any table, any column: the names come from the declarations, never from input. */
type AnyDatabase = Record<string, Record<string, Raw>>;
type Builder = ExpressionBuilder<AnyDatabase, string>;
type Condition = ExpressionWrapper<AnyDatabase, string, SqlBool>;

export interface Compiled {
  readonly sql: string;
  readonly values: readonly Raw[];
}

/** The columns a MAC'd row has beside its own. */
export const PROOF_COLUMNS = ["changed_by", "mac_version", "mac_key", "mac"] as const;

function isComparison(value: unknown): value is Comparison<unknown> {
  // Own, because every Buffer inherits a method of this name.
  return typeof value === "object" && value !== null && Object.hasOwn(value, "compare");
}

function columnOf(table: TableName, name: string): Column<unknown> {
  if (name === "changedBy") return TABLES.auditEvents.columns.id;
  const column = (TABLES[table].columns as Readonly<Record<string, Column<unknown> | undefined>>)[name];
  if (column === undefined) throw new TypeError(`${table} has no column ${name}`);
  return column;
}

/**
 * Turns queries and commands into SQL text and parameters, for either engine, with the org's own condition on every table
 * of an org. The text depends on the query's shape alone, so the engines' prepared statements are found again by it.
 */
export class Compiler {
  readonly #db: Kysely<AnyDatabase>;

  constructor(kind: Engine["kind"]) {
    this.#db = new Kysely<AnyDatabase>({
      dialect: {
        createAdapter: () => (kind === "sqlite" ? new SqliteAdapter() : new PostgresAdapter()),
        createDriver: () => new DummyDriver(),
        createIntrospector: () => {
          throw new Error("only compiles");
        },
        createQueryCompiler: () => (kind === "sqlite" ? new SqliteQueryCompiler() : new PostgresQueryCompiler()),
      },
    });
  }

  select(table: TableName, org: Raw, query: Query<TableName>): Compiled {
    const spec = TABLES[table];
    const columns = [...Object.keys(spec.columns).map(snake), ...(spec.macs === null ? [] : PROOF_COLUMNS)];
    const order = query.order ?? [];
    const direction = query.descending === true ? "desc" : "asc";
    let select = this.#db
      .selectFrom(snake(table))
      .select(columns)
      .where((eb) => this.#conditions(eb, table, org, query));
    for (const name of order) select = select.orderBy(snake(name), direction);
    if (query.limit !== undefined) select = select.limit(query.limit);
    return toCompiled(select.compile());
  }

  count(table: TableName, org: Raw, where: Readonly<Record<string, unknown>>): Compiled {
    return toCompiled(
      this.#db
        .selectFrom(snake(table))
        .select((eb) => eb.fn.countAll().as("count"))
        .where((eb) => this.#conditions(eb, table, org, { where }))
        .compile(),
    );
  }

  insert(table: TableName, row: Readonly<Record<string, Raw>>): Compiled {
    return toCompiled(this.#db.insertInto(snake(table)).values(row).compile());
  }

  update(
    table: TableName,
    org: Raw,
    where: Readonly<Record<string, unknown>>,
    set: Readonly<Record<string, Raw>>,
  ): Compiled {
    return toCompiled(
      this.#db
        .updateTable(snake(table))
        .set(set)
        .where((eb) => this.#conditions(eb, table, org, { where }))
        .compile(),
    );
  }

  delete(table: TableName, org: Raw, where: Readonly<Record<string, unknown>>): Compiled {
    return toCompiled(
      this.#db
        .deleteFrom(snake(table))
        .where((eb) => this.#conditions(eb, table, org, { where }))
        .compile(),
    );
  }

  raiseEpoch(org: Raw): Compiled {
    return toCompiled(
      this.#db
        .updateTable("epochs")
        .set((eb) => ({ epoch: eb("epoch", "+", 1) }))
        .where("org_id", "=", org)
        .compile(),
    );
  }

  /** Adds to a counting column, atomically. */
  increment(
    table: TableName,
    org: Raw,
    where: Readonly<Record<string, unknown>>,
    column: string,
    by: number,
  ): Compiled {
    return toCompiled(
      this.#db
        .updateTable(snake(table))
        .set((eb) => ({ [snake(column)]: eb(snake(column), "+", by) }))
        .where((eb) => this.#conditions(eb, table, org, { where }))
        .compile(),
    );
  }

  #conditions(eb: Builder, table: TableName, org: Raw, query: Query<TableName>): Condition {
    const all: Condition[] = [];
    if (TABLES[table].owner === "org") all.push(eb.and([eb("org_id", "=", org)]));
    all.push(...matches(eb, table, query.where ?? {}));
    if (query.scopes !== undefined || query.anyOf !== undefined) {
      const scopes = query.scopes === undefined ? [] : [inScopes(eb, query.scopes)];
      all.push(eb.or([...scopes, ...(query.anyOf ?? []).map((one) => eb.and(matches(eb, table, one)))]));
    }
    if (query.newest !== undefined) all.push(newestOf(eb, table, query.newest));
    if (query.after !== undefined) all.push(past(eb, table, query.order ?? [], query.after, query.descending === true));
    return eb.and(all);
  }
}

function toCompiled(query: { readonly sql: string; readonly parameters: readonly unknown[] }): Compiled {
  return { sql: query.sql, values: query.parameters as readonly Raw[] };
}

function matches(eb: Builder, table: TableName, where: Readonly<Record<string, unknown>>): Condition[] {
  const all: Condition[] = [];
  for (const [name, wanted] of Object.entries(where)) {
    if (wanted === undefined) continue;
    const column = columnOf(table, name);
    const encode = (value: unknown): Raw => column.encode(value);
    const key = snake(name);
    if (wanted === null) all.push(eb.and([eb(key, "is", null)]));
    else if (!isComparison(wanted)) all.push(equals(eb, key, encode(wanted)));
    else all.push(compared(eb, key, wanted, encode));
  }
  return all;
}

/** No row holds a text with U+0000, and one engine takes no such parameter. */
function equals(eb: Builder, key: string, value: Raw): Condition {
  return holdsNul(value) ? eb.or([]) : eb.and([eb(key, "=", value)]);
}

function compared(eb: Builder, key: string, wanted: Comparison<unknown>, encode: (value: unknown) => Raw): Condition {
  switch (wanted.compare) {
    case "in":
    case "not in":
      return inList(
        eb,
        key,
        wanted.compare,
        wanted.value.map(encode).filter((one) => !holdsNul(one)),
      );
    case "prefix":
      // A range and not LIKE: byte order, the index, and no pattern characters.
      if (holdsNul(wanted.value)) return eb.or([]);
      return eb.and([eb(key, ">=", wanted.value), eb(key, "<", `${wanted.value}\u{10ffff}`)]);
    case "part":
      if (holdsNul(wanted.value)) return eb.or([]);
      return part(eb, key, wanted.value);
    case "between": {
      const ends = [
        ...(wanted.above === undefined ? [] : [eb(key, ">", encode(wanted.above))]),
        ...(wanted.below === undefined ? [] : [eb(key, "<", encode(wanted.below))]),
      ];
      return wanted.orNone === true ? eb.or([eb(key, "is", null), eb.and(ends)]) : eb.and(ends);
    }
    case "all":
      return eb.and(wanted.value.map((one) => compared(eb, key, one, encode)));
    case ">":
    case "<":
      return eb.and([eb(key, wanted.compare, encode(wanted.value))]);
  }
}

/** LIKE with both sides in small letters, since one engine tells capitals and the other does not; nothing is a pattern. */
function part(eb: Builder, key: string, text: string): Condition {
  const pattern = `%${text.replace(/[A-Z]/g, (letter) => letter.toLowerCase()).replace(/[\\%_]/g, (letter) => `\\${letter}`)}%`;
  return eb.and([sql<SqlBool>`lower(${sql.ref(key)}) like ${pattern} escape '\\'`]);
}

/** There is no row of the same `of` with a greater `by`. */
function newestOf(eb: Builder, table: TableName, { of, by }: { readonly of: string; readonly by: string }): Condition {
  const outer = snake(table);
  const same = (name: string) => sql`newer.${sql.ref(snake(name))} = ${sql.ref(`${outer}.${snake(name)}`)}`;
  const org = TABLES[table].owner === "org" ? sql`newer.org_id = ${sql.ref(`${outer}.org_id`)} and ` : sql``;
  const greater = sql`newer.${sql.ref(snake(by))} > ${sql.ref(`${outer}.${snake(by)}`)}`;
  return eb.and([
    sql<SqlBool>`not exists (select 1 from ${sql.table(outer)} as newer where ${org}${same(of)} and ${greater})`,
  ]);
}

/** `in ()` is true of nothing and `not in ()` of everything; not every engine parses them. */
function inList(eb: Builder, key: string, compare: "in" | "not in", values: readonly Raw[]): Condition {
  if (values.length === 0) return compare === "in" ? eb.or([]) : eb.and([]);
  if (compare === "in") return eb.and([eb(key, "in", values)]);
  // A row that has none is in no list, which SQL alone would leave undecided.
  return eb.or([eb(key, "is", null), eb(key, "not in", values)]);
}

/** No scope at all is no row at all. */
function inScopes(eb: Builder, scopes: ScopeSet): Condition {
  if (scopes.all) return eb.and([]);
  return eb.or(
    scopes.groups.map((group) =>
      eb.and([
        inList(
          eb,
          "environment_id",
          "in",
          group.environments.map((one) => TABLES.environments.columns.id.encode(one)),
        ),
        inList(
          eb,
          "namespace_id",
          "in",
          group.namespaces.map((one) => TABLES.namespaces.columns.id.encode(one)),
        ),
      ]),
    ),
  );
}

/** `(a, b) > (x, y)`: what comes after a row in the order of these columns. */
function past(
  eb: Builder,
  table: TableName,
  order: readonly string[],
  after: readonly unknown[],
  descending: boolean,
): Condition {
  if (after.length !== order.length) throw new TypeError("a cursor names each ordering column");
  const left = sql.join(order.map((name) => sql.ref(snake(name))));
  const right = sql.join(order.map((name, at) => columnOf(table, name).encode(after[at])));
  const sign = sql.raw(descending ? "<" : ">");
  return eb.and([sql<SqlBool>`(${left}) ${sign} (${right})`]);
}
