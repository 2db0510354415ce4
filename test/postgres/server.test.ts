import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Authority } from "../certificates.ts";
import { runnerOf } from "./binaries.ts";
import type { Runner } from "./binaries.ts";
import { postgresDatabase, whyNoDatabase } from "./database.ts";
import { OWNER, createRoles } from "./roles.ts";
import { alive } from "./running.ts";
import { PostgresServer, connect } from "./server.ts";

const ends: (() => Promise<unknown>)[] = [];

beforeEach(({ skip }) => {
  const why = whyNoDatabase();
  if (why !== null) skip(why);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

describe("A server of one's own", () => {
  let folder: string;
  let server: PostgresServer;

  beforeAll(async () => {
    if (whyNoDatabase() !== null) return;
    folder = await mkdtemp(join(tmpdir(), "sallyport-tls-"));
    const authority = new Authority();
    const issued = authority.issue("PostgreSQL", { hosts: ["127.0.0.1", "localhost"] });
    await writeFile(join(folder, "root.crt"), authority.certificate);
    await writeFile(join(folder, "server.crt"), issued.certificate);
    await writeFile(join(folder, "server.key"), issued.key);
    const tls = { certificate: join(folder, "server.crt"), key: join(folder, "server.key"), required: true };
    server = await PostgresServer.start({ durable: true, tls });
    await createRoles(server);
  });
  afterAll(async () => {
    if (whyNoDatabase() !== null) return;
    await server.remove();
    expect(existsSync(server.folder)).toBe(false);
    await rm(folder, { recursive: true });
  });

  test("speaks TLS, and where it is required nothing else", async () => {
    await server.createDatabase("shielded", { owner: OWNER });
    const url = server.url("shielded", OWNER);
    const shielded = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    expect(await one(`${url}?sslmode=verify-full&sslrootcert=${join(folder, "root.crt")}`, shielded)).toBe(true);
    await expect(connect(url)).rejects.toMatchObject({ code: "28000" });
    await server.dropDatabase("shielded");
    await expect(connect(`${url}?sslmode=no-verify`)).rejects.toMatchObject({ code: "3D000" });
  });

  test("keeps what was committed when it is killed with its clients at work, and comes back on its port", async () => {
    const client = await server.superuser();
    expect(await settings(client, ["fsync", "full_page_writes", "synchronous_commit", "listen_addresses"])).toEqual({
      fsync: "on",
      full_page_writes: "on",
      synchronous_commit: "on",
      listen_addresses: "127.0.0.1",
    });
    await client.query("CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 100)");
    const waiting = client.query("SELECT pg_sleep(600)").then(
      () => "answered",
      () => "cut off",
    );
    const { port } = server;
    const before = server.processes();
    expect(before.length).toBeGreaterThan(2);

    await server.kill();
    expect(await waiting).toBe("cut off");
    expect(before.filter(alive)).toEqual([]);
    await expect(connect(server.url("postgres"))).rejects.toMatchObject({ code: "ECONNREFUSED" });

    await server.restart();
    expect(server.port).toBe(port);
    expect(await one(server.url("postgres"), "SELECT count(*)::int FROM kept")).toBe(100);
    expect(server.log()).toContain("database system was not properly shut down");

    await server.stop("fast");
    expect(server.processes()).toEqual([]);
    await server.restart();
  });

  test("has a standby that commits wait for, and that takes over", async () => {
    const standby = await server.standby("second", { synchronous: true });
    await one(server.url("postgres"), "CREATE TABLE moved AS SELECT 7 AS n; SELECT 1");
    expect(
      await one(server.url("postgres"), "SELECT sync_state FROM pg_stat_replication WHERE application_name = 'second'"),
    ).toBe("sync");
    await expect(one(standby.url("postgres"), "CREATE TABLE refused ()")).rejects.toMatchObject({ code: "25006" });

    await standby.stop("immediate");
    const client = await server.superuser();
    const commit = client.query("INSERT INTO moved VALUES (8)");
    expect(await Promise.race([commit.then(() => "committed"), commitWaits(server)])).toBe("waits");
    await standby.restart();
    await commit;
    await client.end();

    await server.kill();
    await standby.promote();
    expect(await one(standby.url("postgres"), "INSERT INTO moved VALUES (9) RETURNING n")).toBe(9);
    expect(await one(standby.url("postgres"), "SELECT array_agg(n ORDER BY n) FROM moved")).toEqual([7, 8, 9]);
    await standby.remove();
    await server.restart();
    await server.configure({ synchronous_standby_names: "" });
  });

  test("that cannot start says what its log says", async () => {
    await server.configure({ shared_preload_libraries: "no_such_library" });
    await expect(server.restart()).rejects.toThrow(/PostgreSQL did not start:[^]*no_such_library/);
    expect(server.processes()).toEqual([]);
  });

  test("is not made in a folder that holds anything", async () => {
    await expect(PostgresServer.start({ folder })).rejects.toThrow("which is not empty");
    expect(existsSync(join(folder, "root.crt"))).toBe(true);
  });
});

describe("A server", () => {
  test("is gone with its folders when the process that started it is killed", async () => {
    await outlivedByNothing(null);
  });

  test("is started by an unprivileged user as by root", async ({ skip }) => {
    const runner = runnerOf();
    if (runner === null) return skip("only root can start a process as someone else");
    if (!readableBy(runner)) return skip("the unprivileged user cannot read this checkout");
    await outlivedByNothing(runner);
  });
});

describe("A database on the server of the run", () => {
  test("is new each time, and each role has its rights in it and no more", async () => {
    const [first, second] = [await database(), await database()];
    expect(first.name).not.toBe(second.name);
    await one(
      first.ownerUrl,
      "CREATE TABLE mine AS SELECT 1 AS n; GRANT SELECT ON mine TO sallyport_service; SELECT 1",
    );
    expect(await one(first.url, "SELECT n FROM mine")).toBe(1);
    await expect(one(second.ownerUrl, "SELECT n FROM mine")).rejects.toMatchObject({ code: "42P01" });

    for (const refused of [
      "CREATE TABLE own ()",
      "CREATE TEMPORARY TABLE own ()",
      "CREATE SCHEMA own",
      "DROP TABLE mine",
    ])
      await expect(one(first.url, refused), refused).rejects.toMatchObject({ code: "42501" });
    await expect(one(first.url, "CREATE DATABASE own")).rejects.toMatchObject({ code: "42501" });
    expect(
      await one(
        first.superuserUrl,
        "SELECT encoding || ' ' || datcollate FROM (SELECT pg_encoding_to_char(encoding) AS encoding, datcollate" +
          " FROM pg_database WHERE datname = current_database()) AS here",
      ),
    ).toBe("UTF8 C");
  });

  test("takes a password, and only the right one", async () => {
    const { url } = await database();
    const wrong = new URL(url);
    wrong.password = "wrong";
    await expect(connect(wrong.href)).rejects.toMatchObject({ code: "28P01" });
  });

  test("can be a copy of another, and is gone when it is removed", async () => {
    const model = await database();
    await one(model.ownerUrl, "CREATE TABLE model AS SELECT 3 AS n; SELECT 1");
    const copy = await postgresDatabase({ template: model.name });
    expect(await one(copy.ownerUrl, "SELECT n FROM model")).toBe(3);
    await copy.remove();
    await expect(connect(copy.url)).rejects.toMatchObject({ code: "3D000" });
  });
});

async function database(): ReturnType<typeof postgresDatabase> {
  const made = await postgresDatabase();
  ends.push(() => made.remove());
  return made;
}

/** The one value in the first row of the last statement. */
async function one(url: string, sql: string): Promise<unknown> {
  const client = await connect(url);
  try {
    const results = [await client.query(sql)].flat() as pg.QueryResult<Record<string, unknown>>[];
    return Object.values(results.at(-1)?.rows[0] ?? {})[0];
  } finally {
    await client.end();
  }
}

async function settings(client: pg.Client, names: string[]): Promise<Record<string, unknown>> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    "SELECT name, setting FROM pg_settings WHERE name = ANY ($1)",
    [names],
  );
  return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
}

/** "waits" once a commit waits for a standby. */
async function commitWaits(server: PostgresServer): Promise<string> {
  const waiting = "SELECT count(*)::int FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
  await expect.poll(() => one(server.url("postgres"), waiting)).toBe(1);
  return "waits";
}

function readableBy(runner: Runner): boolean {
  const script = join(import.meta.dirname, "server.ts");
  const tsx = join(import.meta.dirname, "../../node_modules/tsx/package.json");
  const read = `for (const path of ${JSON.stringify([script, tsx])}) require("node:fs").readFileSync(path)`;
  return spawnSync(process.execPath, ["-e", read], { ...runner, cwd: "/" }).status === 0;
}

/** Starts a process that starts a server, kills it, and waits until nothing is left. */
async function outlivedByNothing(runner: Runner | null): Promise<void> {
  const parent = spawn(process.execPath, ["--import", "tsx", join(import.meta.dirname, "lone-parent.ts")], {
    stdio: ["ignore", "pipe", "inherit"],
    cwd: join(import.meta.dirname, "../.."),
    ...(runner ?? {}),
  });
  ends.push(async () => parent.kill("SIGKILL"));
  const [line] = (await once(createInterface(parent.stdout), "line")) as [string];
  const said = JSON.parse(line) as { uid: number; one: number; folder: string; processes: number[] };
  expect(said.one).toBe(1);
  expect(said.uid).toBe(runner?.uid ?? process.getuid?.());
  expect(said.processes.length).toBeGreaterThan(2);
  expect(said.processes.every(alive)).toBe(true);
  expect(existsSync(said.folder)).toBe(true);

  parent.kill("SIGKILL");
  await expect.poll(() => said.processes.filter(alive)).toEqual([]);
  // The folder of the programs, in which that of the data is.
  await expect.poll(() => existsSync(join(said.folder, ".."))).toBe(false);
}
