import { chmod, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kysely, Migrator, SqliteDialect } from "kysely";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { up as first } from "../../src/storage/migrations/0001-first.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";
import { startVault } from "../harness.ts";
import type { TestVault } from "../harness.ts";

const Driver = loadDriver();
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Puts every row of a vault's database into one that the first migration alone made, in the other's place. */
async function asFirstMade(file: string): Promise<void> {
  const old = `${file}.old`;
  const db = new Driver(old);
  const kysely = new Kysely<unknown>({ dialect: new SqliteDialect({ database: db }) });
  const migrations = { "0001-first": { up: (on: Kysely<unknown>) => first(on, "sqlite") } };
  const provider = { getMigrations: () => Promise.resolve(migrations) };
  const { error } = await new Migrator({ db: kysely, provider }).migrateToLatest();
  expect(error).toBeUndefined();
  db.pragma("foreign_keys = OFF");
  db.exec(`ATTACH '${file}' AS now`);
  const tables = db
    .prepare("SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'kysely_%'")
    .pluck()
    .all() as string[];
  for (const table of tables) {
    const columns = (db.pragma(`main.table_info(${table})`) as { name: string }[]).map((one) => one.name).join(", ");
    db.exec(`INSERT INTO main.${table} (${columns}) SELECT ${columns} FROM now.${table}`);
  }
  db.close();
  for (const part of [file, `${file}-wal`, `${file}-shm`]) await rm(part, { force: true });
  await rename(old, file);
  await chmod(file, 0o600);
}

const columnsOf = (file: string, table: string): string[] => {
  const db = new Driver(file, { readonly: true });
  const names = (db.pragma(`table_info(${table})`) as { name: string }[]).map((one) => one.name);
  db.close();
  return names;
};

describe("a database that an earlier version made", () => {
  it("is taken over with all its rows, which prove themselves, and its log", async () => {
    const file = join(folder, "data", "vault.db");
    let vault: TestVault = await startVault({ folder });
    const params = { environment: "dev", namespace: "default", secret: "KEPT" };
    await vault.owner.do("secret.write", { params, body: { value: "one", tags: ["old"], owner: "team" } });
    await vault.owner.do("secret.write", { params, body: { value: "two" } });
    await vault.owner.do("secret.policy", { params, body: { workloads: ["default/default"] } });
    await vault.owner.do("secret.write", { params: { ...params, secret: "GONE" }, body: { value: "x" } });
    await vault.owner.do("secret.delete", { params: { ...params, secret: "GONE" } });
    const before = await vault.owner.do("secret.get", { params });
    const minted = await vault.owner.do("token.mint", {
      params: { namespace: "default", workload: "default" },
      body: { environment: "dev", ttlSeconds: 900 },
    });
    await vault.close();
    await asFirstMade(file);
    expect(columnsOf(file, "secrets")).not.toContain("last_used_at");

    vault = await startVault({ folder });
    const reveal = async (version: number) =>
      (await vault.owner.do("secret.reveal", { params, body: { reason: "after the migration", version } })).value;
    expect([await reveal(1), await reveal(2)]).toEqual(["one", "two"]);
    expect(await vault.owner.do("secret.get", { params })).toEqual({ ...before, lastUsed: null });
    expect((await vault.owner.do("secret.search", { query: { tag: "old" } })).items.map((one) => one.name)).toEqual([
      "KEPT",
    ]);
    await vault.owner.do("secret.restore", { params: { ...params, secret: "GONE" } });
    const launched = await vault.anonymous
      .as(minted.items[0]?.token ?? "")
      .do("token.exchange", { query: { format: "json" } });
    expect(launched.variables.KEPT?.value).toBe("two");
    expect(await vault.owner.do("audit.verify")).toMatchObject({ intact: true, faults: [] });
    await vault.close();
    expect(columnsOf(file, "secrets")).toContain("last_used_at");

    vault = await startVault({ folder });
    expect((await vault.owner.do("secret.get", { params })).lastUsed).toMatchObject({ workload: "default/default" });
    await vault.close();
  });
});
