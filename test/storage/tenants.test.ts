import { randomBytes } from "node:crypto";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrateDatabase, readAddress } from "#storage";
import { postgresDatabase } from "../postgres/database.ts";
import { connect } from "../postgres/server.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { insertOf, newRowOf, rowOf, tablesOf, tried } from "./tenant-rows.ts";
import type { Came, Table } from "./tenant-rows.ts";

/** Tables of no org, and what the vault's role may do with each. A table that is in neither kind fails a test. */
const DIRECTORY: Readonly<Record<string, readonly string[]>> = {
  kysely_migration: ["SELECT"],
  kysely_migration_lock: [],
  meta: ["INSERT", "SELECT", "UPDATE"],
  nodes: ["INSERT", "SELECT", "UPDATE"],
  orgs: ["INSERT", "SELECT", "UPDATE"],
};
/** What was written there stays as it is. */
const APPEND_ONLY = ["audit_checkpoints", "audit_events", "exchanges"];

const [A, B] = [Buffer.alloc(16, 0xaa), Buffer.alloc(16, 0xbb)];
const [inA, inB] = [A.toString("hex"), B.toString("hex")];
/** Rows of each org in each table: two, and a third in those that others refer to. */
const [ONE, TWO, PARENT] = [1, 2, 3].map((n) => Buffer.alloc(16, n)) as [Buffer, Buffer, Buffer];
const FRESH = Buffer.alloc(16, 9);

const DENIED = "42501";

let database: VaultDatabase;
/** As the vault's role; as the superuser; as the owner. */
let app: pg.Client;
let root: pg.Client;
let owner: pg.Client;
let tables: readonly Table[];
let owned: readonly Table[];

beforeAll(async () => {
  database = await postgresDatabase();
  await migrateDatabase(readAddress(database.ownerUrl));
  [app, root, owner] = await Promise.all([
    connect(database.url),
    connect(database.superuserUrl),
    connect(database.ownerUrl),
  ]);
  tables = await tablesOf(root);
  owned = tables.filter((table) => table.owned);
  const { rows } = await root.query<{ name: string }>(
    "SELECT DISTINCT confrelid::regclass::text AS name FROM pg_constraint WHERE contype = 'f'",
  );
  const parents = rows.map(({ name }) => name);
  // Rows refer to rows that come later in the alphabet.
  await root.query("SET session_replication_role = replica");
  for (const table of owned)
    for (const org of [A, B])
      for (const [at, id] of [ONE, TWO, ...(parents.includes(table.name) ? [PARENT] : [])].entries())
        await root.query(insertOf(table, rowOf(table, org, id, at + 1)));
  await root.query("SET session_replication_role = origin");
  await root.query("ANALYZE");
});
afterAll(async () => {
  await Promise.all([app, root, owner].map((client) => client.end()));
  await database.remove();
});

/** Everything in the database, and every right and policy on it. */
async function digest(): Promise<Readonly<Record<string, unknown>>> {
  const parts: Record<string, unknown> = {};
  const look = async (name: string, it: string): Promise<void> => {
    const { rows } = await root.query(
      `SELECT md5(coalesce(string_agg(it::text, '|' ORDER BY it::text), '')) AS md5 FROM ${it} AS it`,
    );
    parts[name] = rows;
  };
  for (const { name } of tables) await look(name, name);
  const ours = "(SELECT oid FROM pg_roles WHERE rolname LIKE 'sallyport%')";
  await look(
    "relations",
    "(SELECT oid, relname, relacl::text, relrowsecurity, relowner FROM pg_class WHERE relnamespace = 'public'::regnamespace)",
  );
  await look("policies", "(SELECT * FROM pg_policies)");
  await look("members", `(SELECT * FROM pg_auth_members WHERE member IN ${ours})`);
  await look("roles", `(SELECT * FROM pg_authid WHERE oid IN ${ours})`);
  return parts;
}

async function held(table: Table, org: Buffer): Promise<number> {
  const { rows } = await root.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table.name} WHERE org_id = $1`, [
    org,
  ]);
  return rows[0]?.n ?? 0;
}

const hex = (bytes: Buffer): string => `'\\x${bytes.toString("hex")}'::bytea`;
const literal = (value: unknown): string =>
  Buffer.isBuffer(value) ? hex(value) : typeof value === "string" ? `'${value}'` : String(value);
const columnOf = (table: Table): string => table.columns.find(({ name }) => name !== "org_id")?.name ?? "";

/** A row of B, as B's key has it (it stands there already) or with a key that is new. */
const ofB = (table: Table, kind: "taken" | "new"): Record<string, unknown> =>
  kind === "taken" ? rowOf(table, B, ONE, 1) : newRowOf(table, B, { fresh: FRESH, parent: PARENT }, 9);

const inserted = (table: Table, row: Readonly<Record<string, unknown>>): string =>
  `INSERT INTO ${table.name} (${Object.keys(row).join(", ")}) VALUES (${Object.values(row).map(literal).join(", ")})`;

/** Every verb against the rows of B: what it may come to for somebody who is not B. */
const AGAINST_B: Readonly<Record<string, { sql: (table: Table) => string; may: readonly Came[] }>> = {
  SELECT: { sql: (t) => `SELECT count(*) FROM ${t.name} WHERE org_id = ${hex(B)}`, may: [0] },
  "SELECT by key": {
    sql: (t) => `SELECT * FROM ${t.name} WHERE org_id = ${hex(B)} AND ${columnOf(t)} IS NOT NULL`,
    may: [0],
  },
  "SELECT through a join": {
    sql: (t) => `SELECT 1 FROM orgs RIGHT JOIN ${t.name} AS it ON true WHERE it.org_id = ${hex(B)}`,
    may: [0],
  },
  "SELECT by place": {
    sql: (t) => `SELECT * FROM ${t.name} WHERE ctid IN ('(0,3)', '(0,4)', '(0,5)', '(0,6)') AND org_id <> ${hex(A)}`,
    may: [0],
  },
  TABLESAMPLE: { sql: (t) => `SELECT * FROM ${t.name} TABLESAMPLE system (100) WHERE org_id <> ${hex(A)}`, may: [0] },
  "FOR UPDATE": { sql: (t) => `SELECT * FROM ${t.name} WHERE org_id = ${hex(B)} FOR UPDATE`, may: [0, DENIED] },
  "FOR KEY SHARE": { sql: (t) => `SELECT * FROM ${t.name} WHERE org_id = ${hex(B)} FOR KEY SHARE`, may: [0, DENIED] },
  "COPY TO": { sql: (t) => `COPY (SELECT * FROM ${t.name} WHERE org_id <> ${hex(A)}) TO STDOUT`, may: [0] },
  "COPY FROM": { sql: (t) => `COPY ${t.name} FROM STDIN`, may: ["0A000"] },
  INSERT: { sql: (t) => inserted(t, ofB(t, "new")), may: [DENIED] },
  "INSERT of a taken key": { sql: (t) => inserted(t, ofB(t, "taken")), may: [DENIED] },
  "INSERT … SELECT": {
    sql: (t) => `INSERT INTO ${t.name} SELECT * FROM ${t.name} WHERE org_id <> ${hex(A)}`,
    may: [0],
  },
  "ON CONFLICT DO NOTHING": { sql: (t) => `${inserted(t, ofB(t, "taken"))} ON CONFLICT DO NOTHING`, may: [DENIED] },
  "ON CONFLICT DO UPDATE": {
    sql: (t) =>
      `${inserted(t, ofB(t, "taken"))} ON CONFLICT (${["org_id", ...t.key].join(", ")}) DO UPDATE SET org_id = excluded.org_id`,
    may: [DENIED],
  },
  UPDATE: {
    sql: (t) => `UPDATE ${t.name} SET ${columnOf(t)} = ${columnOf(t)} WHERE org_id <> ${hex(A)}`,
    may: [0, DENIED],
  },
  "UPDATE … FROM": {
    sql: (t) => `UPDATE ${t.name} AS it SET org_id = ${hex(A)} FROM ${t.name} AS other WHERE it.org_id = ${hex(B)}`,
    may: [0, DENIED],
  },
  "UPDATE org_id": { sql: (t) => `UPDATE ${t.name} SET org_id = ${hex(A)} WHERE org_id = ${hex(B)}`, may: [0, DENIED] },
  DELETE: { sql: (t) => `DELETE FROM ${t.name} WHERE org_id <> ${hex(A)}`, may: [0, DENIED] },
  "DELETE … USING": {
    sql: (t) => `DELETE FROM ${t.name} AS it USING orgs WHERE it.org_id = ${hex(B)}`,
    may: [0, DENIED],
  },
  "MERGE UPDATE": {
    sql: (t) =>
      `MERGE INTO ${t.name} AS it USING (SELECT ${hex(B)} AS org) AS x ON it.org_id = x.org WHEN MATCHED THEN UPDATE SET org_id = ${hex(A)}`,
    may: [0, DENIED],
  },
  "MERGE DELETE": {
    sql: (t) =>
      `MERGE INTO ${t.name} AS it USING (SELECT ${hex(B)} AS org) AS x ON it.org_id = x.org WHEN MATCHED THEN DELETE`,
    may: [0, DENIED],
  },
  "MERGE INSERT": {
    sql: (t) => {
      const row = ofB(t, "new");
      return `MERGE INTO ${t.name} AS it USING (SELECT ${hex(B)} AS org) AS x ON it.org_id = x.org WHEN NOT MATCHED THEN
        INSERT (${Object.keys(row).join(", ")}) VALUES (${Object.values(row).map(literal).join(", ")})`;
    },
    may: [DENIED],
  },
  TRUNCATE: { sql: (t) => `TRUNCATE ${t.name} CASCADE`, may: [DENIED] },
  "a CTE that deletes": {
    sql: (t) => `WITH gone AS (DELETE FROM ${t.name} WHERE org_id = ${hex(B)} RETURNING 1) SELECT count(*) FROM gone`,
    may: [0, DENIED],
  },
  DO: {
    sql: (t) =>
      `DO $$ BEGIN IF EXISTS (SELECT FROM ${t.name} WHERE org_id = ${hex(B)}) THEN RAISE EXCEPTION USING ERRCODE = 'P0001'; END IF; END $$`,
    may: [0],
  },
  XML: {
    sql: (t) =>
      `SELECT count(*) FROM xmltable('//row' PASSING query_to_xml('SELECT 1 FROM ${t.name} WHERE org_id = ${hex(B).replaceAll("'", "''")}', false, false, '') COLUMNS a text)`,
    may: [0, "0A000"],
  },
  "row_security = off": {
    sql: (t) => `SET LOCAL row_security = off; SELECT count(*) FROM ${t.name}`,
    may: [0, DENIED],
  },
};

describe("every table with org_id, for the vault's role (R18, R20)", () => {
  it("is under one policy for every verb, which asks for the org of the row, read and written; there is no table that is neither an org's nor the instance's", async () => {
    expect(tables.filter((table) => !table.owned).map(({ name }) => name)).toEqual(Object.keys(DIRECTORY));
    expect(owned.length).toBeGreaterThanOrEqual(20);
    const { rows } = await root.query(`
      SELECT it.relname AS name, it.relrowsecurity AS on, p.policyname, p.permissive, p.roles::text, p.cmd, p.qual, p.with_check
      FROM pg_class AS it LEFT JOIN pg_policies AS p ON p.tablename = it.relname AND p.schemaname = 'public'
      WHERE it.relkind IN ('r', 'p') AND it.relnamespace = 'public'::regnamespace ORDER BY it.relname`);
    const org = "(org_id = decode(NULLIF(current_setting('sallyport.org'::text, true), ''::text), 'hex'::text))";
    const rule = {
      on: true,
      policyname: "tenant",
      permissive: "PERMISSIVE",
      roles: "{public}",
      cmd: "ALL",
      qual: org,
      with_check: org,
    };
    const none = {
      on: false,
      policyname: null,
      permissive: null,
      roles: null,
      cmd: null,
      qual: null,
      with_check: null,
    };
    expect(rows).toEqual(tables.map(({ name, owned: isOwned }) => ({ name, ...(isOwned ? rule : none) })));
  });

  it("gives that role reading and writing and no right beyond, and to what is only appended to, no change", async () => {
    const verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
    const has = async ({ name }: Table): Promise<readonly string[]> => {
      const { rows } = await app.query<{ verb: string }>(
        "SELECT verb FROM unnest($2::text[]) AS verb WHERE has_table_privilege($1::regclass, verb) OR (verb <> 'DELETE' AND verb <> 'TRUNCATE' AND verb <> 'TRIGGER' AND has_any_column_privilege($1::regclass, verb)) ORDER BY verb",
        [name, verbs],
      );
      return rows.map(({ verb }) => verb);
    };
    for (const table of tables)
      expect([table.name, await has(table)]).toEqual([
        table.name,
        DIRECTORY[table.name] ??
          (APPEND_ONLY.includes(table.name) ? ["INSERT", "SELECT"] : ["DELETE", "INSERT", "SELECT", "UPDATE"]),
      ]);
  });

  it.each([
    ["without an org", null],
    ["with another org", inA],
  ])("%s: no verb sees, changes, takes away or writes a row of B, in any table", async (_, setting) => {
    const before = await digest();
    let n = 0;
    for (const table of owned)
      for (const [verb, { sql, may }] of Object.entries(AGAINST_B)) {
        const came = await tried(app, setting, sql(table));
        expect(may, `${verb} on ${table.name} came to ${String(came)}`).toContain(came);
        n += 1;
      }
    expect(await digest()).toEqual(before);
    expect(n).toBe(owned.length * Object.keys(AGAINST_B).length);
    // The same statements, for B: what was refused or met nothing above is there.
    for (const table of owned) {
      const rows = await held(table, B);
      expect(rows).toBeGreaterThanOrEqual(2);
      for (const verb of ["SELECT", "SELECT by key", "COPY TO", "TABLESAMPLE"])
        expect([table.name, verb, await tried(app, inB, AGAINST_B[verb]?.sql(table) ?? "")]).toEqual([
          table.name,
          verb,
          rows,
        ]);
    }
  });

  it("without an org, not even a row of nobody is seen or written", async () => {
    for (const table of owned) {
      expect(await tried(app, null, `SELECT count(*) FROM ${table.name}`)).toBe(0);
      for (const org of [A, B, Buffer.alloc(16), Buffer.alloc(0)])
        expect(await tried(app, null, inserted(table, { ...ofB(table, "new"), org_id: org }))).toBe(DENIED);
    }
  });

  it("with org A: its rows are seen, added, changed and taken away, as far as the table allows", async () => {
    for (const table of owned) {
      const rows = await held(table, A);
      const can = !APPEND_ONLY.includes(table.name);
      const name = columnOf(table);
      const fresh = newRowOf(table, A, { fresh: FRESH, parent: PARENT }, 9);
      const came = {
        seen: await tried(app, inA, `SELECT count(*) FROM ${table.name}`),
        locked: await tried(app, inA, `SELECT * FROM ${table.name} FOR UPDATE`, "ROLLBACK"),
        added: await tried(app, inA, inserted(table, fresh), "ROLLBACK"),
        changed: await tried(app, inA, `UPDATE ${table.name} SET ${name} = ${name}`, "ROLLBACK"),
        moved: await tried(app, inA, `UPDATE ${table.name} SET org_id = ${hex(B)}`, "ROLLBACK"),
        truncated: await tried(app, inA, `TRUNCATE ${table.name} CASCADE`, "ROLLBACK"),
      };
      const changed = can ? rows : DENIED;
      const wanted = { seen: rows, locked: changed, added: 1, changed, moved: DENIED, truncated: DENIED };
      expect([table.name, came]).toEqual([table.name, wanted]);
      // A row that nothing refers to.
      await app.query("BEGIN");
      await app.query("SELECT set_config('sallyport.org', $1, true)", [inA]);
      await app.query(insertOf(table, fresh));
      const gone = app.query(
        `DELETE FROM ${table.name} WHERE ${table.key.map((key) => `${key} = ${literal(fresh[key])}`).join(" AND ")}`,
      );
      if (can) expect((await gone).rowCount).toBe(1);
      else await expect(gone).rejects.toMatchObject({ code: DENIED });
      await app.query("ROLLBACK");
    }
  });

  it.each(APPEND_ONLY)(
    "lets nobody who serves change, take away or lock a row of %s, of his own org either",
    async (name) => {
      const before = await digest();
      const [table] = owned.filter((one) => one.name === name);
      if (table === undefined) throw new Error(`there is no table ${name}`);
      const column = columnOf(table);
      for (const sql of [
        `UPDATE ${name} SET ${column} = ${column}`,
        `DELETE FROM ${name}`,
        `DELETE FROM ${name} WHERE false`,
        `TRUNCATE ${name}`,
        `SELECT * FROM ${name} FOR SHARE`,
        `MERGE INTO ${name} AS it USING (SELECT 1) AS x ON true WHEN MATCHED THEN DELETE`,
        `${inserted(table, rowOf(table, A, ONE, 1))} ON CONFLICT (org_id, ${table.key.join(", ")}) DO UPDATE SET ${column} = excluded.${column}`,
        `ALTER TABLE ${name} DISABLE TRIGGER ALL`,
      ])
        expect([sql, await tried(app, inA, sql)]).toEqual([sql, DENIED]);
      expect(await digest()).toEqual(before);
    },
  );
});

describe("what is told of another org's rows", () => {
  it("is the same whether they are there or not: by a reference, by a name that is taken, by an id", async () => {
    const { rows: references } = await root.query<{ child: string; columns: string[] }>(`
      SELECT conrelid::regclass::text AS child, (SELECT json_agg(attname) FROM pg_attribute
        WHERE attrelid = conrelid AND attnum = ANY (conkey) AND attname <> 'org_id') AS columns FROM pg_constraint WHERE contype = 'f'`);
    // What only B has, and what nobody has.
    const onlyB = Buffer.alloc(16, 0x77);
    await root.query("SET session_replication_role = replica");
    for (const table of owned) await root.query(insertOf(table, rowOf(table, B, onlyB, 7)));
    await root.query("SET session_replication_role = origin");
    expect(references.length).toBeGreaterThanOrEqual(10);
    const told = async (table: Table, row: Readonly<Record<string, unknown>>): Promise<unknown> => {
      await app.query("BEGIN");
      await app.query("SELECT set_config('sallyport.org', $1, true)", [inA]);
      const came = await app.query(insertOf(table, row)).then(
        () => "done",
        (error: unknown) => {
          const { code, message, detail } = error as pg.DatabaseError;
          return { code, message, detail };
        },
      );
      await app.query("ROLLBACK");
      return came;
    };
    for (const { child, columns } of references) {
      const table = owned.find(({ name }) => name === child);
      if (table === undefined) throw new Error(`${child} is no org's`);
      const pointing = (to: Buffer): Record<string, unknown> => ({
        ...newRowOf(table, A, { fresh: FRESH, parent: PARENT }, 9),
        ...Object.fromEntries(columns.map((column) => [column, to])),
      });
      const there = await told(table, pointing(onlyB));
      expect(there).toMatchObject({ code: "23503" });
      expect(there).toEqual(await told(table, pointing(randomBytes(16))));
      expect(JSON.stringify(there)).not.toContain("77777777");
      expect(await told(table, pointing(PARENT))).toBe("done");
    }
    // The same id, the same name and the same digest as a row of B.
    for (const table of owned) {
      const row = { ...newRowOf(table, A, { fresh: onlyB, parent: PARENT }, 7) };
      for (const { name, type } of table.columns) if (type === "text") row[name] = rowOf(table, B, onlyB, 7)[name];
      expect([table.name, await told(table, row)]).toEqual([table.name, "done"]);
    }
    await root.query("SET session_replication_role = replica");
    for (const table of owned)
      await root.query(
        `DELETE FROM ${table.name} WHERE ${table.columns.map(({ name }) => `${name} = ${literal(rowOf(table, B, onlyB, 7)[name])}`).join(" AND ")}`,
      );
    await root.query("SET session_replication_role = origin");
  });

  it("is nothing by an error: a function that fails on a row is not asked about a row of B, and a refusal quotes no row", async () => {
    for (const table of owned) {
      const text = table.columns.find(({ type }) => type === "text")?.name;
      const foreign = `org_id = ${hex(B)}`;
      const fails = [
        `SELECT 1 / (CASE WHEN ${foreign} THEN 0 ELSE 1 END) FROM ${table.name}`,
        `SELECT 1 FROM ${table.name} WHERE 1 / (CASE WHEN ${foreign} THEN 0 ELSE 1 END) = 1`,
        ...(text === undefined
          ? []
          : [`SELECT 1 FROM ${table.name} WHERE CASE WHEN ${foreign} THEN ${text}::int = 1 ELSE true END`]),
      ];
      for (const sql of fails) {
        expect([sql, await tried(app, inA, sql)]).toEqual([sql, await held(table, A)]);
        expect(["22012", "22P02"]).toContain(await tried(app, inB, sql));
      }
      // Twice the same row of one's own: the server names the key, and not what is in it.
      await app.query("BEGIN");
      await app.query("SELECT set_config('sallyport.org', $1, true)", [inA]);
      const refusal = await app
        .query(insertOf(table, rowOf(table, A, ONE, 1)))
        .catch((error: unknown) => error as pg.DatabaseError);
      await app.query("ROLLBACK");
      expect(refusal).toMatchObject({ code: "23505", detail: undefined });
      expect(JSON.stringify(refusal)).not.toContain("text-of-");
    }
  });

  it("is nothing by statistics: what the server knows of the values in a table is shown to the owner, not to the vault's role", async () => {
    const known = async (client: pg.Client, names: readonly string[]): Promise<number> => {
      const { rows } = await client.query<{ n: number }>(
        "SELECT count(*)::int AS n FROM pg_stats WHERE schemaname = 'public' AND tablename = ANY ($1)",
        [names],
      );
      return rows[0]?.n ?? 0;
    };
    for (const { name } of owned) {
      expect(await known(root, [name])).toBeGreaterThan(0);
      expect(await known(owner, [name])).toBeGreaterThan(0);
      expect([name, await known(app, [name])]).toEqual([name, 0]);
    }
    for (const sql of ["SELECT * FROM pg_statistic", "SELECT * FROM pg_statistic_ext_data"])
      expect([sql, await tried(app, inA, sql)]).toEqual([sql, DENIED]);
    for (const view of ["pg_stats_ext", "pg_stats_ext_exprs"])
      expect(await tried(app, inA, `SELECT count(*) FROM ${view}`)).toBe(0);
  });
});

describe("the org of a transaction", () => {
  it("is an org or none: whatever else the setting holds shows nothing and takes nothing", async () => {
    const [table] = owned.filter(({ name }) => name === "secrets");
    if (table === undefined) throw new Error("there is no table of secrets");
    const odd = [
      ...["", " ", "\t\n", "0", "zz", "null", "NULL", "*", "%", "_", "all", "default", "\\x", `\\x${inB}`, `0x${inB}`],
      ...[`${inB}00`, inB.slice(2), inB.slice(1), `${inA}${inB}`, `${inA},${inB}`, `{${inA},${inB}}`, `${inB}'`],
      ...[`' OR true --`, `${inA}' OR org_id = '\\x${inB}`, `'; DROP TABLE secrets; --`, `${inB}; RESET ROLE`],
      ...[[...inB].join("-"), "ｂｂ".repeat(16), "bｂ".repeat(16), "b".repeat(1_000_000), B.toString("base64"), "🙂"],
    ];
    const before = await digest();
    for (const text of odd) {
      const label = JSON.stringify(text.slice(0, 80));
      const seen = await tried(app, text, "SELECT count(*) FROM secrets");
      expect([0, "22023"], `${label} saw ${String(seen)}`).toContain(seen);
      const written = await tried(app, text, inserted(table, ofB(table, "new")));
      expect([DENIED, "22023"], `${label} wrote ${String(written)}`).toContain(written);
      expect([0, "22023"]).toContain(await tried(app, text, "DELETE FROM secrets"));
      // As words of SQL and not as a parameter.
      const literalText = `'${text.replaceAll("'", "''")}'`;
      const said = await tried(app, null, `SET LOCAL sallyport.org = ${literalText}; DELETE FROM secrets`);
      expect(["22023", 0], `${label} came to ${String(said)}`).toContain(said);
    }
    expect(await digest()).toEqual(before);
    expect(odd.length).toBeGreaterThanOrEqual(30);
    // Controls: the org, in whatever case, and then none again.
    expect(await tried(app, inB.toUpperCase(), "SELECT count(*) FROM secrets")).toBe(await held(table, B));
    expect(await tried(app, null, "SELECT count(*) FROM secrets")).toBe(0);
  });
});

describe("the vault's role", () => {
  const refused: readonly string[] = [
    "CREATE TABLE mine (a int)",
    "CREATE TEMP TABLE secrets (a int)",
    "CREATE TABLE pg_temp.secrets (a int)",
    "CREATE UNLOGGED TABLE mine (a int)",
    "CREATE TABLE mine AS SELECT * FROM secrets",
    "SELECT * INTO mine FROM secrets",
    "CREATE VIEW mine AS SELECT * FROM secrets",
    "CREATE TEMP VIEW mine AS SELECT 1",
    "CREATE MATERIALIZED VIEW mine AS SELECT 1",
    "CREATE SEQUENCE mine",
    "CREATE TYPE mine AS (a int)",
    "CREATE DOMAIN mine AS int",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE PROCEDURE mine() LANGUAGE sql AS 'SELECT 1'",
    "CREATE OPERATOR === (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = byteaeq)",
    "CREATE EXTENSION pgcrypto",
    "CREATE LANGUAGE plpython3u",
    "CREATE SCHEMA mine",
    "CREATE SCHEMA AUTHORIZATION sallyport_app",
    "CREATE PUBLICATION mine FOR TABLE secrets",
    "CREATE PUBLICATION mine FOR ALL TABLES",
    "CREATE FOREIGN DATA WRAPPER mine",
    "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION nothing()",
    "CREATE ROLE mine",
    "ALTER ROLE sallyport_app BYPASSRLS",
    "ALTER ROLE sallyport_app SUPERUSER",
    "ALTER ROLE sallyport_app CREATEROLE",
    "ALTER ROLE sallyport_owner PASSWORD 'mine'",
    "ALTER ROLE sallyport_owner SET row_security = off",
    "GRANT sallyport_owner TO sallyport_app",
    "GRANT sallyport_service TO sallyport_owner",
    "GRANT pg_read_server_files TO sallyport_app",
    "GRANT pg_write_all_data TO sallyport_app",
    "SET ROLE sallyport_owner",
    "SET ROLE postgres",
    "SET ROLE pg_read_all_data",
    "SET SESSION AUTHORIZATION sallyport_owner",
    "SET SESSION AUTHORIZATION postgres",
    "SET session_replication_role = replica",
    "SET LOCAL session_preload_libraries = 'mine'",
    "REASSIGN OWNED BY sallyport_owner TO sallyport_app",
    "DROP OWNED BY sallyport_owner",
    "ALTER SCHEMA public RENAME TO mine",
    "DROP SCHEMA public CASCADE",
    "LOAD 'plpgsql'",
    "COPY secrets TO '/tmp/secrets'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_user_mapping",
    "SELECT * FROM pg_subscription",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_ls_waldir()",
    "SELECT lo_import('/etc/hostname')",
    "SELECT lo_export(1, '/tmp/mine')",
    "SELECT pg_reload_conf()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_physical_replication_slot('mine')",
    "SELECT pg_create_logical_replication_slot('mine', 'pgoutput')",
    "SELECT pg_logical_slot_peek_binary_changes('mine', NULL, NULL)",
    "SELECT pg_stat_reset()",
  ];

  it("makes nothing, becomes nobody, and reads no file: no DDL, no other role, no setting that passes by the policies", async () => {
    const before = await digest();
    const others: (readonly [string, Came])[] = [];
    for (const sql of refused) {
      const came = await tried(app, inA, sql);
      if (came !== DENIED) others.push([sql, came]);
      expect((await app.query<{ who: string }>("SELECT current_user AS who")).rows).toEqual([{ who: "sallyport_app" }]);
    }
    expect(others).toEqual([]);
    // What no transaction takes.
    for (const sql of [
      "CREATE DATABASE mine",
      "CREATE TABLESPACE mine LOCATION '/tmp'",
      "ALTER SYSTEM SET row_security = off",
    ])
      await expect(app.query(sql), sql).rejects.toMatchObject({ code: DENIED });
    expect(await digest()).toEqual(before);
    expect(refused.length).toBeGreaterThanOrEqual(65);
  });

  it("leaves tables, policies, indexes and rights as they are", async () => {
    const before = await digest();
    let n = 0;
    for (const { name } of tables)
      for (const sql of [
        `ALTER TABLE ${name} DISABLE ROW LEVEL SECURITY`,
        `ALTER TABLE ${name} NO FORCE ROW LEVEL SECURITY`,
        `ALTER TABLE ${name} OWNER TO sallyport_app`,
        `ALTER TABLE ${name} ADD COLUMN mine int`,
        `ALTER TABLE ${name} DISABLE TRIGGER ALL`,
        `DROP TABLE ${name} CASCADE`,
        `DROP POLICY tenant ON ${name}`,
        `ALTER POLICY tenant ON ${name} USING (true)`,
        `CREATE POLICY mine ON ${name} USING (true)`,
        `CREATE INDEX ON ${name} ((1))`,
        `CREATE RULE mine AS ON SELECT TO ${name} DO INSTEAD NOTHING`,
        `CREATE TRIGGER mine AFTER INSERT ON ${name} FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
        `CREATE STATISTICS mine ON org_id, id FROM ${name}`,
        `COMMENT ON TABLE ${name} IS 'mine'`,
        `SECURITY LABEL ON TABLE ${name} IS 'mine'`,
        `GRANT ALL ON ${name} TO sallyport_app`,
        `GRANT SELECT ON ${name} TO PUBLIC`,
        `REVOKE SELECT ON ${name} FROM sallyport_service`,
      ]) {
        // Whoever holds a right without leave to pass it on is warned of it, and nothing is granted.
        const came = await tried(app, inA, sql);
        const isNothing = /^(GRANT|REVOKE)/.test(sql) && came === 0;
        expect(
          isNothing || ["42501", "42704", "22023", "42703"].includes(String(came)),
          `${sql} came to ${String(came)}`,
        ).toBe(true);
        n += 1;
      }
    expect(await digest()).toEqual(before);
    expect(n).toBe(tables.length * 18);
  });

  it("reads nothing where it asks for no policies", async () => {
    for (const { name } of owned)
      expect([name, await tried(app, inA, { text: `SELECT count(*) FROM ${name}`, name: `off-${name}` })]).toEqual([
        name,
        await tried(app, inA, `SELECT count(*) FROM ${name}`),
      ]);
    await app.query("SET row_security = off");
    for (const { name } of owned) {
      expect([name, await tried(app, inA, `SELECT count(*) FROM ${name}`)]).toEqual([name, DENIED]);
      // The plan that was made while they held, too.
      expect([name, await tried(app, inA, { text: `SELECT count(*) FROM ${name}`, name: `off-${name}` })]).toEqual([
        name,
        DENIED,
      ]);
    }
    await app.query("RESET row_security");
  });

  it("finds no view and no function in the database that has more rights than itself", async () => {
    const { rows } = await root.query<{ what: string }>(`
      SELECT relname AS what FROM pg_class WHERE relkind IN ('v', 'm', 'f', 'S') AND relnamespace = 'public'::regnamespace
      UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
      UNION ALL SELECT proname FROM pg_proc WHERE prosecdef AND has_function_privilege('sallyport_app', oid, 'EXECUTE')
      UNION ALL SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('public', 'information_schema')
      UNION ALL SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'`);
    expect(rows).toEqual([]);
  });
});

it("a table of an org that is made without its policy is noticed by these tests", async () => {
  await owner.query(
    "CREATE TABLE forgotten (org_id bytea NOT NULL, id bytea NOT NULL, name text, PRIMARY KEY (org_id, id))",
  );
  await owner.query("GRANT SELECT, INSERT, UPDATE, DELETE ON forgotten TO sallyport_service");
  try {
    const found = (await tablesOf(root)).find(({ name }) => name === "forgotten");
    if (found === undefined) throw new Error("the catalog does not tell of it");
    await root.query(insertOf(found, rowOf(found, B, ONE, 1)));
    const failures: string[] = [];
    for (const [verb, { sql, may }] of Object.entries(AGAINST_B))
      if (!may.includes(await tried(app, inA, sql(found), "ROLLBACK"))) failures.push(verb);
    expect(failures).toEqual(
      expect.arrayContaining(["SELECT", "INSERT", "COPY TO", "UPDATE org_id", "MERGE INSERT", "DO"]),
    );
  } finally {
    await owner.query("DROP TABLE forgotten");
  }
});
