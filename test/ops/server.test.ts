import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { checksOf, examine, inspectStore, migrateStore } from "#ops";
import type { Checked, Finding, Inspection } from "#ops";
import { readSettings } from "#settings";
import { serverChecks } from "../../src/ops/server.ts";
import { postgresDatabase, whyNoDatabase } from "../postgres/database.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { connect } from "../postgres/server.ts";
import { testUnless } from "../unless.ts";

const onServer = testUnless(whyNoDatabase());
const folder = mkdtempSync(join(tmpdir(), "sallyport-doctor-"));
const made: VaultDatabase[] = [];
afterAll(async () => {
  for (const database of made) await database.remove();
  rmSync(folder, { recursive: true });
});

const configOf = async (store: string, more: Record<string, string> = {}) => {
  const flags = { listen: "127.0.0.1:0", ...more };
  return (await readSettings({ flags, env: { SALLYPORT_STORE: store }, folder })).config;
};
const doctor = async (store: string, more: Record<string, string> = {}): Promise<(name: string) => Checked> => {
  const checked = await examine(await configOf(store, more));
  expect(checked.map(({ name }) => name)).toEqual(checksOf("postgres").map(({ name }) => name));
  return (name) => {
    const found = checked.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no check ${name}`);
    if (found.result !== "ok") expect(found.remedy).toMatch(/\S/);
    return found;
  };
};
/** A database, with this version's schema. */
const fresh = async (): Promise<VaultDatabase> => {
  const database = await postgresDatabase();
  made.push(database);
  return database;
};
const migrated = async (): Promise<VaultDatabase> => {
  const database = await fresh();
  const env = { SALLYPORT_STORE: database.url, SALLYPORT_STORE_MIGRATE: database.ownerUrl };
  const { config } = await readSettings({ flags: {}, env, folder });
  expect(await migrateStore(config, { passwordFile: null, waiting: () => undefined })).toContain("0001-first");
  return database;
};

describe("a database with a server", () => {
  onServer("is well in all but that the tests' server does not sync", async () => {
    const { url } = await migrated();
    const look = await doctor(url);
    for (const name of ["database", "database role", "database clock", "connections", "encryption"])
      expect(look(name), name).toMatchObject({ result: "ok" });
    expect(look("database").what).toMatch(/^PostgreSQL \d+\.\d+, .* no vault in it yet$/);
    expect(look("durability")).toMatchObject({
      result: "failed",
      what: expect.stringContaining("fsync off") as string,
    });
    expect(look("key files").result).toBe("ok");
    expect(JSON.stringify(checksOf("postgres").map(({ name }) => look(name)))).not.toContain(new URL(url).password);
  });

  onServer("is failed where it does not answer, is another program's, or lacks migrations", async () => {
    const gone = await doctor("postgres://app:c4nary@127.0.0.1:1/vault");
    expect(gone("database")).toMatchObject({
      result: "failed",
      what: expect.stringContaining("ECONNREFUSED") as string,
    });
    expect(gone("connections").result).toBe("warning");
    const empty = await fresh();
    expect((await doctor(empty.url))("database")).toMatchObject({
      result: "failed",
      remedy: expect.stringContaining("sallyport db migrate") as string,
    });
    const foreign = await fresh();
    const client = await connect(foreign.ownerUrl);
    await client.query("CREATE TABLE customers (id int)");
    await client.end();
    expect((await doctor(foreign.url))("database").what).toContain("another program");
  });

  onServer("is failed with a role that may do too much, and with fewer connections than one node takes", async () => {
    const { ownerUrl, superuserUrl, url } = await migrated();
    for (const unsafe of [ownerUrl, superuserUrl])
      expect((await doctor(unsafe))("database role").result).toBe("failed");
    expect((await doctor(url, { storeConnections: "1000" }))("connections").result).toBe("failed");
    expect((await doctor(url, { storeConnections: "150" }))("connections").result).toBe("warning");
  });

  onServer("is judged by what was seen: clocks, syncs and encryption that a test's server cannot have", async () => {
    const { url } = await migrated();
    const config = await configOf(url);
    const seen = await inspectStore(config, false);
    if (seen?.engine !== "postgres") throw new Error("it is with a server");
    const durable = { fsync: "on", full_page_writes: "on", synchronous_commit: "on" };
    const run = async (name: string, database: Inspection, store = url): Promise<Finding["result"]> => {
      const check = serverChecks.find((one) => one.name === name);
      const scene = { config: await configOf(store), running: null, database, now: new Date() };
      return (await check?.run(scene))?.result ?? "failed";
    };
    const ahead = (clockAheadMs: number) => run("database clock", { ...seen, clockAheadMs });
    expect(await Promise.all([4_000, -4_000, 6_000, -6_000, 61_000, -61_000].map(ahead))).toEqual([
      ...["ok", "ok", "warning", "warning"],
      ...["failed", "failed"],
    ]);
    const commits = (synchronous_commit: string) =>
      run("durability", { ...seen, durability: { ...durable, synchronous_commit } });
    expect(await Promise.all(["on", "remote_apply", "local", "off"].map(commits))).toEqual([
      ...["ok", "ok"],
      ...["warning", "failed"],
    ]);
    const far = "postgres://app@db.example.com/vault?sslmode=disable";
    expect(await run("encryption", { ...seen, encrypted: false }, far)).toBe("warning");
    expect(await run("encryption", { ...seen, encrypted: true }, far)).toBe("ok");
  });
});

test("each check about a server stands in the table once, and none of them is run on a file", () => {
  const names = checksOf("postgres").map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(checksOf("sqlite").filter(({ only }) => only === "postgres")).toEqual([]);
});
