import type pg from "pg";
import { INSTANCE, bytesToId, idToBytes } from "#base";
import type { Id } from "#base";
import { missingFrom } from "../migrations/index.ts";
import type { PostgresAddress } from "./address.ts";
import type { NodeSeen } from "../engine.ts";
import { checkServer, doneMigrations, groundOf, unsafeRole, withClient } from "./prepare.ts";
import { settingOf } from "./session.ts";
import { NODES, readNode } from "./slot.ts";
import type { NodeRow } from "./slot.ts";

/** What a look at a server's database says of it, as the role that serves. */
export interface ServerInspection {
  readonly engine: "postgres";
  /** PostgreSQL's own words: `16.3`. */
  readonly version: string;
  readonly bytes: number;
  /** Whether the connection that looked was encrypted. */
  readonly encrypted: boolean;
  /** How far this machine's clock is ahead of the server's; behind it, where negative. In ms. */
  readonly clockAheadMs: number;
  /** Why the row policies would not hold the role, in a sentence; `null` where they do. */
  readonly unsafeRole: string | null;
  readonly missingMigrations: readonly string[];
  /** As the server has them for this role: `on`, `off` and their like. */
  readonly durability: Readonly<Record<"fsync" | "full_page_writes" | "synchronous_commit", string>>;
  /** What the server, the database and the role leave for vaults. */
  readonly connections: number;
  readonly nodes: readonly NodeSeen[];
  readonly newestEventAt: Date | null;
  readonly newestCheckpointAt: Date | null;
  /** The root key under which the database's keys are wrapped; `null`: it has none. */
  readonly rootKey: Id<"key"> | null;
}

/** Chains that are looked at for their newest event: a look never takes long. */
const MOST_CHAINS = 500;

interface Facts {
  readonly version: string;
  readonly bytes: number;
  readonly encrypted: boolean | null;
  readonly fsync: string;
  readonly full_page_writes: string;
  readonly synchronous_commit: string;
  readonly connections: number;
}

const FACTS = `
  SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS bytes,
    (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS encrypted,
    current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_commit') AS synchronous_commit,
    (SELECT min(most) FROM (VALUES
      (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int),
      ((SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user)),
      ((SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()))) AS limits (most)) AS connections`;

/** By the ends of indexes: a log of millions is not read. */
const NEWEST = `
  SELECT (SELECT time FROM audit_events WHERE org_id = $1 ORDER BY time DESC LIMIT 1) AS event,
    (SELECT max(last.time) FROM nodes, LATERAL (SELECT time FROM audit_checkpoints
      WHERE org_id = $1 AND slot = nodes.slot ORDER BY size DESC LIMIT 1) AS last) AS checkpoint`;

/**
 * Looks at the database of a server, and changes nothing.
 *
 * @throws {VaultError} `store_unavailable`: it cannot be reached or used. `schema_unknown`: it is another program's.
 */
export async function inspectServer(address: PostgresAddress): Promise<ServerInspection> {
  return withClient(address, {}, async (client) => {
    const ground = await groundOf(client);
    checkServer(ground);
    const [facts] = (await client.query<Facts>(FACTS)).rows;
    if (facts === undefined) throw new Error("the server said nothing of itself");
    const missing = missingFrom(await doneMigrations(client));
    const mayRead = !missing.includes("0003-nodes");
    return {
      engine: "postgres",
      version: facts.version.split(" ", 1)[0] ?? "",
      bytes: facts.bytes,
      encrypted: facts.encrypted === true,
      clockAheadMs: await clockAhead(client),
      unsafeRole: await unsafeRole(client, ground),
      missingMigrations: missing,
      durability: {
        fsync: facts.fsync,
        full_page_writes: facts.full_page_writes,
        synchronous_commit: facts.synchronous_commit,
      },
      connections: facts.connections,
      nodes: mayRead ? (await client.query<NodeRow>(NODES)).rows.map(readNode) : [],
      ...(mayRead ? await newest(client) : { newestEventAt: null, newestCheckpointAt: null, rootKey: null }),
    };
  });
}

async function clockAhead(client: pg.Client): Promise<number> {
  const before = Date.now();
  const { rows } = await client.query<{ server: number }>(
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS server",
  );
  return (before + Date.now()) / 2 - Number(rows[0]?.server);
}

async function newest(
  client: pg.Client,
): Promise<Pick<ServerInspection, "newestEventAt" | "newestCheckpointAt" | "rootKey">> {
  await client.query(`BEGIN READ ONLY; ${settingOf(INSTANCE)}`);
  const orgs = await client.query<{ id: Buffer }>("SELECT id FROM orgs ORDER BY id LIMIT $1", [MOST_CHAINS]);
  const keys = await client.query<{ parent_id: Buffer }>(
    "SELECT parent_id FROM keys WHERE purpose = 'instance' AND state = 'current'",
  );
  const times = { events: 0, checkpoints: 0 };
  for (const chain of [INSTANCE, ...orgs.rows.map(({ id }) => bytesToId("org", id))]) {
    await client.query(settingOf(chain));
    const { rows } = await client.query<{ event: number | null; checkpoint: number | null }>(NEWEST, [
      idToBytes(chain),
    ]);
    times.events = Math.max(times.events, rows[0]?.event ?? 0);
    times.checkpoints = Math.max(times.checkpoints, rows[0]?.checkpoint ?? 0);
  }
  await client.query("COMMIT");
  const [key] = keys.rows;
  const timeOf = (ms: number): Date | null => (ms === 0 ? null : new Date(ms));
  return {
    newestEventAt: timeOf(times.events),
    newestCheckpointAt: timeOf(times.checkpoints),
    rootKey: key === undefined ? null : bytesToId("key", key.parent_id),
  };
}
