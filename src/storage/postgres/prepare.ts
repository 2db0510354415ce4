import { setTimeout as pause } from "node:timers/promises";
import { Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { VaultError, isVaultError } from "#base";
import { checkKnown, migrate, missingFrom } from "../migrations/index.ts";
import { SERVICE_ROLE } from "../migrations/tenants.ts";
import type { PostgresAddress } from "./address.ts";
import { LOCKS } from "./locks.ts";
import { codeOf, reasonOf } from "./reason.ts";
import { excessOf } from "./rights.ts";
import { StandbyError, clientConfig, isStandby } from "./sessions.ts";

/** PostgreSQL 14: the oldest that is still maintained. */
const OLDEST_SERVER = 140_000;

/** What a server gets to take its leave; one that is gone never does. */
const GOODBYE_MS = 2_000;

/** What the vault asks of a database before it uses it. */
export interface Ground {
  /** PostgreSQL's number: 160003 is 16.3. */
  readonly version: number;
  readonly encoding: string;
  readonly standby: boolean;
  readonly superuser: boolean;
  readonly bypasses: boolean;
  readonly owns: boolean;
  readonly creates: boolean;
  readonly serves: boolean;
}

const GROUND = `
  SELECT current_setting('server_version_num')::int AS version, current_setting('server_encoding') AS encoding,
    pg_is_in_recovery() AS standby, role.rolsuper AS superuser, role.rolbypassrls AS bypasses,
    EXISTS (SELECT FROM pg_class AS it JOIN pg_namespace AS home ON home.oid = it.relnamespace AND home.nspname = 'public'
      WHERE it.relkind IN ('r', 'p') AND pg_has_role(it.relowner, 'MEMBER')) AS owns,
    has_schema_privilege('public', 'CREATE') AS creates,
    EXISTS (SELECT FROM pg_roles AS one WHERE one.rolname = '${SERVICE_ROLE}' AND pg_has_role(one.oid, 'USAGE')) AS serves
  FROM pg_roles AS role WHERE role.rolname = current_user`;

/**
 * Sees to it that the database has this version's schema and that the vault's role is one that the row policies hold. The
 * owner, where given, migrates first; nodes that start at the same time wait for one another.
 *
 * @throws {VaultError} `store_unavailable`, `schema_unknown`, `migration_needed`, `role_unsafe`.
 */
export async function prepareDatabase(address: PostgresAddress, owner: PostgresAddress | null): Promise<void> {
  // Before anything is written: a wrong role is refused with the database as it was.
  if (owner !== null) {
    await withClient(address, {}, checkGround);
    await migrateDatabase(owner);
  }
  await withClient(address, {}, async (client) => {
    await checkGround(client);
    const done = await doneMigrations(client);
    checkKnown(done);
    const missing = missingFrom(done);
    if (missing.length > 0)
      throw new VaultError("migration_needed", `The database's schema lacks ${missing.join(", ")}.`);
  });
}

/**
 * Brings the database to this version's schema, as the owner of its tables. One migrates at a time: `waiting` hears of it
 * where another one is at it, whose end is waited for.
 *
 * @returns the migrations that it took: none where nothing was missing, or another one has just taken them.
 * @throws {VaultError} `store_unavailable`, `schema_unknown`, `role_unsafe` where the service's group is not there.
 */
export async function migrateDatabase(
  owner: PostgresAddress,
  { waiting = () => undefined }: { readonly waiting?: () => void } = {},
): Promise<readonly string[]> {
  // Whoever waits for another's migration waits as long as that takes.
  return withClient(owner, { query_timeout: 0 }, async (client, place) => {
    const ground = await groundOf(client);
    checkServer(ground);
    if (!ground.creates)
      throw new VaultError("store_unavailable", "This role may make no tables in the database: it is not the owner.");
    const patient = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"];
    await client.query(["BEGIN", ...patient.map((name) => `SET LOCAL ${name} = 0`)].join("; "));
    const { rows } = await client.query<{ free: boolean }>(`SELECT pg_try_advisory_xact_lock(${LOCKS.schema}) AS free`);
    if (rows[0]?.free !== true) {
      waiting();
      await client.query(`SELECT pg_advisory_xact_lock(${LOCKS.schema})`);
    }
    const done = await doneMigrations(client);
    checkKnown(done);
    const { rowCount } = await client.query("SELECT FROM pg_roles WHERE rolname = $1", [SERVICE_ROLE]);
    if (rowCount === 0) throw new VaultError("role_unsafe", `There is no role ${SERVICE_ROLE} on the server.`);
    const missing = missingFrom(done);
    if (missing.length > 0) await takeMigrations({ ...clientConfig(owner), ...place });
    await client.query("COMMIT");
    return missing;
  });
}

/** On a connection of its own, while the other holds the lock. */
async function takeMigrations(config: pg.ClientConfig): Promise<void> {
  const pool = new pg.Pool({ ...config, query_timeout: 0, max: 1 });
  pool.on("error", () => undefined);
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    await migrate(db, "postgres");
    // Each start looks whether the schema is its own, and the owner's tables are nobody else's to read.
    await sql`grant select on kysely_migration to ${sql.ref(SERVICE_ROLE)}`.execute(db);
  } finally {
    await db.destroy();
  }
}

async function checkGround(client: pg.Client): Promise<void> {
  const ground = await groundOf(client);
  checkServer(ground);
  const unsafe = await unsafeRole(client, ground);
  if (unsafe !== null) throw new VaultError("role_unsafe", unsafe);
}

export async function groundOf(client: pg.Client): Promise<Ground> {
  const { rows } = await client.query<Ground>(GROUND);
  const [ground] = rows;
  if (ground === undefined) throw new VaultError("store_unavailable", "The database does not say who the vault is.");
  return ground;
}

/** Throws `store_unavailable` for a server, or a database, that no vault can use. */
export function checkServer({ version, encoding, standby }: Ground): void {
  const unfit = (message: string): VaultError => new VaultError("store_unavailable", message);
  if (version < OLDEST_SERVER) throw unfit("The database server is older than PostgreSQL 14.");
  if (encoding !== "UTF8") throw unfit("The database's encoding is not UTF8.");
  if (standby) throw unfit("The database server is a standby, which takes no writes.");
}

/** Why the row policies would not hold this role, or what it may do beyond a vault's needs, in a sentence; else `null`. */
export async function unsafeRole(client: pg.Client, ground: Ground): Promise<string | null> {
  if (ground.superuser) return "The vault's role is a superuser of the database server.";
  if (ground.bypasses) return "The vault's role passes by row-level security (BYPASSRLS).";
  if (ground.owns) return "The vault's role owns tables, or is a member of a role that does.";
  if (ground.creates) return "The vault's role may create objects in the schema public.";
  if (!ground.serves) return `The vault's role is no member of ${SERVICE_ROLE}.`;
  return excessOf(client);
}

/** The migrations a database has seen: none for an empty one. Throws `schema_unknown` for what is not a vault's. */
export async function doneMigrations(client: pg.Client): Promise<readonly string[]> {
  const { rows } = await client.query<{ name: string }>(
    "SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
  );
  const tables = rows.map(({ name }) => name);
  if (tables.length === 0) return [];
  if (!tables.includes("kysely_migration"))
    throw new VaultError(
      "schema_unknown",
      "The database belongs to another program: it has tables that are no vault's.",
    );
  try {
    const done = await client.query<{ name: string }>("SELECT name FROM kysely_migration ORDER BY name");
    return done.rows.map(({ name }) => name);
  } catch (error) {
    // Made by the owner's first migration, which has not ended yet or was cut off before it gave the table away.
    if (codeOf(error) === "42501") return [];
    throw error;
  }
}

/** Does `work` on a connection of its own to the server that takes writes. */
export async function withClient<T>(
  address: PostgresAddress,
  more: pg.ClientConfig,
  work: (client: pg.Client, place: PostgresAddress["hosts"][number]) => Promise<T>,
): Promise<T> {
  let last: unknown = null;
  for (const place of address.hosts) {
    const client = new pg.Client({ ...clientConfig(address), ...place, ...more });
    client.on("error", () => undefined);
    try {
      await client.connect();
      if (address.hosts.length > 1 && (await isStandby(client))) throw new StandbyError();
      return await work(client, place);
    } catch (error) {
      if (isVaultError(error)) throw error;
      last = error;
    } finally {
      await leave(client);
    }
  }
  throw new VaultError("store_unavailable", `The database cannot be used: ${reasonOf(last)}.`, { cause: last });
}

async function leave(client: pg.Client): Promise<void> {
  const left = new AbortController();
  const gone = client.end().then(
    () => undefined,
    () => undefined,
  );
  void gone.then(() => {
    left.abort();
  });
  await Promise.race([gone, pause(GOODBYE_MS, undefined, { signal: left.signal }).catch(() => undefined)]);
}
