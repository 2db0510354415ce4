import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type pg from "pg";
import { isVaultError } from "#base";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { PROGRAM, cleanEnv, sallyport, startServer, startVault } from "../harness.ts";
import type { Ran } from "../harness.ts";
import type { At } from "../ops/moving.ts";
import { dump, freshDatabase, freshFolder, moveBetween, rowsIn, split, vaultOn } from "../ops/moving.ts";
import { whyNoDatabase } from "../postgres/database.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { connect } from "../postgres/server.ts";
import { live } from "../storage/behind-the-back.ts";
import { describeUnless } from "../unless.ts";

const databases: VaultDatabase[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const database of databases.splice(0)) await database.remove();
});
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

async function databaseOf(): Promise<VaultDatabase> {
  const database = await freshDatabase();
  databases.push(database);
  return database;
}

/** A stopped vault, made once: it is only read. */
let folder = "";
let data = "";
beforeAll(async () => {
  folder = freshFolder();
  folders.push(folder);
  data = join(folder, "data");
  const vault = await startVault({ folder });
  await live(vault);
  await vault.vault.close();
}, 60_000);

interface Named {
  readonly place: string;
  readonly options: readonly string[];
  readonly passwords: readonly string[];
}

/** A database as it is named on the command line, with its passwords in files. */
function target(database: VaultDatabase): Named {
  const [app, owner] = [split(database.url, folder), split(database.ownerUrl, folder)];
  const options = [
    "--to-password-file",
    app.file,
    "--schema-owner",
    owner.url,
    "--schema-owner-password-file",
    owner.file,
  ];
  return { place: app.url, options, passwords: [app.password, owner.password] };
}

const migrate = (args: readonly string[], env: Record<string, string> = {}): Promise<Ran> =>
  sallyport(["migrate", ...args], { cwd: folder, env });

function expectRefusal(ran: Ran, code: number, ...why: readonly string[]): void {
  expect(ran).toMatchObject({ code, stdout: "" });
  for (const part of why) expect(ran.stderr).toContain(part);
  expect(ran.stderr).not.toMatch(/\n\s+at |undefined|\[object/);
}

describeUnless(whyNoDatabase())("`sallyport migrate`", () => {
  test(
    "takes a vault up, names each table, and no password stands in what it prints or logs",
    { timeout: 60_000 },
    async () => {
      const database = await databaseOf();
      const { place, options, passwords } = target(database);
      const ran = await migrate(["--from", "sqlite:./data", "--to", place, ...options]);
      expect([ran.code, ran.stderr]).toEqual([
        0,
        expect.stringContaining(`Start it there: sallyport up --store ${place}`),
      ]);
      expect(await dump({ postgres: database })).toEqual(await dump({ sqlite: data }));
      expect(ran.stdout).toMatch(/^TABLE +ROWS +DIGEST\n/);
      expect(ran.stdout).toMatch(/\nsecret_versions +4 +[0-9a-f]{16}\n/);
      expect(ran.stdout).toContain("Every row is the same");
      for (const step of [
        "Rows copied: ",
        "Rows compared: ",
        "Rows that prove themselves: ",
        "Values that open: 4 of 4",
        "Audit logs verified: 3 of 3",
      ])
        expect(ran.stderr).toContain(step);
      for (const password of passwords) {
        expect(password.length).toBeGreaterThan(8);
        expect(ran.stdout + ran.stderr).not.toContain(password);
      }

      const again = await migrate(["--from", "sqlite:./data", "--to", place, ...options]);
      expectRefusal(again, 6, "holds this vault already, whole", "Choose another folder or database");
    },
  );

  test(
    "takes the store of the settings for the place that is not named, passwords from variables included",
    { timeout: 60_000 },
    async () => {
      const database = await databaseOf();
      const env = { SALLYPORT_STORE: database.url, SALLYPORT_STORE_MIGRATE: database.ownerUrl };
      const up = await migrate(["--from", "sqlite", "--json"], env);
      expect([up.code, up.stderr]).toEqual([0, ""]);
      const told = JSON.parse(up.stdout) as { tables: { table: string; rows: number; digest: string }[]; to: string };
      expect(told).toMatchObject({ continued: false, orgs: 2, values: 4, from: `sqlite:${data}` });
      expect(told.to).toBe(split(database.url, folder).url);
      const below = join(folder, "below");
      const down = await migrate(["--to", `sqlite:${below}`, "--json"], env);
      expect(JSON.parse(down.stdout)).toMatchObject({ tables: told.tables });
      expect(await dump({ sqlite: below })).toEqual(await dump({ sqlite: data }));
      for (const { password } of [split(database.url, folder), split(database.ownerUrl, folder)])
        expect(up.stdout + down.stdout + down.stderr).not.toContain(password);
    },
  );

  test("refuses what is no place, the same place twice, and a password in an option", async () => {
    const password = "not-to-be-seen-1";
    for (const [args, ...why] of [
      [[], "--from or --to"],
      [["--from", "sqlite:./data", "--to", "sqlite:data"], "the same"],
      [["--from", "sqlite:./data", "--to", "mysql://db/x"], "--to is no place"],
      [["--from", "data", "--to", "sqlite:x"], "--from is no place"],
      [
        ["--from", "sqlite:./data", "--to", `postgres://app:${password}@localhost/x`],
        "--to holds a password",
        "--to-password-file",
      ],
      [["--to", "sqlite:x", "--from", `postgres://app:${password}@localhost/x`], "--from holds a password"],
      [
        [
          "--from",
          "sqlite:./data",
          "--to",
          "postgres://app@localhost/x",
          "--schema-owner",
          `postgres://o:${password}@localhost/x`,
        ],
        "--schema-owner holds a password",
      ],
      [
        ["--from", "sqlite:./data", "--to", "sqlite:x", "--schema-owner", "postgres://o@localhost/x"],
        "SQLite has no roles",
      ],
      [["--from", "sqlite:./data", "--from-password-file", "f", "--to", "sqlite:x"], "SQLite has no roles"],
    ] as const) {
      const ran = await migrate(args);
      expectRefusal(ran, 2, ...why);
      expect(ran.stderr).not.toContain(password);
    }
    expect(existsSync(join(folder, "x"))).toBe(false);
  }, 60_000);

  test(
    "refuses a running source and a running target, wrong keys, a database without a schema and one that does not answer",
    { timeout: 120_000 },
    async () => {
      const other = freshFolder();
      folders.push(other);
      const running = await startServer(other);
      const from = ["--from", `sqlite:${join(other, "data")}`, "--keys", join(other, "keys")];
      expectRefusal(await migrate([...from, "--to", "sqlite:x"]), 24, "is locked by a running process");
      expectRefusal(
        await migrate(["--from", "sqlite:./data", "--to", `sqlite:${join(other, "data")}`]),
        24,
        "is locked",
      );
      running.kill("SIGTERM");
      await running.ended;
      expectRefusal(
        await migrate(["--from", "sqlite:./data", "--keys", join(other, "keys"), "--to", "sqlite:./wrong"]),
        22,
        "is not the one of the vault to copy",
      );
      expectRefusal(await migrate(["--from", "sqlite:./nothing", "--to", "sqlite:./x"]), 25, "There is no vault in");

      const database = await databaseOf();
      const { place, options, passwords } = target(database);
      const withoutOwner = options.slice(0, 2);
      expectRefusal(await migrate(["--from", "sqlite", "--to", place, ...withoutOwner]), 29, "--schema-owner");
      expectRefusal(
        await migrate(["--from", "sqlite", "--to", "postgres://nobody@127.0.0.1:1/x"]),
        28,
        "nothing answers",
        "Nothing was copied.",
      );
      writeFileSync(options[1] ?? "", "wrong-password\n");
      const refused = await migrate(["--from", "sqlite", "--to", place, ...options]);
      expectRefusal(refused, 28, "refuses the role or its password");
      expect(refused.stderr).not.toContain("wrong-password");
      expect(refused.stderr).not.toContain(passwords[1]);

      await moveBetween(folder, { sqlite: data }, { postgres: database });
      // What the copy does from here on is nothing that the vault in this folder did: its file knows of it for this test only.
      const checkpoints = join(data, "checkpoints.log");
      const signed = readFileSync(checkpoints);
      const shared = await vaultOn(folder, { postgres: database });
      const app = split(database.url, folder);
      expectRefusal(
        await migrate(["--from", app.url, "--from-password-file", app.file, "--to", "sqlite:./y"]),
        6,
        "runs on the source",
        "Stop the vault",
      );
      await shared.vault.close();
      writeFileSync(checkpoints, signed);
    },
  );

  test("Ctrl-C leaves a target that starts nowhere and can be continued", { timeout: 60_000 }, async () => {
    const database = await databaseOf();
    const args = ["--from", "sqlite:./data", "--to", target(database).place, ...target(database).options];
    await makeSchema(database);
    const stopped = await stoppedAt(database, "secrets", args, "SIGINT");
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toContain("Run the same again: it goes on.");
    const ran = await migrate(args);
    expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining("Start it there")]);
    expect(await dump({ postgres: database })).toEqual(await dump({ sqlite: data }));
  });

  const up = [
    "meta",
    "orgs",
    "keys",
    "principals",
    "grants",
    "secrets",
    "secret_versions",
    "exchanges",
    "audit_events",
    "audit_checkpoints",
    "nodes",
  ];
  test.each(up)(
    "killed with -9 while it writes %s starts nowhere, and the same again makes it whole",
    { timeout: 60_000 },
    async (table) => {
      const database = await databaseOf();
      const { place, options } = target(database);
      await makeSchema(database);
      const args = ["--from", "sqlite:./data", "--to", place, ...options];
      const killed = await stoppedAt(database, table, args, "SIGKILL");
      expect(killed).toMatchObject({ code: null, signal: "SIGKILL" });
      const begun = rowsIn(await dump({ postgres: database }));
      expect(begun).toBeLessThan(rowsIn(await dump({ sqlite: data })));
      // Before the first row there is no mark, and nothing that a mark would be for.
      if (table !== "meta") expect(await startOn({ postgres: database })).toBe("copy_unfinished");
      const ran = await migrate([...args, "--json"]);
      expect([ran.code, ran.stderr]).toEqual([0, ""]);
      expect(JSON.parse(ran.stdout)).toMatchObject({ continued: table !== "meta" });
      expect(await dump({ postgres: database })).toEqual(await dump({ sqlite: data }));
    },
  );

  test(
    "killed with -9 when all is there and only the mark stands, it starts nowhere until it has been verified again",
    { timeout: 60_000 },
    async () => {
      const database = await databaseOf();
      const { place, options } = target(database);
      await makeSchema(database);
      const args = ["--from", "sqlite:./data", "--to", place, ...options];
      const [nodes, meta] = [await connect(database.superuserUrl), await connect(database.superuserUrl)];
      try {
        await lock(nodes, "nodes", "EXCLUSIVE");
        const child = start(args);
        await waiting(meta, "nodes");
        await lock(meta, "meta", "EXCLUSIVE");
        await nodes.query("ROLLBACK");
        await waiting(nodes, "meta");
        child.process.kill("SIGKILL");
        await child.ended;
      } finally {
        await nodes.end();
        await meta.end();
      }
      expect(rowsIn(await dump({ postgres: database }))).toBe(rowsIn(await dump({ sqlite: data })) - 1);
      expect(await startOn({ postgres: database })).toBe("copy_unfinished");
      expect((await migrate(args)).code).toBe(0);
      expect(await dump({ postgres: database })).toEqual(await dump({ sqlite: data }));
    },
  );

  test.each(["keys", "principals", "secrets", "injections"])(
    "on the way down, killed with -9 while it reads %s, the same again makes it whole",
    { timeout: 60_000 },
    async (table) => {
      const database = await databaseOf();
      await moveBetween(folder, { sqlite: data }, { postgres: database });
      const below = join(folder, `below-${table}`);
      const app = split(database.url, folder);
      const args = ["--from", app.url, "--from-password-file", app.file, "--to", `sqlite:${below}`];
      const [first, second] = [await connect(database.superuserUrl), await connect(database.superuserUrl)];
      try {
        // Counting comes to the leases last of the two; then copying comes to the table.
        await lock(first, "leases", "ACCESS EXCLUSIVE");
        const child = start(args);
        await waiting(second, "leases");
        await lock(second, table, "ACCESS EXCLUSIVE");
        await first.query("ROLLBACK");
        await waiting(first, table);
        child.process.kill("SIGKILL");
        await child.ended;
      } finally {
        await first.end();
        await second.end();
      }
      expect(rowsIn(await dump({ sqlite: below }))).toBeLessThan(rowsIn(await dump({ sqlite: data })));
      expect(await startOn({ sqlite: below })).toBe("copy_unfinished");
      const ran = await migrate([...args, "--json"]);
      expect([ran.code, ran.stderr]).toEqual([0, ""]);
      expect(JSON.parse(ran.stdout)).toMatchObject({ continued: table !== "meta" });
      expect(await dump({ sqlite: below })).toEqual(await dump({ sqlite: data }));
      expect(readFileSync(join(below, "vault.db")).length).toBeGreaterThan(0);
    },
  );
});

/** The code with which a vault refuses to start there. */
async function startOn(at: At): Promise<string> {
  try {
    const { vault } = await vaultOn(folder, at);
    await vault.close();
    return "it started";
  } catch (error) {
    return isVaultError(error) ? error.code : String(error);
  }
}

/** The vault's tables without a row: so that one of them can be locked. */
async function makeSchema(database: VaultDatabase): Promise<void> {
  const { migrateDatabase, readAddress } = await import("#storage");
  await migrateDatabase(readAddress(database.ownerUrl));
}

function start(args: readonly string[]): { process: ReturnType<typeof spawn>; ended: Promise<Ran> } {
  const child = spawn(process.execPath, [PROGRAM, "migrate", ...args], { cwd: folder, env: cleanEnv(), stdio: "pipe" });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = once(child, "close").then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    stdout,
    stderr,
  }));
  return { process: child, ended };
}

/** Runs it until it wants to write this table, which it cannot, and sends it a signal there. */
async function stoppedAt(
  database: VaultDatabase,
  table: string,
  args: readonly string[],
  signal: NodeJS.Signals,
): Promise<Ran> {
  const [holder, watcher] = [await connect(database.superuserUrl), await connect(database.superuserUrl)];
  try {
    await lock(holder, table, "EXCLUSIVE");
    const child = start(args);
    await waiting(watcher, table);
    child.process.kill(signal);
    if (signal !== "SIGKILL") await holder.query("ROLLBACK");
    return await child.ended;
  } finally {
    await holder.end();
    await watcher.end();
  }
}

async function lock(client: pg.Client, table: string, mode: string): Promise<void> {
  await client.query("BEGIN");
  await client.query(`LOCK TABLE ${table} IN ${mode} MODE`);
}

/** Until somebody waits for a lock of this table. */
async function waiting(client: pg.Client, table: string): Promise<void> {
  for (let tries = 0; tries < 3_000; tries += 1) {
    const { rows } = await client.query<{ waits: boolean }>(
      "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = $1::regclass AND NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS waits",
      [table],
    );
    if (rows[0]?.waits === true) return;
    await pause(5);
  }
  throw new Error(`nobody came to wait for ${table}`);
}
