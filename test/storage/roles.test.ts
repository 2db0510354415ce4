import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ERRORS, VaultError } from "#base";
import { migrateDatabase, openPostgres, readAddress } from "#storage";
import { sallyport } from "../harness.ts";
import { postgresDatabase } from "../postgres/database.ts";
import { APP, OWNER, SERVICE } from "../postgres/roles.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { connect } from "../postgres/server.ts";

const scribe = {
  write(): never {
    throw new Error("nothing is written");
  },
};
const clock = { now: () => new Date() };

interface Case {
  /** Attributes of the role, as CREATE ROLE has them; a role that is there already, by its URL. */
  readonly is: string | ((database: VaultDatabase) => string);
  /** Given to it, or changed, as the superuser: `me` is the role. */
  readonly given?: string;
  readonly undone?: string;
  readonly says: RegExp;
  /** Needs the vault's tables. */
  readonly migrated?: true;
}

const CASES: Readonly<Record<string, Case>> = {
  "a superuser": { is: ({ superuserUrl }) => superuserUrl, says: /is a superuser/ },
  "a superuser who is in the group": { is: `SUPERUSER IN ROLE ${SERVICE}`, says: /is a superuser/ },
  "the owner": { is: ({ ownerUrl }) => ownerUrl, says: /owns tables|may create objects/ },
  "a role with BYPASSRLS": { is: `BYPASSRLS IN ROLE ${SERVICE}`, says: /BYPASSRLS/ },
  "a member of the owner": { is: `IN ROLE ${SERVICE}, ${OWNER}`, says: /owns tables|may create objects/ },
  "a member of the owner who would have to become it": {
    is: `NOINHERIT IN ROLE ${OWNER}`,
    given: `GRANT ${SERVICE} TO me`,
    says: /owns tables|owns the database|is no member of sallyport_service/,
  },
  "a role that may create in the schema": {
    is: `IN ROLE ${SERVICE}`,
    given: "GRANT CREATE ON SCHEMA public TO me",
    undone: "REVOKE CREATE ON SCHEMA public FROM me",
    says: /may create objects in the schema public/,
  },
  "a role that is not in the group": {
    is: "",
    given: "GRANT USAGE ON SCHEMA public TO me",
    undone: "REVOKE USAGE ON SCHEMA public FROM me",
    says: /is no member of sallyport_service/,
  },
  "a role that may make roles": { is: `CREATEROLE IN ROLE ${SERVICE}`, says: /CREATEROLE/ },
  "a role that may copy the server": { is: `REPLICATION IN ROLE ${SERVICE}`, says: /REPLICATION/ },
  "a member of a role that passes by the policies": {
    is: `IN ROLE ${SERVICE}`,
    given: "CREATE ROLE me_more BYPASSRLS; GRANT me_more TO me",
    undone: "DROP ROLE me_more",
    says: /a member of a role that is a superuser or has BYPASSRLS/,
  },
  "a member of a superuser": {
    is: `IN ROLE ${SERVICE}`,
    given: "CREATE ROLE me_more SUPERUSER; GRANT me_more TO me",
    undone: "DROP ROLE me_more",
    says: /owns tables|a member of a role that is a superuser/,
  },
  "one who reads all data": {
    is: `IN ROLE ${SERVICE}, pg_read_all_data`,
    says: /is a member of one of pg_read_all_data/,
  },
  "one who writes all data": { is: `IN ROLE ${SERVICE}, pg_write_all_data`, says: /is a member of one of/ },
  "one who runs the server's programs": {
    is: `IN ROLE ${SERVICE}, pg_execute_server_program`,
    says: /is a member of one of/,
  },
  "a role that may make schemas": {
    is: `IN ROLE ${SERVICE}`,
    given: "GRANT CREATE ON DATABASE here TO me",
    undone: "REVOKE CREATE ON DATABASE here FROM me",
    says: /owns the database, or may create schemas/,
  },
  "a role that may empty a table": {
    is: `IN ROLE ${SERVICE}`,
    given: "GRANT TRUNCATE ON secrets TO me",
    undone: "REVOKE TRUNCATE ON secrets FROM me",
    says: /has rights on secrets that no vault needs/,
    migrated: true,
  },
  "a role that may change the log": {
    is: `IN ROLE ${SERVICE}`,
    given: "GRANT DELETE ON audit_events TO me",
    undone: "REVOKE DELETE ON audit_events FROM me",
    says: /may change or delete rows of audit_events/,
    migrated: true,
  },
  "a role that may change one column of what was exchanged": {
    is: `IN ROLE ${SERVICE}`,
    given: "GRANT UPDATE (address) ON exchanges TO me",
    undone: "REVOKE UPDATE (address) ON exchanges FROM me",
    says: /may change or delete rows of exchanges/,
    migrated: true,
  },
  "the right role, on a table whose policies are off": {
    is: `IN ROLE ${SERVICE}`,
    given: "ALTER TABLE grants DISABLE ROW LEVEL SECURITY",
    undone: "ALTER TABLE grants ENABLE ROW LEVEL SECURITY",
    says: /No row-level security .* table grants/,
    migrated: true,
  },
  "the right role, on a table with another policy beside": {
    is: `IN ROLE ${SERVICE}`,
    given: "CREATE POLICY more ON keys USING (true)",
    undone: "DROP POLICY more ON keys",
    says: /The table keys has other row policies/,
    migrated: true,
  },
  "the right role, on a table whose policy is gone": {
    is: `IN ROLE ${SERVICE}`,
    given:
      "ALTER POLICY tenant ON leases RENAME TO gone; ALTER TABLE leases DISABLE ROW LEVEL SECURITY; CREATE TABLE more (org_id bytea); GRANT SELECT ON more TO me",
    undone:
      "ALTER TABLE leases ENABLE ROW LEVEL SECURITY; ALTER POLICY gone ON leases RENAME TO tenant; DROP TABLE more",
    says: /No row-level security .* table leases/,
    migrated: true,
  },
};

let empty: VaultDatabase;
let migrated: VaultDatabase;
const roots = new Map<VaultDatabase, pg.Client>();

beforeAll(async () => {
  [empty, migrated] = await Promise.all([postgresDatabase(), postgresDatabase()]);
  await migrateDatabase(readAddress(migrated.ownerUrl));
  for (const database of [empty, migrated]) roots.set(database, await connect(database.superuserUrl));
});
afterAll(async () => {
  await Promise.all([...roots.values()].map((client) => client.end()));
  await Promise.all([empty.remove(), migrated.remove()]);
});

function rootOf(database: VaultDatabase): pg.Client {
  const client = roots.get(database);
  if (client === undefined) throw new Error("it is not open");
  return client;
}

/** Lets a case stand while `work` runs. @returns the URL of its role. */
async function standing<T>(
  database: VaultDatabase,
  { is, given, undone }: Case,
  work: (url: string) => Promise<T>,
): Promise<T> {
  if (typeof is !== "string") return work(is(database));
  const [name, password] = [`t_${randomBytes(6).toString("hex")}`, randomBytes(9).toString("hex")];
  const root = rootOf(database);
  const run = (sql = "SELECT 1") =>
    root.query(sql.replace(/\bme(_more)?\b/g, `${name}$1`).replace(/\bhere\b/g, database.name));
  await root.query(`CREATE ROLE ${name} LOGIN PASSWORD '${password}' ${is}`);
  try {
    await root.query(`GRANT CONNECT ON DATABASE ${database.name} TO ${name}`);
    await run(given);
    const url = new URL(database.url);
    return await work(`postgres://${name}:${password}@${url.host}${url.pathname}`);
  } finally {
    await run(undone);
    await root.query(`DROP OWNED BY ${name}; DROP ROLE ${name}`);
  }
}

/** What is in a database: its tables, their rows, policies and rights. */
async function digest(database: VaultDatabase): Promise<string> {
  const root = rootOf(database);
  const { rows } = await root.query<{ name: string }>(
    "SELECT relname AS name, relacl::text, relrowsecurity FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1",
  );
  const counts: unknown[] = [];
  for (const { name } of rows) counts.push((await root.query(`SELECT count(*) FROM ${name}`)).rows);
  return JSON.stringify([rows, counts]);
}

async function refusal(database: VaultDatabase, url: string, withOwner: boolean): Promise<VaultError> {
  const opened = openPostgres({
    address: readAddress(url),
    owner: withOwner ? readAddress(database.ownerUrl) : null,
    node: "node",
    scribe,
    clock,
  });
  try {
    await (await opened).close();
  } catch (error) {
    if (error instanceof VaultError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

describe("a role that the row policies would not hold", () => {
  it.each(Object.entries(CASES))("%s is refused, and nothing is written before", async (_, one) => {
    const databases = one.migrated === true ? [migrated] : [empty, migrated];
    for (const database of databases)
      await standing(database, one, async (url) => {
        const before = await digest(database);
        for (const withOwner of [false, true]) {
          const error = await refusal(database, url, withOwner);
          expect(error).toMatchObject({ code: "role_unsafe", message: expect.stringMatching(one.says) });
          expect(error.message).not.toContain(new URL(url).password);
        }
        expect(await digest(database)).toBe(before);
      });
  });

  it("is told how the right ones are made, by a process that ends with 30, says no password and leaves the database as it was", async () => {
    expect(ERRORS.role_unsafe.remedy).toContain("`sallyport db roles`");
    const folder = await mkdtemp(join(tmpdir(), "sallyport-"));
    const ways = ["a superuser", "the owner", "a role with BYPASSRLS", "a role that is not in the group"];
    let n = 0;
    for (const name of ways)
      for (const database of [empty, migrated]) {
        const one = CASES[name];
        if (one === undefined) throw new Error(name);
        await standing(database, one, async (url) => {
          const before = await digest(database);
          const env = {
            SALLYPORT_STORE: url,
            SALLYPORT_STORE_MIGRATE: database.ownerUrl,
            SALLYPORT_LISTEN: "127.0.0.1:0",
            SALLYPORT_DATA: join(folder, String(n), "data"),
            SALLYPORT_KEYS: join(folder, String(n), "keys"),
          };
          const { code, stdout, stderr } = await sallyport(["up"], { cwd: folder, env });
          expect([name, code, stderr]).toEqual([name, 30, expect.stringMatching(one.says)]);
          expect(stderr).toContain("sallyport db roles");
          for (const secret of [url, database.ownerUrl].map((text) => new URL(text).password)) {
            expect(secret.length).toBeGreaterThan(10);
            expect(stdout + stderr).not.toContain(secret);
          }
          expect(await digest(database)).toBe(before);
          const left = await readdir(join(folder, String(n)), { recursive: true }).catch(() => []);
          expect(left.filter((file) => file.endsWith(".db") && !file.endsWith("lock.db"))).toEqual([]);
          n += 1;
        });
      }
    expect(n).toBe(2 * ways.length);
    await rm(folder, { recursive: true });
  });
});

describe("the owner", () => {
  it("is used for migrations alone: once the vault runs, no connection of his is left, and none comes back", async () => {
    const database = await postgresDatabase();
    const root = await connect(database.superuserUrl);
    const users = async (): Promise<readonly string[]> =>
      (
        await root.query<{ usename: string }>(
          "SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() ORDER BY 1",
          [database.name],
        )
      ).rows.map(({ usename }) => usename);
    const open = () =>
      openPostgres({
        address: readAddress(database.url),
        owner: readAddress(database.ownerUrl),
        node: randomBytes(8).toString("hex"),
        scribe,
        clock,
      });
    // The first migrates, the second finds nothing to do.
    for (const times of [1, 2]) {
      const engine = await open();
      await expect.poll(users, { message: `start ${String(times)}` }).toEqual([APP]);
      await Promise.all([engine.slots(), engine.health(), engine.bytes()]);
      expect(await users()).toEqual([APP]);
      await engine.close();
      await expect.poll(users).toEqual([]);
    }
    const { rows } = await root.query<{ owner: string }>(
      "SELECT DISTINCT tableowner AS owner FROM pg_tables WHERE schemaname = 'public'",
    );
    expect(rows).toEqual([{ owner: OWNER }]);
    await root.end();
    await database.remove();
  });
});
