import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Database } from "better-sqlite3";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Change, startingWith } from "#storage";
import { World } from "./composition.ts";
import type { StorePlace } from "./composition.ts";
import { sqlitePlace } from "./sqlite-place.ts";
import { reasonOf } from "../../src/storage/sqlite/reason.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";

const Driver = loadDriver();

/** The steps of a commit, by the text that the connection is given. */
type Step = "BEGIN IMMEDIATE" | "SAVEPOINT job" | "COMMIT" | "wal_checkpoint(TRUNCATE)";

/**
 * A disk that fails under the store: the named step of the connections to the vault's file throws SQLite's code, before the
 * step is done or after it, until `heal` is called.
 */
class Disk {
  readonly #exec = Driver.prototype.exec;
  readonly #pragma = Driver.prototype.pragma;
  readonly #prepare = Driver.prototype.prepare;
  #fails: { readonly step: Step; readonly code: string; readonly after: boolean } | null = null;
  failed = 0;

  constructor() {
    const [exec, pragma, prepare] = [this.#exec, this.#pragma, this.#prepare];
    const step = <T>(text: string, work: () => T): T => this.#step(text, work);
    vi.spyOn(Driver.prototype, "exec").mockImplementation(function (this: Database, text) {
      return step(text, () => exec.call(this, text));
    });
    vi.spyOn(Driver.prototype, "pragma").mockImplementation(function (this: Database, text, options) {
      return step(text, () => pragma.call(this, text, options));
    });
    vi.spyOn(Driver.prototype, "prepare").mockImplementation(function (this: Database, text: string) {
      const statement = prepare.call(this, text);
      if (!text.startsWith("SAVEPOINT")) return statement;
      const run = statement.run.bind(statement, []);
      return Object.assign(statement, { run: () => step(text, () => run()) });
    });
  }

  fail(step: Step, code: string, after = false): void {
    this.#fails = { step, code, after };
  }

  heal(): void {
    this.#fails = null;
  }

  #step<T>(text: string, work: () => T): T {
    if (this.#fails === null || text !== this.#fails.step) return work();
    this.failed += 1;
    if (this.#fails.after) work();
    throw new Driver.SqliteError("the disk", this.#fails.code);
  }
}

/** Which step fails how, what the callers hear, and whether their changes may be there afterwards. */
const FAULTS = [
  ["BEGIN IMMEDIATE", "SQLITE_IOERR_READ", false, "store_unavailable", "no"],
  ["BEGIN IMMEDIATE", "SQLITE_CANTOPEN", false, "store_unavailable", "no"],
  ["BEGIN IMMEDIATE", "SQLITE_READONLY", false, "store_unavailable", "no"],
  ["BEGIN IMMEDIATE", "SQLITE_BUSY", false, "store_unavailable", "no"],
  ["SAVEPOINT job", "SQLITE_IOERR_WRITE", false, "store_unavailable", "no"],
  ["SAVEPOINT job", "SQLITE_NOMEM", false, "store_unavailable", "no"],
  ["SAVEPOINT job", "SQLITE_FULL", false, "store_unavailable", "no"],
  ["COMMIT", "SQLITE_FULL", false, "store_unavailable", "no"],
  ["COMMIT", "SQLITE_IOERR_WRITE", false, "outcome_unknown", "no"],
  ["COMMIT", "SQLITE_IOERR_FSYNC", false, "outcome_unknown", "no"],
  ["COMMIT", "SQLITE_IOERR_FSYNC", true, "outcome_unknown", "yes"],
] as const;

it.each([
  ["SQLITE_FULL", "the disk is full (SQLITE_FULL)"],
  ["SQLITE_READONLY_DBMOVED", "the database file or its file system is read-only (SQLITE_READONLY_DBMOVED)"],
  ["SQLITE_IOERR_FSYNC", "the disk did not confirm what was written (SQLITE_IOERR_FSYNC)"],
  ["SQLITE_IOERR_WRITE", "the disk answered with an error (SQLITE_IOERR_WRITE)"],
  ["SQLITE_IOERR_NOMEM", "there is no memory left (SQLITE_IOERR_NOMEM)"],
  ["SQLITE_BUSY", "another process holds the database (SQLITE_BUSY)"],
  ["SQLITE_CORRUPT_INDEX", "the database file is damaged (SQLITE_CORRUPT_INDEX)"],
  ["SQLITE_SOMETHING", "a write failed (SQLITE_SOMETHING)"],
  ["ERR_A_PATH_/data", "a write failed"],
] as const)("%s is told as: %s, without a word of the driver's message", (code, words) => {
  expect(reasonOf(Object.assign(new Error("secret text"), { code }))).toBe(words);
});

describe("a disk that fails", () => {
  let place: StorePlace & { readonly folder: string };
  let world: World;
  let again: () => Promise<World>;
  let disk: Disk;
  beforeEach(async () => {
    place = await sqlitePlace();
    disk = new Disk();
    ({ world, again } = await World.found(place));
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    await world.close();
    await place.remove();
  });

  const write = (name: string) => world.commit(new Change().insert("namespaces", world.namespace(name)));
  const names = async (): Promise<readonly string[]> => {
    const rows = await world.facts.of(world.org).list("namespaces", { where: { name: startingWith("w-") } });
    return rows.map((row) => row.name).sort();
  };
  const whole = async (): Promise<void> => {
    const events = await world.facts.of(world.org).list("auditEvents", { order: ["slot", "seq"] });
    expect(events.map((event) => event.seq)).toEqual(events.map((_, at) => at + 1));
    for (const [at, event] of events.entries())
      expect(event.previousHash).toEqual(at === 0 ? Buffer.alloc(32) : events[at - 1]?.hash);
  };

  it.each(FAULTS)("at %s with %s (after it: %s) is %s", async (step, code, after, heard, there) => {
    await write("w-before");
    disk.fail(step, code, after);
    const settled = await Promise.allSettled(["w-a", "w-b", "w-c"].map(write));
    disk.heal();
    expect(disk.failed).toBeGreaterThan(0);
    expect(settled.map((one) => (one.status === "rejected" ? (one.reason as { code: string }).code : "done"))).toEqual([
      heard,
      heard,
      heard,
    ]);
    // Over without a restart: the next change is taken, and what is there is what was said.
    await write("w-after");
    expect(await world.store.health()).toMatchObject({ writable: true, reason: null });
    expect(await names()).toEqual(
      there === "yes" ? ["w-a", "w-after", "w-b", "w-before", "w-c"] : ["w-after", "w-before"],
    );
    await whole();
    await world.close();
    world = await again();
    expect(await names()).toEqual(
      there === "yes" ? ["w-a", "w-after", "w-b", "w-before", "w-c"] : ["w-after", "w-before"],
    );
    await whole();
  });

  it("says why before it is found to be over", async () => {
    disk.fail("COMMIT", "SQLITE_IOERR_FSYNC");
    await expect(write("w-a")).rejects.toMatchObject({ code: "outcome_unknown" });
    disk.fail("wal_checkpoint(TRUNCATE)", "SQLITE_IOERR_FSYNC");
    expect(await world.store.health()).toMatchObject({
      writable: false,
      reason: "the disk did not confirm what was written (SQLITE_IOERR_FSYNC)",
    });
  });

  it("takes nothing after a sync that failed until the WAL is copied, synced and cut off", async () => {
    await write("w-before");
    const wal = join(place.folder, "vault.db-wal");
    expect((await stat(wal)).size).toBeGreaterThan(0);
    disk.fail("COMMIT", "SQLITE_IOERR_FSYNC");
    await expect(write("w-a")).rejects.toMatchObject({ code: "outcome_unknown" });
    // The disk takes writes again, but does not confirm the copy.
    disk.fail("wal_checkpoint(TRUNCATE)", "SQLITE_IOERR_FSYNC");
    for (let round = 0; round < 3; round += 1)
      await expect(write(`w-still-${String(round)}`)).rejects.toMatchObject({ code: "store_unavailable" });
    // Reads go on all the while.
    expect(await names()).toEqual(["w-before"]);
    disk.heal();
    const before = disk.failed;
    expect(await world.store.health()).toMatchObject({ writable: true });
    await write("w-after");
    expect(disk.failed).toBe(before);
    expect(await names()).toEqual(["w-after", "w-before"]);
  });

  it("stops a start whose WAL cannot be copied, and says why", async () => {
    await write("w-before");
    await world.close();
    disk.fail("wal_checkpoint(TRUNCATE)", "SQLITE_FULL");
    await expect(again()).rejects.toMatchObject({
      code: "store_unavailable",
      message: "The database cannot be opened: the disk is full (SQLITE_FULL).",
    });
    disk.heal();
    world = await again();
    expect(await names()).toEqual(["w-before"]);
  });
});
