import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startVault } from "../harness.ts";
import { postgresDatabase, whyNoDatabase } from "../postgres/database.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { PostgresServer, connect } from "../postgres/server.ts";
import { testUnless } from "../unless.ts";
import { sallyport } from "./harness.ts";
import type { Ran } from "./harness.ts";
import { LOCKS } from "../../src/storage/postgres/locks.ts";

const why = whyNoDatabase();
const onServer = testUnless(why);
const folder = mkdtempSync(join(tmpdir(), "sallyport-db-"));
const made: VaultDatabase[] = [];
afterAll(async () => {
  for (const database of made) await database.remove();
  rmSync(folder, { recursive: true });
});
const fresh = async (): Promise<VaultDatabase> => {
  const database = await postgresDatabase();
  made.push(database);
  return database;
};
const migrate = (url: string, more = ""): Promise<Ran> =>
  sallyport(`db migrate ${more}`, { folder, env: { SALLYPORT_STORE_MIGRATE: url } });
const statusOf = (url: string, more = ""): Promise<Ran> =>
  sallyport(`db status ${more}`, { folder, env: { SALLYPORT_STORE: url } });

describe("`sallyport db roles`", () => {
  test("refuses names that would have to be quoted, and roles that are one", async () => {
    for (const wrong of ["--database x-y", "--owner Owner", "--service a;b", "--service sallyport_owner"])
      expect((await sallyport(`db roles ${wrong}`)).code, wrong).toBe(7);
    expect((await sallyport("db roles --owner sallyport_service")).stderr).toContain("three roles");
    expect((await sallyport("db roles --json --database vault")).out).toContain("CREATE DATABASE vault OWNER");
  });

  describe("on a server of its own", () => {
    let server: PostgresServer;
    beforeAll(async () => {
      if (why === null) server = await PostgresServer.start();
    });
    afterAll(async () => {
      if (why === null) await server.remove();
    });

    onServer("prints what makes a database in which a vault starts, statement by statement", async () => {
      const { code, out } = await sallyport("db roles --database vault --owner vault_owner --service vault_app");
      expect(code).toBe(0);
      let client = await server.superuser();
      for (const line of out.replace(/^--.*\n/gm, "").split(/;?\n/)) {
        const [, database] = /^\\connect (\w+)$/.exec(line) ?? [];
        if (database !== undefined) {
          await client.end();
          client = await server.superuser(database);
        } else if (line !== "" && line !== "\\set ON_ERROR_STOP on") await client.query(line);
      }
      for (const role of ["vault_owner", "vault_app"]) await server.givePassword(role);
      await client.end();

      expect((await statusOf(server.url("vault", "vault_app"))).code).toBe(29);
      const before = new URL(server.url("vault", "vault_owner"));
      writeFileSync(join(folder, "owner.password"), `${before.password}\n`, { mode: 0o600 });
      before.password = "";
      const taken = await sallyport(`db migrate --store-migrate ${before.href} --password-file owner.password`, {
        folder,
      });
      expect(taken).toMatchObject({ code: 0 });
      expect(taken.out).toMatch(/^0001-first\n/);

      const app = new URL(server.url("vault", "vault_app"));
      writeFileSync(join(folder, "app.password"), app.password, { mode: 0o600 });
      app.password = "";
      const vault = await startVault({
        settings: { store: app.href, storePasswordFile: join(folder, "app.password") },
      });
      try {
        expect((await vault.owner.do("status.get")).store).toBe("postgres");
        const seen = await statusOf(server.url("vault", "vault_app"));
        expect(seen).toMatchObject({ code: 0 });
        expect(seen.out).toMatch(/^0 +yes /m);
        expect(seen.out).not.toContain(server.facts().passwords.vault_app);
      } finally {
        await vault.close();
      }
    });
  });
});

describe("`sallyport db migrate`", () => {
  onServer("takes each migration once, and says what it took", async () => {
    const { ownerUrl, url } = await fresh();
    expect((await statusOf(url)).out).toContain("0001-first");
    const first = await migrate(ownerUrl, "--json");
    const { migrations } = JSON.parse(first.out) as { migrations: string[] };
    expect(migrations).toContain("0001-first");
    expect(first.out + first.stderr).not.toContain(new URL(ownerUrl).password);
    const second = await migrate(ownerUrl);
    expect(second).toMatchObject({ code: 0, out: "" });
    expect(second.stderr).toContain("Nothing was missing");
    expect((await statusOf(url, "--json")).code).toBe(0);
  });

  onServer("waits while another migrates, and says so", async () => {
    const { ownerUrl, superuserUrl } = await fresh();
    const other = await connect(ownerUrl);
    await other.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCKS.schema})`);
    const ran = migrate(ownerUrl);
    const watcher = await connect(superuserUrl);
    const waiting = async (): Promise<number> =>
      (await watcher.query("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")).rowCount ?? 0;
    await expect.poll(waiting).toBe(1);
    await other.query("COMMIT");
    await other.end();
    await watcher.end();
    const { code, stderr, out } = await ran;
    expect(code).toBe(0);
    expect(stderr).toContain("waiting until it has");
    expect(out).toContain("0001-first");
  });

  onServer("takes each once where several run it at the same time", async () => {
    const { ownerUrl } = await fresh();
    const all = await Promise.all([migrate(ownerUrl), migrate(ownerUrl), migrate(ownerUrl)]);
    expect(all.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(all.filter(({ out }) => out.includes("0001-first"))).toHaveLength(1);
  });

  onServer("ends with the code of what is wrong", async () => {
    const [mine, foreign, newer] = [await fresh(), await fresh(), await fresh()];
    expect((await sallyport("db migrate", { folder })).code).toBe(20);
    const unreachable = await migrate("postgres://owner:pass@127.0.0.1:1/x");
    expect(unreachable).toMatchObject({ code: 28 });
    expect(unreachable.stderr).toContain("ECONNREFUSED");
    expect(unreachable.stderr).not.toContain("pass@");
    const service = await migrate(mine.url);
    expect(service).toMatchObject({ code: 28 });
    expect(service.stderr).toContain("not the owner");

    await query(foreign.ownerUrl, "CREATE TABLE customers (id int)");
    expect((await migrate(foreign.ownerUrl)).code).toBe(25);
    await migrate(newer.ownerUrl);
    await query(newer.ownerUrl, "INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-later', 'now')");
    const old = await migrate(newer.ownerUrl);
    expect(old).toMatchObject({ code: 25 });
    expect(old.stderr).toContain("9999-later");
  });
});

async function query(url: string, sql: string): Promise<void> {
  const client = await connect(url);
  await client.query(sql);
  await client.end();
}
