import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INSTANCE, VaultError, bytesToId, idToBytes } from "#base";
import type { Id } from "#base";
import { Change, openPostgres, readAddress } from "#storage";
import type { Committed } from "#storage";
import type { Job, Statement } from "../../src/storage/engine.ts";
import { Reach } from "../../src/storage/postgres/reach.ts";
import { together } from "../../src/storage/postgres/session.ts";
import type { Session } from "../../src/storage/postgres/session.ts";
import { Sessions } from "../../src/storage/postgres/sessions.ts";
import { connect } from "../postgres/server.ts";
import { postgresDatabase } from "../postgres/database.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { DONE, World } from "./composition.ts";

let database: VaultDatabase;
let world: World;
let root: pg.Client;
const warnings: string[] = [];
const warned = ({ name, message }: Error): void => void warnings.push(`${name}: ${message}`);

beforeAll(async () => {
  process.on("warning", warned);
  database = await postgresDatabase();
  root = await connect(database.superuserUrl);
  ({ world } = await World.found({
    // One connection commits, one reads: whatever a transaction leaves behind, the next one meets.
    open: (parts) =>
      openPostgres({
        address: readAddress(database.url),
        owner: readAddress(database.ownerUrl),
        connections: 2,
        node: "one",
        ...parts,
      }),
    remove: () => Promise.resolve(),
  }));
});
afterAll(async () => {
  process.off("warning", warned);
  await world.close();
  await root.end();
  await database.remove();
});

const insertEpoch = (org: Id<"org">, name: string, epoch: unknown = 1): Statement => ({
  sql: "INSERT INTO epochs (org_id, name, epoch) VALUES ($1, $2, $3)",
  values: [idToBytes(org), name, epoch as number],
  kind: "write",
  rows: 1,
  label: "epochs",
  otherwise: "conflict",
});

/** A job of `org` whose event goes to the instance's chain, so that jobs of several orgs share a transaction. */
const job = (org: Id<"org">, ...statements: readonly Statement[]): Job => ({
  org,
  events: [{ chain: INSTANCE, entry: { permit: world.guard.system("test.job", org), outcome: DONE, rows: [] } }],
  statements,
  hold: "alone",
});

const codes = (settled: readonly PromiseSettledResult<Committed>[]): readonly string[] =>
  settled.map((one) =>
    one.status === "fulfilled" ? "done" : one.reason instanceof VaultError ? one.reason.code : String(one.reason),
  );

const epochsOf = async (org: Id<"org">, like: string): Promise<readonly string[]> =>
  (
    await root.query<{ name: string }>("SELECT name FROM epochs WHERE org_id = $1 AND name LIKE $2 ORDER BY name", [
      idToBytes(org),
      like,
    ])
  ).rows.map(({ name }) => name);

async function connections(): Promise<readonly { pid: number; state: string; open: boolean }[]> {
  const { rows } = await root.query<{ pid: number; state: string; open: boolean }>(
    "SELECT pid, state, xact_start IS NOT NULL AS open FROM pg_stat_activity WHERE datname = $1 AND usename = 'sallyport_app' ORDER BY pid",
    [database.name],
  );
  return rows;
}

const BAD: Readonly<Record<string, (org: Id<"org">) => Statement>> = {
  "a value of another type": (org) => insertEpoch(org, "bad", "no number"),
  "a text with NUL": (org) => insertEpoch(org, "bad\0text"),
  "a text too long for its index": (org) =>
    insertEpoch(
      org,
      Array.from({ length: 9_000 }, (_, at) => String.fromCodePoint(0x4e00 + ((at * 7919) % 20_000))).join(""),
    ),
  "a name that is taken": (org) => insertEpoch(org, "access"),
  "no SQL": (org) => ({ ...insertEpoch(org, "bad"), sql: "INSRT INTO epochs VALUES ($1, $2, $3)" }),
  "a table that is not there": (org) => ({
    ...insertEpoch(org, "bad"),
    sql: "INSERT INTO nothing VALUES ($1, $2, $3)",
  }),
  "a division by zero": (org) => ({
    ...insertEpoch(org, "bad"),
    sql: "INSERT INTO epochs SELECT $1, $2, $3::bigint / (length($2) - length($2))",
  }),
  "a reference to nothing": (org) => ({
    ...insertEpoch(org, "bad"),
    sql: "INSERT INTO secret_versions (org_id, secret_id, version, key_id, bytes, created_at, created_by) VALUES ($1, $1, length($2), $1, $3, 1, $1)",
  }),
  "a row that it expects and does not meet": (org) => ({
    ...insertEpoch(org, "bad"),
    sql: "UPDATE epochs SET epoch = $3 WHERE org_id = $1 AND name = $2",
  }),
};

describe("a connection that transactions share", () => {
  it("has no transaction open and no org set after whatever a transaction came to", async () => {
    const before = await connections();
    expect(before).toHaveLength(2);
    for (const [name, bad] of Object.entries(BAD)) {
      const settled = await Promise.allSettled([world.engine.commit(job(world.org, bad(world.org)))]);
      expect([name, codes(settled)]).not.toEqual([name, ["done"]]);
      const read = world.engine.rows(world.org, "SELECT 1 / (length('a') - 1) AS one", []);
      await expect(read).rejects.toMatchObject({ code: "store_unavailable" });
      await expect(world.engine.rows(world.org, "SELECT count(*) FROM no_table", [])).rejects.toMatchObject({
        code: "store_unavailable",
      });
      for (const one of await connections()) expect([name, one.state, one.open]).toEqual([name, "idle", false]);
    }
    // They are the same connections, and not new ones each time.
    expect((await connections()).map(({ pid }) => pid)).toEqual(before.map(({ pid }) => pid));
    expect(Object.keys(BAD)).toHaveLength(9);
  });

  it("says nothing of the transaction before: neither its org, its limits nor its schemas outlive it, committed, rolled back or failed", async () => {
    const sessions = new Sessions(readAddress(database.url), 1, new Reach());
    const left = (): Promise<unknown> =>
      sessions.use(async (session) => {
        const { rows } = await session.ask(
          `SELECT coalesce(current_setting('sallyport.org', true), '') AS org, current_setting('statement_timeout') AS timeout,
             current_setting('search_path') AS path, (SELECT count(*) FROM namespaces) AS seen, pg_backend_pid() AS pid`,
          [],
        );
        return rows[0];
      });
    const clean = (await left()) as { pid: number };
    expect(clean).toMatchObject({ org: "", timeout: "0", seen: 0 });
    const ends: Readonly<Record<string, (session: Session) => Promise<unknown>>> = {
      committed: async (session) => {
        await session.begin(world.org, "READ WRITE");
        await session.enter(world.other);
        return session.commit();
      },
      "rolled back": async (session) => {
        await session.begin(world.org, "READ WRITE");
        return session.rollback();
      },
      "failed at once": (session) =>
        together([
          session.begin(world.org, "READ ONLY"),
          session.ask("SELECT 1 / 0", []),
          session.tell("COMMIT"),
        ]).catch(() => undefined),
      "failed after a savepoint": async (session) => {
        await session.begin(world.org, "READ WRITE");
        await together([
          session.tell("SAVEPOINT job"),
          session.enter(world.other),
          session.ask("SELECT no_column", []),
        ]).catch(() => undefined);
        await session.undo("job");
        return session.commit();
      },
    };
    for (const [end, work] of Object.entries(ends)) {
      await sessions.use(work);
      expect([end, await left()]).toEqual([end, clean]);
    }
    await sessions.close();
  });

  it("sees the org that it entered, also after a savepoint was undone in which it had entered another", async () => {
    const sessions = new Sessions(readAddress(database.url), 1, new Reach());
    const seen = async (session: Session): Promise<unknown> =>
      (await session.ask("SELECT DISTINCT org_id FROM epochs", [])).rows.map(({ org_id }) =>
        (org_id as Buffer).toString("hex"),
      );
    const [a, b] = [world.org, world.other].map((org) => [idToBytes(org).toString("hex")]);
    await sessions.use(async (session) => {
      await session.begin(world.org, "READ WRITE");
      expect(await seen(session)).toEqual(a);
      await session.tell("SAVEPOINT job");
      await session.enter(world.other);
      expect(await seen(session)).toEqual(b);
      await session.undo("job");
      // The server is back at the org before the savepoint: to enter the other one again has to be said again.
      expect(await seen(session)).toEqual(a);
      await session.enter(world.other);
      expect(await seen(session)).toEqual(b);
      await session.enter(world.org);
      expect(await seen(session)).toEqual(a);
      await session.rollback();
      await session.begin(null, "READ ONLY");
      expect(await seen(session)).toEqual([]);
      await session.rollback();
    });
    await sessions.close();
  });

  it("takes a statement again whose first use failed on the way: names of prepared statements do not collide", async () => {
    const sessions = new Sessions(readAddress(database.url), 1, new Reach());
    const [sql, other] = ["SELECT $1::text AS same, 'one' AS it", "SELECT $1::text AS same, 'other' AS it"];
    await sessions.use(async (session) => {
      for (let times = 0; times < 3; times += 1) {
        const early = ["x", "y"].map((text) => session.ask(sql, [text]));
        const bad = session.ask("SELECT $1::int", ["no number"]);
        const late = session.ask(other, ["z"]);
        await Promise.allSettled([...early, bad, late]);
        expect((await Promise.all(early)).map(({ rows }) => rows)).toEqual([
          [{ same: "x", it: "one" }],
          [{ same: "y", it: "one" }],
        ]);
        await expect(bad).rejects.toMatchObject({ code: "22P02" });
        expect((await late).rows).toEqual([{ same: "z", it: "other" }]);
        // Prepared within a transaction that fails.
        const text = `SELECT $1::text AS fresh, ${String(times)} AS n`;
        const within = [
          session.begin(world.org, "READ ONLY"),
          session.ask("SELECT 1 / 0", []),
          session.ask(text, ["a"]),
          session.ask(text, ["b"]),
        ];
        expect((await Promise.allSettled(within)).map(({ status }) => status)).toEqual([
          "fulfilled",
          "rejected",
          "rejected",
          "rejected",
        ]);
        await session.rollback();
        expect((await session.ask(text, ["c"])).rows).toEqual([{ fresh: "c", n: times }]);
      }
    });
    await sessions.close();
  });
});

describe("jobs of several orgs in one transaction", () => {
  it("each write in their own org, whichever of them fail", async () => {
    const orgs = [world.org, world.other];
    const bads = Object.values(BAD);
    const jobs: { org: Id<"org">; name: string; bad: boolean; job: Job }[] = [];
    for (let at = 0; at < 120; at += 1) {
      const org = orgs[(at * 7 + (at >> 2)) % 2] ?? world.org;
      const name = `mixed-${String(at).padStart(3, "0")}`;
      const bad = at % 5 === 3 ? bads[at % bads.length] : undefined;
      const statements = [insertEpoch(org, name), ...(bad === undefined ? [] : [bad(org)])];
      jobs.push({ org, name, bad: bad !== undefined, job: job(org, ...statements) });
    }
    const settled = await Promise.allSettled(jobs.map((one) => world.engine.commit(one.job)));
    expect(codes(settled).map((code) => code === "done")).toEqual(jobs.map(({ bad }) => !bad));
    for (const org of orgs)
      expect(await epochsOf(org, "mixed-%")).toEqual(
        jobs.filter((one) => one.org === org && !one.bad).map(({ name }) => name),
      );
    const events = await root.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM audit_events WHERE org_id = $1 AND action = 'test.job'",
      [idToBytes(INSTANCE)],
    );
    expect(events.rows[0]?.n).toBe(jobs.filter(({ bad }) => !bad).length);
  });

  it("reach no row of another: its rows are not met, and to write one is refused with all that shares the transaction", async () => {
    const before = await root.query("SELECT * FROM epochs WHERE org_id = $1 ORDER BY name", [idToBytes(world.other)]);
    const other = idToBytes(world.other);
    for (const sql of [
      "UPDATE epochs SET epoch = 99 WHERE org_id = $1",
      "DELETE FROM epochs WHERE org_id = $1",
      "UPDATE epochs SET epoch = 99 WHERE name = 'access' AND org_id = $1",
    ]) {
      const statement: Statement = { ...insertEpoch(world.other, ""), sql, values: [other], rows: before.rows.length };
      await expect(world.engine.commit(job(world.org, statement))).rejects.toMatchObject({ code: "conflict" });
    }
    const count: Statement = {
      ...insertEpoch(world.other, ""),
      sql: "SELECT count(*) AS count FROM epochs WHERE org_id = $1",
      values: [other],
      kind: "count",
      rows: 0,
    };
    await world.engine.commit(job(world.org, count));
    await expect(world.engine.commit(job(world.org, insertEpoch(world.other, "smuggled")))).rejects.toMatchObject({
      code: "store_unavailable",
    });
    const move: Statement = {
      ...insertEpoch(world.org, ""),
      sql: "UPDATE epochs SET org_id = $1 WHERE name = 'access'",
      values: [other],
    };
    await expect(world.engine.commit(job(world.org, move))).rejects.toMatchObject({ code: "store_unavailable" });
    const after = await root.query("SELECT * FROM epochs WHERE org_id = $1 ORDER BY name", [idToBytes(world.other)]);
    expect(after.rows).toEqual(before.rows);
    // And it goes on.
    await world.engine.commit(job(world.org, insertEpoch(world.org, "afterwards")));
    expect(await epochsOf(world.org, "afterwards")).toEqual(["afterwards"]);
  });

  it("that wait for the same lock, because the ends of their ids are the same, all commit", async () => {
    const twins = [1, 2, 3].map((n) =>
      bytesToId("org", Buffer.concat([Buffer.alloc(6, n), Buffer.from([0x70, n, 0x80]), Buffer.alloc(7, 5)])),
    );
    expect(new Set(twins.map((org) => idToBytes(org).readBigInt64BE(8))).size).toBe(1);
    const jobs = Array.from({ length: 60 }, (_, at) => {
      const org = twins[at % 3] ?? INSTANCE;
      const one = job(org, insertEpoch(org, `twin-${String(at).padStart(2, "0")}`));
      // In one chain with the others, or in its own; with the lock to itself, or not.
      return {
        ...one,
        events: at % 2 === 0 ? one.events : [],
        hold: at % 4 < 2 ? ("alone" as const) : ("beside" as const),
      };
    });
    expect(codes(await Promise.allSettled(jobs.map((one) => world.engine.commit(one))))).toEqual(
      jobs.map(() => "done"),
    );
    for (const [at, org] of twins.entries()) {
      const names = await epochsOf(org, "twin-%");
      expect(names.map((name) => Number(name.slice(5)) % 3)).toEqual(names.map(() => at));
      expect(names).toHaveLength(20);
    }
  });
});

describe("a text that PostgreSQL does not hold", () => {
  it.each([
    ["NUL", "nul\0nul"],
    ["NUL at its end", "nul\0"],
    ["nothing but NUL", "\0"],
  ])(
    "%s: the store takes no such change; a job that has one all the same fails alone, and its neighbours commit",
    async (_, text) => {
      const change = new Change().insert(
        "namespaces",
        world.namespace(`bad-${String(text.length)}`, { description: text }),
      );
      const taken = Promise.allSettled([world.commit(change), world.commit(null)]);
      expect(codes(await taken)).toEqual(["invalid_input", "done"]);
      const name = `near-${String(text.length)}`;
      const jobs = [`${name}-a`, text, `${name}-b`, text, `${name}-c`].map((one) =>
        job(world.org, insertEpoch(world.org, one)),
      );
      const settled = await Promise.allSettled(jobs.map((one) => world.engine.commit(one)));
      expect(codes(settled)).toEqual(["done", "internal", "done", "internal", "done"]);
      expect(await epochsOf(world.org, `${name}-%`)).toEqual(["a", "b", "c"].map((end) => `${name}-${end}`));
      expect(await world.engine.health()).toMatchObject({ writable: true, reason: null });
    },
  );
});

it("no warning of the driver was heard", () => {
  expect(warnings).toEqual([]);
});
