import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect } from "vitest";
import { SECOND, systemClock } from "#base";
import type { Clock } from "#base";
import { createIdSource, createRootKeyFile, createSigningKeyFile } from "#crypto";
import { readSettings } from "#settings";
import { createVault } from "../src/vault.ts";
import type { Overrides, Vault } from "../src/vault.ts";
import { CHEAP_PASSWORDS, Client, PASSWORD, TEST_LAG_MS, send } from "./harness.ts";
import { postgresDatabase, whyNoDatabase } from "./postgres/database.ts";
import { createRoles, createVaultDatabase } from "./postgres/roles.ts";
import type { VaultDatabase } from "./postgres/roles.ts";
import { PostgresServer, connect } from "./postgres/server.ts";
import { testUnless } from "./unless.ts";

const why = whyNoDatabase();
const onServer = testUnless(why);
const running = new Set<Vault>();
const lasts: (() => unknown)[] = [];
afterEach(async () => {
  for (const vault of running) await stop(vault);
});
afterAll(async () => {
  for (const end of lasts.splice(0).reverse()) await end();
});

const folderOf = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-nodes-"));
  lasts.push(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
};
const fresh = async (): Promise<VaultDatabase> => {
  const database = await postgresDatabase();
  lasts.push(() => database.remove());
  return database;
};

/** One node with a data folder of its own. */
async function node(
  database: VaultDatabase,
  { keys, owner = true, overrides = {} }: { keys: string; owner?: boolean; overrides?: Overrides },
): Promise<Vault> {
  const folder = folderOf();
  const { config } = await readSettings({
    flags: { data: join(folder, "data"), keys, listen: "127.0.0.1:0", maxFailures: "1000000" },
    env: { SALLYPORT_STORE: database.url, ...(owner ? { SALLYPORT_STORE_MIGRATE: database.ownerUrl } : {}) },
    folder,
  });
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const vault = await createVault(config, "0.0.0-test", quiet, {
    passwords: CHEAP_PASSWORDS,
    checkAnswers: true,
    maxLagMs: TEST_LAG_MS,
    ...overrides,
  });
  running.add(vault);
  return vault;
}

const ownerOf = async (vault: Vault): Promise<Client> => {
  const anonymous = new Client(vault.url, null);
  const token = vault.founded?.setUpToken.reveal() ?? "";
  return anonymous.as((await anonymous.as(token).do("set-up.complete", { body: { password: PASSWORD } })).token);
};
const ready = async (vault: Vault): Promise<{ status: number; checks: Record<string, string> }> => {
  const { status, body } = await send(vault.url, { method: "GET", path: "/readyz" });
  return { status, checks: (body as { checks: Record<string, string> }).checks };
};

describe("a start on a shared database", () => {
  onServer(
    "is refused without its schema and without the owner's address, and the remedy names the command",
    async () => {
      const database = await fresh();
      const keys = join(folderOf(), "keys");
      await expect(node(database, { keys, owner: false })).rejects.toMatchObject({
        code: "migration_needed",
        message: expect.stringContaining("0001-first") as string,
      });
      expect(existsSync(keys)).toBe(false);
      await node(database, { keys });
      const further = await node(database, { keys, owner: false });
      expect((await ready(further)).status).toBe(200);
    },
  );

  onServer("is refused where a newer version has migrated", async () => {
    const database = await fresh();
    const keys = join(folderOf(), "keys");
    await stop(await node(database, { keys }));
    await query(database.ownerUrl, "INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-later', 'now')");
    for (const owner of [true, false])
      await expect(node(database, { keys, owner })).rejects.toMatchObject({ code: "schema_unknown" });
  });

  onServer("founds once where two nodes with the same keys begin at the same time", async () => {
    const database = await fresh();
    const keys = join(folderOf(), "keys");
    const both = await Promise.all([node(database, { keys }), node(database, { keys })]);
    const [first] = both.filter(({ founded }) => founded !== null);
    expect(both.map(({ founded }) => founded === null).sort()).toEqual([false, true]);
    if (first === undefined) throw new Error("nobody founded");
    const owner = await ownerOf(first);
    for (const vault of both) {
      expect((await ready(vault)).status).toBe(200);
      const { instance } = await new Client(vault.url, owner.token).do("status.get");
      expect(instance?.nodes.map(({ slot, held }) => ({ slot, held }))).toEqual([
        { slot: 0, held: true },
        { slot: 1, held: true },
      ]);
      expect(instance?.nodes.filter(({ own }) => own)).toHaveLength(1);
    }
  });

  onServer("is refused to one of two that begin with keys of their own, and leaves none behind", async () => {
    const database = await fresh();

    const keys = [join(folderOf(), "keys"), join(folderOf(), "keys")] as const;
    const both = await Promise.allSettled(keys.map((one) => node(database, { keys: one })));
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const at = both.findIndex(({ status }) => status === "rejected");
    const refused = both[at];
    if (refused?.status !== "rejected") throw new Error("both started");
    // Or it came after the other had founded, and made none.
    expect(["key_file_invalid", "key_file_missing"]).toContain((refused.reason as { code: string }).code);
    expect(String(refused.reason)).toContain("copy of the first one's keys folder");
    const [right, wrong] = at === 0 ? [keys[1], keys[0]] : keys;
    expect(existsSync(wrong) ? readdirSync(wrong) : []).toEqual([]);
    cpSync(right, wrong, { recursive: true });
    expect((await ready(await node(database, { keys: wrong }))).status).toBe(200);
  });

  onServer("is refused with another root key or another checkpoint key than the first node's", async () => {
    const database = await fresh();
    const keys = join(folderOf(), "keys");
    await node(database, { keys });
    const ids = createIdSource(systemClock);
    const none = join(folderOf(), "none");
    await expect(node(database, { keys: none })).rejects.toMatchObject({ code: "key_file_missing" });

    const root = join(folderOf(), "keys");
    await createRootKeyFile(join(root, "root.key"), ids);
    cpSync(join(keys, "checkpoint.key"), join(root, "checkpoint.key"));
    await expect(node(database, { keys: root })).rejects.toMatchObject({
      code: "key_file_invalid",
      message: expect.stringContaining("copy") as string,
    });

    const signing = join(folderOf(), "keys");
    await createSigningKeyFile(join(signing, "checkpoint.key"), ids);
    cpSync(join(keys, "root.key"), join(signing, "root.key"));
    await expect(node(database, { keys: signing })).rejects.toMatchObject({
      code: "key_file_invalid",
      message: expect.stringContaining("checkpoint key") as string,
    });
    expect(existsSync(join(signing, "checkpoint.pub"))).toBe(false);
  });
});

/** A machine whose clock is wrong by so much. */
class Wrong implements Clock {
  byMs: number;

  constructor(byMs: number) {
    this.byMs = byMs;
  }

  now(): Date {
    return new Date(Date.now() + this.byMs);
  }

  readonly elapsedMs = (): number => performance.now();
}

describe("a node whose clock is not the database server's", () => {
  const told = async (database: VaultDatabase): Promise<number> => {
    const client = await connect(database.superuserUrl);
    const { rows } = await client.query<{ clock: string }>("SELECT max(clock) AS clock FROM nodes");
    await client.end();
    return Number(rows[0]?.clock ?? 0);
  };

  onServer("does not start from a minute on, and tells no other node of its time", async () => {
    const database = await fresh();
    const keys = join(folderOf(), "keys");
    await stop(await node(database, { keys }));
    for (const byMs of [3_600_000, -3_600_000]) {
      const overrides = { clock: new Wrong(byMs), maxSkewMs: 60 * SECOND };
      await expect(node(database, { keys, overrides })).rejects.toMatchObject({
        code: "store_unavailable",
        message: expect.stringContaining(byMs > 0 ? "ahead of" : "behind") as string,
      });
    }
    expect(await told(database)).toBeLessThan(Date.now() + 61 * SECOND);
    expect((await ready(await node(database, { keys }))).status).toBe(200);
  });

  onServer("warns from five seconds on, and is not ready from a minute on until the clock is right", async () => {
    const database = await fresh();
    const clock = new Wrong(10 * SECOND);
    const vault = await node(database, {
      keys: join(folderOf(), "keys"),
      overrides: { clock, maxSkewMs: 60 * SECOND },
    });
    const owner = await ownerOf(vault);
    const warnings = async (): Promise<string> => (await owner.do("status.get")).warnings.join("\n");
    expect(await warnings()).toContain("10 seconds ahead of the database server's");
    expect(await ready(vault)).toMatchObject({ status: 200, checks: { clock: "ok" } });
    clock.byMs = 120 * SECOND;
    await expect.poll(async () => (await ready(vault)).status, { timeout: 30_000 }).toBe(503);
    expect((await ready(vault)).checks.clock).toMatch(/(120 seconds|2 minutes) ahead of the database server's/);
    expect(await told(database)).toBeLessThan(Date.now() + 61 * SECOND);
    clock.byMs = 0;
    await expect.poll(async () => (await ready(vault)).status, { timeout: 30_000 }).toBe(200);
    expect(await warnings()).not.toContain("database server's");
  });
});

describe("a node whose database server goes", () => {
  onServer("says so at /readyz, in the log's words, and goes on when it is back", async () => {
    const server = await PostgresServer.start();
    lasts.push(() => server.remove());
    await createRoles(server);
    const database = await createVaultDatabase(server.facts());
    const vault = await node(database, { keys: join(folderOf(), "keys") });
    const metrics = async (): Promise<string> => (await send(vault.url, { method: "GET", path: "/metrics" })).text;
    expect(await metrics()).toMatch(/^sallyport_store_connections\{state="idle"\} [1-9]/m);
    expect(await metrics()).toMatch(/^sallyport_store_connections_waiting 0$/m);
    expect(await metrics()).toMatch(/^sallyport_clock_ahead_of_database_seconds -?[\d.e-]+$/m);
    await server.kill();
    await expect.poll(async () => (await ready(vault)).status, { timeout: 60_000 }).toBe(503);
    expect((await ready(vault)).checks.store).toMatch(/^not writable: .*\((ECONNREFUSED|ECONNRESET|57P\d\d)\)$/);
    await server.restart();
    await expect.poll(async () => (await ready(vault)).status, { timeout: 60_000 }).toBe(200);
  });
});

async function stop(vault: Vault): Promise<void> {
  running.delete(vault);
  await vault.close();
}

async function query(url: string, sql: string): Promise<void> {
  const client = await connect(url);
  await client.query(sql);
  await client.end();
}
