import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Database } from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { INSTANCE } from "#base";
import type { Id } from "#base";
import { Change, openSqlite, openStore, startingWith } from "#storage";
import { writeEvent } from "#audit";
import { TestClock, World, codeOf } from "./composition.ts";
import type { StorePlace } from "./composition.ts";
import { sqlitePlace } from "./sqlite-place.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";

const Driver = loadDriver();

let place: StorePlace & { readonly folder: string };
beforeEach(async () => {
  place = await sqlitePlace();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await place.remove();
});

const scribe = {
  write: (entry: unknown, head: Parameters<typeof writeEvent>[1], now: Date) =>
    writeEvent(entry as Parameters<typeof writeEvent>[0], head, now),
};
const open = () => openSqlite({ folder: place.folder, scribe, clock: new TestClock() });

/** Every connection that the driver opens from now on, seen as it is used. */
function watchConnections(): Set<Database> {
  const seen = new Set<Database>();
  const { pragma } = Driver.prototype;
  vi.spyOn(Driver.prototype, "pragma").mockImplementation(function (this: Database, ...args) {
    seen.add(this);
    return pragma.apply(this, args);
  });
  return seen;
}

describe("SQLite's durability", () => {
  it("is set on every connection that stays open", async () => {
    const seen = watchConnections();
    const engine = await open();
    const standing = [...seen].filter((one) => one.open);
    const ask = (db: Database, name: string) => db.pragma(name, { simple: true });
    const vault = standing.filter((one) => one.name.endsWith("vault.db"));
    expect(vault.map((one) => one.readonly).sort()).toEqual([false, true]);
    for (const db of vault) {
      expect(ask(db, "journal_mode")).toBe("wal");
      // 2 is FULL: the WAL is synced at each commit, so that none is lost with the power.
      expect(ask(db, "synchronous")).toBe(2);
      expect(ask(db, "temp_store")).toBe(2);
      expect(ask(db, "trusted_schema")).toBe(0);
      expect(ask(db, "query_only")).toBe(db.readonly ? 1 : 0);
      if (db.readonly) continue;
      expect(ask(db, "foreign_keys")).toBe(1);
      expect(ask(db, "secure_delete")).toBe(1);
    }
    const [lock, ...others] = standing.filter((one) => one.name.endsWith("lock.db"));
    expect(others).toEqual([]);
    expect(lock === undefined ? null : ask(lock, "locking_mode")).toBe("exclusive");
    await engine.close();
    expect([...seen].filter((one) => one.open)).toEqual([]);
  });

  it("shares one commit among many changes at once, and takes one for one alone", async () => {
    const { world } = await World.found(place);
    const wal = join(place.folder, "vault.db-wal");
    const before = commitsIn(await readFile(wal));
    await world.commit(null);
    await world.commit(null);
    expect(commitsIn(await readFile(wal)) - before).toBe(2);

    const n = 300;
    await Promise.all(Array.from({ length: n }, () => world.commit(null)));
    const shared = commitsIn(await readFile(wal)) - before - 2;
    // At most 128 changes a commit: three are the fewest that 300 can take.
    expect(shared).toBeGreaterThanOrEqual(3);
    expect(shared).toBeLessThanOrEqual(20);
    await world.close();
  });
});

describe("the data folder", () => {
  it("is one vault's at a time", async () => {
    const engine = await open();
    expect(await codeOf(open())).toBe("folder_in_use");
    await engine.close();
    await (await open()).close();
  });

  it("is free again after kill -9, and holds what was acknowledged before", async () => {
    const child = spawn(
      process.execPath,
      ["--conditions=sallyport-source", "--import", "tsx", join(import.meta.dirname, "holder.ts"), place.folder],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    let printed = "";
    await new Promise<void>((resolve, reject) => {
      child.stdout.on("data", (chunk: Buffer) => {
        printed += chunk.toString();
        if (printed.split("\n").length > 100) resolve();
      });
      child.on("exit", () => {
        reject(new Error("the process that was to hold the folder ended"));
      });
    });
    expect(await codeOf(open())).toBe("folder_in_use");
    const over = new Promise((resolve) => child.on("close", resolve));
    child.kill("SIGKILL");
    await over;
    const [org = "", ...seqs] = printed.split("\n").slice(0, -1);
    const acknowledged = Math.max(...seqs.map(Number));

    const engine = await open();
    const { facts } = openStore(engine, { prove: never, check: never, digest: never }, never);
    const events = await facts.of(org as Id<"org">).list("auditEvents", { order: ["slot", "seq"] });
    expect(events.length).toBeGreaterThanOrEqual(acknowledged);
    expect(events.map((event) => event.seq)).toEqual(events.map((_, at) => at + 1));
    await engine.close();
  });

  it("is its user's alone, and so is every file in it, whatever the umask", async () => {
    const before = process.umask(0o000);
    try {
      const folder = join(place.folder, "new", "data");
      const engine = await openSqlite({ folder, scribe, clock: new TestClock() });
      expect((await stat(folder)).mode & 0o777).toBe(0o700);
      const files = await readdir(folder);
      expect(files).toEqual(expect.arrayContaining(["lock.db", "vault.db", "vault.db-wal", "vault.db-shm"]));
      for (const file of files) expect([file, (await stat(join(folder, file))).mode & 0o777]).toEqual([file, 0o600]);
      await engine.close();
    } finally {
      process.umask(before);
    }
  });

  it("that cannot be one is store_unavailable, and says so without a trace of the driver", async () => {
    const file = join(place.folder, "a-file");
    await writeFile(file, "");
    expect(await codeOf(openSqlite({ folder: file, scribe, clock: new TestClock() }))).toBe("store_unavailable");
    await mkdir(join(place.folder, "vault.db"));
    expect(await codeOf(open())).toBe("store_unavailable");
    await mkdir(join(place.folder, "odd", "lock.db"), { recursive: true });
    const odd = openSqlite({ folder: join(place.folder, "odd"), scribe, clock: new TestClock() });
    expect(await codeOf(odd)).toBe("store_unavailable");
  });
});

describe("a file that is not this version's", () => {
  const file = () => join(place.folder, "vault.db");
  const digest = async () =>
    createHash("sha256")
      .update(await readFile(file()))
      .digest("hex");
  const make = (...statements: string[]): void => {
    const db = new Driver(file());
    for (const statement of statements) db.exec(statement);
    db.close();
  };

  for (const [what, prepare] of [
    ["a text", () => writeFile(file(), "dear diary, this is no database\n".repeat(200))],
    ["a short text", () => writeFile(file(), "x")],
    ["random bytes", () => writeFile(file(), createHash("sha512").update("x").digest())],
    [
      "another program's database",
      async () => {
        make("CREATE TABLE songs (name TEXT)", "INSERT INTO songs VALUES ('x')");
      },
    ],
    [
      "another program's database in WAL mode",
      async () => {
        make("PRAGMA journal_mode = WAL", "CREATE TABLE songs (name TEXT)");
      },
    ],
    [
      "a database with somebody else's migrations",
      async () => {
        make(
          "CREATE TABLE kysely_migration (name TEXT PRIMARY KEY, timestamp TEXT NOT NULL)",
          "INSERT INTO kysely_migration VALUES ('2020_songs', 'x')",
        );
      },
    ],
    [
      "a newer version's database",
      async () => {
        await (await open()).close();
        make("INSERT INTO kysely_migration VALUES ('9999-later', 'x')");
      },
    ],
  ] as const) {
    it(`is schema_unknown and left as it is: ${what}`, async () => {
      await prepare();
      const before = await digest();
      expect(await codeOf(open())).toBe("schema_unknown");
      expect(await digest()).toBe(before);
      // The refusal lets go of the folder.
      expect(await codeOf(open())).toBe("schema_unknown");
    });
  }

  it("is taken for a new one when it is empty: an interrupted first start", async () => {
    await writeFile(file(), "");
    await (await open()).close();
    await (await open()).close();
  });

  it("never holds half a schema: a first start that is cut short leaves nothing", async () => {
    const { exec } = Driver.prototype;
    vi.spyOn(Driver.prototype, "exec").mockImplementation(function (this: Database, text) {
      if (text === "COMMIT" && this.name.endsWith("vault.db")) throw new Error("the machine stops here");
      return exec.call(this, text);
    });
    await expect(open()).rejects.toMatchObject({ code: "store_unavailable" });
    vi.restoreAllMocks();
    const db = new Driver(file(), { readonly: true });
    expect(db.prepare("SELECT count(*) FROM sqlite_master").pluck().get()).toBe(0);
    db.close();
    await (await open()).close();
  });
});

describe("the queue", () => {
  it("fails a change alone when its event cannot be written, and undoes what it wrote", async () => {
    let poisoned = "";
    const engine = await openSqlite({
      folder: place.folder,
      clock: new TestClock(),
      scribe: {
        write(entry, head, now) {
          const known = entry as Parameters<typeof writeEvent>[0];
          if (known.permit.event.id === poisoned) throw new TypeError("an event that cannot be written");
          return writeEvent(known, head, now);
        },
      },
    });
    const { world } = await World.found({ open: async () => engine, remove: async () => {} });
    const permits = [1, 2, 3].map(() => world.permit());
    poisoned = permits[1]?.event.id ?? "";
    const settled = await Promise.allSettled(
      permits.map((permit, at) =>
        world.store.commit(permit, new Change().insert("namespaces", world.namespace(`p-${String(at)}`)), {
          result: "success",
        }),
      ),
    );
    expect(settled.map((one) => one.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(settled[1]).toMatchObject({ reason: { code: "internal" } });
    const names = await world.facts
      .of(world.org)
      .list("namespaces", { where: { name: startingWith("p-") }, order: ["name"] });
    expect(names.map((one) => one.name)).toEqual(["p-0", "p-2"]);
    await world.close();
  });

  it("says overloaded when twenty thousand wait, and loses none of those that waited", async () => {
    const { world } = await World.found(place);
    const job = { org: INSTANCE, events: [], statements: [], hold: "nothing" as const };
    const waiting = Array.from({ length: 20_000 }, () => world.engine.commit(job));
    expect(await codeOf(world.engine.commit(job))).toBe("overloaded");
    expect((await world.engine.health()).queued).toBe(20_000);
    await world.close();
    await Promise.all(waiting);
  });

  it("says overloaded when what waits takes more bytes than it may, and takes one job alone whatever its size", async () => {
    const engine = await openSqlite({
      folder: place.folder,
      scribe,
      clock: new TestClock(),
      queue: { jobs: 1_000, bytes: 100_000 },
    });
    const job = (bytes: number, text = "") => ({
      org: INSTANCE,
      events: [],
      hold: "nothing" as const,
      statements: [
        {
          sql: "UPDATE meta SET value = value WHERE name = ? OR value = ?",
          values: [Buffer.alloc(bytes), text],
          kind: "write" as const,
          rows: -1,
          label: "",
          otherwise: "internal" as const,
        },
      ],
    });
    const huge = engine.commit(job(500_000));
    expect((await engine.health()).queuedBytes).toBeGreaterThan(500_000);
    const small = engine.commit(job(1));
    const refused = await small.catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "overloaded", detail: { retryAfterSeconds: 1 } });
    await huge;
    expect(await engine.health()).toMatchObject({ queued: 0, queuedBytes: 0 });

    const settled = await Promise.allSettled(
      Array.from({ length: 20 }, () => engine.commit(job(5_000, "x".repeat(5_000)))),
    );
    const taken = settled.filter((one) => one.status === "fulfilled").length;
    // Each counts for its 10,000 bytes and about a thousand more.
    expect(taken).toBe(9);
    expect(
      settled.flatMap((one) => (one.status === "rejected" ? [(one.reason as { code: string }).code] : [])),
    ).toEqual(Array.from({ length: 11 }, () => "overloaded"));
    expect(await engine.health()).toMatchObject({ queued: 0, queuedBytes: 0 });
    await engine.close();
  });
});

function never(): never {
  throw new Error("not to be asked");
}

/** Commits in a WAL file: frames whose header says how long the database is after them (SQLite file format, section 4.1). */
function commitsIn(wal: Buffer): number {
  const pageBytes = wal.readUInt32BE(8);
  const salt = wal.subarray(16, 24);
  let commits = 0;
  for (let at = 32; at + 24 + pageBytes <= wal.length; at += 24 + pageBytes) {
    if (!wal.subarray(at + 8, at + 16).equals(salt)) break;
    if (wal.readUInt32BE(at + 4) !== 0) commits += 1;
  }
  return commits;
}
