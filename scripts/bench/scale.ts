/**
 * How large a database on PostgreSQL grows, and whether it stays as quick: a vault does real work, its rows are multiplied by
 * the server itself to what many orgs would have, and the vault goes on among them.
 *
 *     npm run bench -- scale [--share 0.1]
 *
 * The day is 1,000 orgs with 10,000 secrets each and 1,000,000 exchanges in all; `--share` is how much of it is loaded. What is
 * printed for the whole is the loaded part, measured, times the rest: rows of one table are of one size, and B-trees grow with
 * their rows. Rows are copies of rows that the product wrote, with keys of their own, so their sizes are real. Time is
 * given as a ratio to the same work on a database that holds nothing else, in turn on the same server.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import type pg from "pg";
import { startServer } from "../../test/harness.ts";
import { createRoles, createVaultDatabase } from "../../test/postgres/roles.ts";
import { PostgresServer, connect } from "../../test/postgres/server.ts";
import { Launches } from "./launches.ts";

/** The day of which a share is loaded. */
const DAY = { orgs: 1_000, secrets: 10_000, environments: 10, exchanges: 1_000_000, versions: 2 } as const;
/** Exchanges that are timed, one after the other. */
const TIMED = 300;
const WARM_UP = 50;

/** Which rows a launch leaves, and which stand for as long as their org does. */
const TABLES = {
  orgs: "standing",
  keys: "standing",
  environments: "standing",
  secrets: "standing",
  secret_versions: "standing",
  injections: "a day",
  exchanges: "a day",
  leases: "a day",
  audit_events: "a day",
} as const;
type Table = keyof typeof TABLES;

interface Size {
  readonly rows: number;
  readonly heap: number;
  readonly indexes: number;
}

const { values: given } = parseArgs({
  options: { share: { type: "string", default: "0.1" } },
  args: process.argv.slice(2),
});
const share = Number(given.share);
if (!(share > 0 && share <= 1)) throw new Error("--share is above 0 and at most 1");

const server = await PostgresServer.start({ settings: { shared_buffers: "512MB", max_wal_size: "8GB" } });
const folder = await mkdtemp(join(tmpdir(), "sallyport-scale-"));
/** Two vaults on one server, each with a database of its own. One stays as it is. */
const vaults: Awaited<ReturnType<typeof startServer>>[] = [];
try {
  await createRoles(server);
  const [small, large] = [await vaultOf("small"), await vaultOf("large")];
  const client = await connect(large.superuserUrl);
  try {
    const began = performance.now();
    await load(client, share);
    console.log(
      `Loaded ${String(share)} of a day in ${String(Math.round((performance.now() - began) / 1000))} s: PostgreSQL ${String((await client.query<{ server_version: string }>("SHOW server_version")).rows[0]?.server_version)}.\n`,
    );
    print(await sizes(client), share);
  } finally {
    await client.end();
  }
  const took = { small: [] as number[], large: [] as number[] };
  for (let n = 0; n < WARM_UP + TIMED; n += 1) {
    const one = { small: await small.launches.one(), large: await large.launches.one() };
    if (n < WARM_UP) continue;
    took.small.push(one.small);
    took.large.push(one.large);
  }
  const [floor, found] = [spread(took.small), spread(took.large)];
  console.log(
    `\nAn exchange takes ${ms(found.p50)} (p50) and ${ms(found.p99)} (p99) among all that; ${ms(floor.p50)} and ${ms(floor.p99)} where there is one org ` +
      `with one secret, in turn on the same server: ${(found.p50 / floor.p50).toFixed(2)} times and ${(found.p99 / floor.p99).toFixed(2)} times. n = ${String(TIMED)} each.`,
  );
} finally {
  for (const vault of vaults) {
    vault.kill("SIGTERM");
    await vault.ended;
  }
  await server.remove();
  await rm(folder, { recursive: true, force: true });
}

/** A vault with one workload that has been launched, so that every table has rows to copy. */
async function vaultOf(name: string): Promise<{ launches: Launches; superuserUrl: string }> {
  const { url, ownerUrl, superuserUrl } = await createVaultDatabase(server.facts());
  const home = join(folder, name);
  await mkdir(home);
  const vault = await startServer(home, { env: { SALLYPORT_STORE: url, SALLYPORT_STORE_MIGRATE: ownerUrl } });
  vaults.push(vault);
  const launches = await Launches.prepare(vault.url, home);
  await launches.one();
  return { launches, superuserUrl };
}

function spread(took: readonly number[]): { p50: number; p99: number } {
  const sorted = took.toSorted((a, b) => a - b);
  return { p50: sorted[Math.floor(sorted.length / 2)] ?? 0, p99: sorted[Math.floor(sorted.length * 0.99)] ?? 0 };
}

/** Multiplies what the product wrote, in the server. */
async function load(client: pg.Client, part: number): Promise<void> {
  const orgs = DAY.orgs;
  const secrets = Math.round(DAY.secrets * part);
  const launches = Math.round((DAY.exchanges * part) / orgs);
  await client.query("SET synchronous_commit = off; SET session_replication_role = replica; SET work_mem = '256MB'");
  // Ids as the product makes them: 48 bits of time first, so that those of one time lie together.
  await client.query(`
    CREATE FUNCTION pg_temp.new_id(at bigint) RETURNS bytea LANGUAGE sql VOLATILE AS
    $$ SELECT decode(lpad(to_hex(at), 12, '0') || substr(md5(random()::text), 1, 20), 'hex') $$;
    CREATE TEMP TABLE many_orgs AS SELECT n, pg_temp.new_id(1700000000000 + n) AS id FROM generate_series(1, ${String(orgs)}) AS n;
    CREATE TEMP TABLE many_environments AS SELECT o.n AS org, e AS n, o.id AS org_id, pg_temp.new_id(1700000100000 + e) AS id
      FROM many_orgs AS o, generate_series(1, ${String(DAY.environments)}) AS e;
    CREATE TEMP TABLE many_secrets AS SELECT o.id AS org_id, e.id AS environment_id, s AS n, pg_temp.new_id(1700000200000 + s) AS id
      FROM many_orgs AS o, generate_series(1, ${String(secrets)}) AS s
      JOIN many_environments AS e ON false OR true WHERE e.org = o.n AND e.n = s % ${String(DAY.environments)} + 1;
    CREATE TEMP TABLE many_launches AS SELECT o.id AS org_id, l AS n, 1700100000000 + l * 86400 AS at,
      pg_temp.new_id(1700100000000 + l * 86400) AS id, pg_temp.new_id(1700100000000 + l * 86400) AS lease
      FROM many_orgs AS o, generate_series(1, ${String(launches)}) AS l;
    ANALYZE;`);
  await copies(client, "orgs", "many_orgs", { id: "m.id", slug: "'org-' || m.n" });
  await copies(
    client,
    "keys",
    "many_environments",
    { org_id: "m.org_id", id: "pg_temp.new_id(1700000000000)", environment_id: "m.id" },
    "purpose = 'data'",
  );
  await copies(client, "environments", "many_environments", { org_id: "m.org_id", id: "m.id", name: "'env-' || m.n" });
  await copies(client, "secrets", "many_secrets", {
    org_id: "m.org_id",
    id: "m.id",
    environment_id: "m.environment_id",
    name: "'SERVICE_' || m.n || '_TOKEN'",
  });
  await copies(
    client,
    "secret_versions",
    `many_secrets CROSS JOIN generate_series(1, ${String(DAY.versions)}) AS v(version)`,
    {
      org_id: "m.org_id",
      secret_id: "m.id",
      version: "m.version",
    },
  );
  await copies(client, "injections", "many_launches", {
    org_id: "m.org_id",
    id: "m.id",
    minted_at: "m.at",
    expires_at: "m.at + 60000",
  });
  await copies(client, "exchanges", "many_launches", {
    org_id: "m.org_id",
    injection_id: "m.id",
    lease_id: "m.lease",
    at: "m.at",
  });
  await copies(client, "leases", "many_launches", {
    org_id: "m.org_id",
    id: "m.lease",
    injection_id: "m.id",
    created_at: "m.at",
  });
  // A launch leaves three: it was minted, exchanged and ended.
  for (const [at, action] of ["token.mint", "token.exchange", "lease.end"].entries())
    await copies(
      client,
      "audit_events",
      "many_launches",
      { org_id: "m.org_id", id: "pg_temp.new_id(m.at)", seq: `m.n * 3 + ${String(at)}`, time: `m.at + ${String(at)}` },
      `action = '${action}'`,
    );
  await client.query("SET session_replication_role = origin");
  await client.query("VACUUM ANALYZE");
}

/** A row of the product's, once for each row of `of`, with these columns of its own. */
async function copies(
  client: pg.Client,
  table: Table,
  of: string,
  own: Readonly<Record<string, string>>,
  where = "true",
): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT attname AS name FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
    [table],
  );
  const names = rows.map(({ name }) => name);
  const columns = names.map((name) => own[name] ?? `t.${name}`);
  const sample = await client.query(`SELECT FROM ${table} WHERE ${where} LIMIT 1`);
  if (sample.rows.length === 0) throw new Error(`the vault wrote no row of ${table} where ${where}`);
  const source = of.includes(" ") ? `(SELECT * FROM ${of})` : of;
  await client.query(
    `INSERT INTO ${table} (${names.join(", ")}) SELECT ${columns.join(", ")}
     FROM ${source} AS m, (SELECT * FROM ${table} WHERE ${where} LIMIT 1) AS t`,
  );
}

async function sizes(client: pg.Client): Promise<ReadonlyMap<Table, Size>> {
  const found = new Map<Table, Size>();
  for (const table of Object.keys(TABLES) as Table[]) {
    const { rows } = await client.query<Record<keyof Size, string>>(
      `SELECT count(*) AS rows, pg_table_size('${table}') AS heap, pg_indexes_size('${table}') AS indexes FROM ${table}`,
    );
    const [row] = rows;
    if (row !== undefined)
      found.set(table, { rows: Number(row.rows), heap: Number(row.heap), indexes: Number(row.indexes) });
  }
  return found;
}

function print(found: ReadonlyMap<Table, Size>, part: number): void {
  const line = (...cells: readonly string[]): void => {
    console.log(cells.map((cell, at) => (at === 0 ? cell.padEnd(18) : cell.padStart(16))).join(""));
  };
  line("table", "rows loaded", "bytes a row", "index bytes", "rows of the day", "size of the day");
  const total = { standing: 0, "a day": 0 };
  for (const [table, { rows, heap, indexes }] of found) {
    // Orgs, their environments and keys are there in full.
    const whole = ["orgs", "keys", "environments"].includes(table) ? 1 : 1 / part;
    const bytes = (heap + indexes) * whole;
    total[TABLES[table]] += bytes;
    line(
      table,
      String(rows),
      (heap / rows).toFixed(0),
      (indexes / rows).toFixed(0),
      String(Math.round(rows * whole)),
      gib(bytes),
    );
  }
  console.log(
    `\nWhat stands: ${gib(total.standing)}. Each day adds ${gib(total["a day"])}, a year ${gib(total["a day"] * 365)}.`,
  );
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}

function gib(bytes: number): string {
  return bytes < 1024 ** 3 ? `${(bytes / 1024 ** 2).toFixed(0)} MiB` : `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}
