import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bytesToId, idToBytes } from "#base";
import type { Id } from "#base";
import type { TableName } from "#storage";
import { snake } from "../../src/storage/table.ts";
import { TABLES } from "../../src/storage/tables.ts";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";
import { SCOPE, live, readStopped } from "./behind-the-back.ts";
import type { Life } from "./behind-the-back.ts";
import { codeOf } from "./composition.ts";
import { NAMES } from "./drawing.ts";
import { rawStore } from "./raw-store.ts";
import type { RawRow, RawStore, RawValue } from "./raw-store.ts";

const PROVED = NAMES.filter((name) => TABLES[name].macs !== null);
const PROOF = ["changed_by", "mac_version", "mac_key", "mac"];

function coveredBy(table: TableName): string[] {
  const macs = TABLES[table].macs as Readonly<Record<number, readonly string[]>> | null;
  return [...new Set(Object.values(macs ?? {}).flat())].map(snake);
}

/** Values that this one might be changed into by somebody who knows what the column means. */
function others(column: string, value: RawValue): RawValue[] {
  if (column === "mac_version") return [0, 2, -1, 2 ** 60];
  if (value === null) return [1, Buffer.alloc(16, 7), "x"];
  if (Buffer.isBuffer(value)) {
    const flipped = Buffer.from(value);
    flipped[0] = (flipped[0] ?? 0) ^ 1;
    return [flipped, value.subarray(1), Buffer.concat([value, Buffer.of(0)]), Buffer.alloc(0)];
  }
  if (typeof value === "bigint") throw new Error("no column holds one");
  if (typeof value === "number") return [value + 1, value - 1, -value - 1, 2 ** 60];
  return [`${value} `, `${value}\0`, value.slice(1), value.toUpperCase() === value ? `${value}x` : value.toUpperCase()];
}

describe("a row under a MAC, changed behind the vault's back", () => {
  let vault: TestVault;
  let folder: string;
  let db: RawStore;
  let stopped: Awaited<ReturnType<typeof readStopped>>;
  let org: Id<"org">;
  let second: Id<"org">;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sallyport-proof-"));
    vault = await startVault({ folder });
    await live(vault);
    await vault.close();
    stopped = await readStopped(folder);
    org = await stopped.org("main");
    second = await stopped.org("second");
    db = await rawStore(folder);
  });
  afterAll(async () => {
    await db.close();
    await stopped.engine.close();
    await rm(folder, { recursive: true });
  });

  const keyOf = (table: TableName): string => snake(TABLES[table].key[0] ?? "");
  const rowsOf = (table: TableName, of = org): Promise<RawRow[]> =>
    db.rows(`SELECT * FROM ${snake(table)} WHERE org_id = ? ORDER BY ${keyOf(table)}`, idToBytes(of));
  /** What a change behind the back does, undone afterwards, whatever comes of it. */
  const during = async (work: () => Promise<void>): Promise<void> => {
    const putBack = await db.keep(PROVED.map(snake));
    try {
      await work();
    } finally {
      await putBack();
      stopped.rung.length = 0;
    }
  };
  const insert = (table: TableName, row: RawRow): Promise<void> => db.insert(snake(table), row);
  const set = async (table: TableName, row: RawRow, column: string, value: RawValue): Promise<boolean> => {
    try {
      const where = `org_id = ? AND ${keyOf(table)} = ?`;
      await db.run(
        `UPDATE ${snake(table)} SET ${column} = ? WHERE ${where}`,
        value,
        row.org_id ?? null,
        row[keyOf(table)] ?? null,
      );
      return true;
    } catch {
      // The schema itself does not take it: of another type, null where there must be something, a name that is taken.
      return false;
    }
  };
  const expectRefused = async (table: TableName, of: Id<"org">): Promise<void> => {
    stopped.rung.length = 0;
    expect(await codeOf(stopped.facts.of(of).list(table))).toBe("integrity_failed");
    expect(stopped.rung.map(([where, what]) => [where, what])).toEqual([[of, table]]);
  };

  it("is there to be changed: two rows of each table, all of which prove themselves", async () => {
    for (const table of PROVED) {
      const least = table === "orgSettings" ? 1 : 2;
      expect([table, (await rowsOf(table)).length >= least]).toEqual([table, true]);
      expect((await stopped.facts.of(org).list(table)).length).toBe((await rowsOf(table)).length);
    }
    expect(stopped.rung).toEqual([]);
  });

  it.each(PROVED)("does not prove itself with any covered column of %s changed", async (table) => {
    await during(async () => {
      const [row] = await rowsOf(table);
      if (row === undefined) throw new Error("there is one");
      for (const column of [...coveredBy(table), ...PROOF]) {
        const before = row[column] ?? null;
        const tried = before === null ? others(column, before) : [...others(column, before), null];
        let took = 0;
        for (const value of tried) {
          if (!(await set(table, row, column, value))) continue;
          took += 1;
          await expectRefused(table, org);
          const where = column === keyOf(table) ? { ...row, [column]: value } : row;
          expect(await set(table, where, column, before)).toBe(true);
        }
        expect([column, took > 0]).toEqual([column, true]);
      }
      expect((await stopped.facts.of(org).list(table)).length).toBeGreaterThan(0);
    });
  });

  it.each(PROVED.filter((table) => table !== "orgSettings"))(
    "does not prove itself as another row: two of %s with their contents swapped",
    async (table) => {
      await during(async () => {
        const [one, two] = await rowsOf(table);
        if (one === undefined || two === undefined) throw new Error("there are two");
        const key = keyOf(table);
        await db.run(
          `DELETE FROM ${snake(table)} WHERE org_id = ? AND ${key} IN (?, ?)`,
          one.org_id ?? null,
          one[key] ?? null,
          two[key] ?? null,
        );
        await insert(table, { ...two, [key]: one[key] ?? null });
        await expectRefused(table, org);
        await insert(table, { ...one, [key]: two[key] ?? null });
        await expectRefused(table, org);
      });
    },
  );

  it.each(PROVED)("does not prove itself in another org: a row of %s moved, and one copied", async (table) => {
    await during(async () => {
      const [row] = await rowsOf(table);
      if (row === undefined) throw new Error("there is one");
      await db.run(`DELETE FROM ${snake(table)} WHERE org_id = ?`, idToBytes(second));
      await insert(table, { ...row, org_id: idToBytes(second) });
      await expectRefused(table, second);
      expect(await set(table, row, "org_id", idToBytes(bytesToId("org", Buffer.alloc(16, 9))))).toBe(true);
      await expectRefused(table, second);
    });
  });

  it("does not prove itself with the proof of another row, table, or key", async () => {
    await during(async () => {
      const [principal] = await rowsOf("principals");
      const [grant] = await rowsOf("grants");
      const [key] = await db.rows("SELECT id FROM keys WHERE purpose = 'mac' AND org_id <> ?", idToBytes(org));
      if (principal === undefined || grant === undefined || key === undefined) throw new Error("all are there");
      for (const column of PROOF) await set("grants", grant, column, principal[column] ?? null);
      await expectRefused("grants", org);
      for (const column of PROOF) await set("grants", grant, column, grant[column] ?? null);
      await stopped.facts.of(org).list("grants");
      await set("grants", grant, "mac_key", key.id ?? null);
      await expectRefused("grants", org);
    });
  });

  it("is integrity_failed too where no MAC covers what was changed and it cannot be read any more", async () => {
    await during(async () => {
      const [secret] = await rowsOf("secrets");
      if (secret === undefined) throw new Error("there is one");
      expect(await set("secrets", secret, "tags", "not JSON")).toBe(true);
      await expectRefused("secrets", org);
      expect(await set("secrets", secret, "tags", secret.tags ?? null)).toBe(true);
      expect(await set("secrets", secret, "created_by", Buffer.of(1))).toBe(true);
      await expectRefused("secrets", org);
    });
  });
});

describe("a vault whose database was edited while it was stopped", () => {
  let folder: string;
  let vault: TestVault;
  let life: Life;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sallyport-edited-"));
    vault = await startVault({ folder });
    life = await live(vault);
  });
  afterAll(async () => {
    await vault.close();
    await rm(folder, { recursive: true });
  });

  /** Stops the vault, edits its database, starts it again, and puts its rows back as it was when `then` is done. */
  const edited = async (change: (db: RawStore) => Promise<unknown>, then: () => Promise<void>): Promise<void> => {
    await vault.close();
    const db = await rawStore(folder);
    const tables = ["principals", "grants", "secrets", "secret_versions", "injections", "exchanges", "environments"];
    const putBack = await db.keep(tables);
    await change(db);
    vault = await startVault({ folder });
    try {
      await then();
    } finally {
      await vault.close();
      await putBack();
      await db.close();
      vault = await startVault({ folder });
    }
  };
  const again = (client: Client): Client => vault.anonymous.as(client.token);
  const reveal = (secret: string, environment = "dev") =>
    vault.owner.code("secret.reveal", { params: { ...SCOPE, environment, secret }, body: { reason: "a test" } });
  const exchange = (token: string) => vault.anonymous.as(token).try("token.exchange", { query: {} });
  const values = ["value-of-alpha", "value-of-beta", "value-of-prod-alpha"];

  it("gives no power to a principal that was made an owner, and says so in the log", async () => {
    await edited(
      (db) => db.run("UPDATE principals SET org_role = 'owner', instance_admin = 1 WHERE name = 'gus'"),
      async () => {
        expect(await again(life.guest).code("org.list", { query: {} })).toBe("integrity_failed");
        const { items } = await vault.owner.do("audit.list", { query: { action: "integrity.failed" } });
        expect(items.length).toBe(1);
        expect(items[0]).toMatchObject({ result: "failed", code: "integrity_failed", facts: { table: "principals" } });
        expect((await vault.owner.do("audit.verify")).faults).toContainEqual(
          expect.objectContaining({ where: expect.stringMatching(/^row prn_\w+ of principals$/) }),
        );
      },
    );
  });

  it("opens no sealed value that was swapped with another's (drill e)", async () => {
    const n = 6;
    const tried: string[] = [];
    await edited(
      async (db) => {
        const rows = await db.rows("SELECT org_id, secret_id, version, sealed, key_id FROM secret_versions");
        const [a, b, c] = rows;
        if (a === undefined || b === undefined || c === undefined) throw new Error("three were written");
        const put =
          "UPDATE secret_versions SET sealed = ?, key_id = ? WHERE org_id = ? AND secret_id = ? AND version = ?";
        for (const [to, from] of [
          [a, b],
          [b, c],
          [c, a],
        ] as const)
          await db.run(
            put,
            ...[from.sealed, from.key_id, to.org_id, to.secret_id, to.version].map((value) => value ?? null),
          );
      },
      async () => {
        for (const [secret, environment] of [
          ["ALPHA", "dev"],
          ["BETA", "dev"],
          ["ALPHA", "prod"],
        ] as const)
          tried.push(await reveal(secret, environment));
        for (let at = 0; at < 3; at += 1) {
          const answer = await exchange(life.tokens.unused);
          tried.push(answer.body.code);
          for (const value of values) expect(answer.text).not.toContain(value);
        }
        expect(tried).toEqual(Array.from({ length: n }, () => "integrity_failed"));
      },
    );
    // Nothing was used up: with its rows back in place the token is good.
    expect((await vault.anonymous.as(life.tokens.unused).do("token.lookup")).state).toBe("minted");
  });

  it.each([
    [
      "renamed",
      "UPDATE secrets SET name = 'GAMMA' WHERE name = 'ALPHA' AND environment_id = (SELECT id FROM environments WHERE name = 'dev' AND org_id = secrets.org_id)",
      "dev",
      "GAMMA",
    ],
    [
      "moved to another environment",
      "UPDATE secrets SET environment_id = (SELECT id FROM environments WHERE name = 'prod' AND org_id = secrets.org_id), name = 'GAMMA' WHERE name = 'ALPHA' AND environment_id = (SELECT id FROM environments WHERE name = 'dev' AND org_id = secrets.org_id)",
      "prod",
      "GAMMA",
    ],
    [
      "given to another secret as a version",
      "UPDATE secret_versions SET secret_id = (SELECT s.id FROM secrets s JOIN environments e ON e.id = s.environment_id WHERE s.name = 'BETA' AND e.name = 'dev'), version = 2 WHERE secret_id = (SELECT s.id FROM secrets s JOIN environments e ON e.id = s.environment_id WHERE s.name = 'ALPHA' AND e.name = 'dev'); UPDATE secrets SET current_version = 2 WHERE name = 'BETA' AND environment_id IN (SELECT id FROM environments WHERE name = 'dev')",
      "dev",
      "BETA",
    ],
  ])("opens no secret that was %s (drill e)", async (_, statements, environment, name) => {
    await edited(
      async (db) => {
        for (const statement of statements.split("; ")) expect(await db.run(statement)).toBe(1);
      },
      async () => {
        expect(await reveal(name, environment)).toBe("integrity_failed");
        const answer = await exchange(life.tokens.unused);
        expect(answer.status).toBeGreaterThanOrEqual(400);
        for (const value of values) expect(answer.text).not.toContain(value);
      },
    );
  });

  it("opens no value under another version of its own secret", async () => {
    await vault.owner.do("secret.write", { params: { ...SCOPE, secret: "TWICE" }, body: { value: "first" } });
    await vault.owner.do("secret.write", { params: { ...SCOPE, secret: "TWICE" }, body: { value: "second" } });
    await edited(
      (db) =>
        db.run(
          "UPDATE secret_versions AS v SET sealed = (SELECT sealed FROM secret_versions o WHERE o.secret_id = v.secret_id AND o.version = 1) WHERE version = 2 AND secret_id = (SELECT id FROM secrets WHERE name = 'TWICE')",
        ),
      async () => {
        expect(await reveal("TWICE")).toBe("integrity_failed");
      },
    );
  });

  it("never grants a used token whose old row was put back: the row of its exchange stands (drill e)", async () => {
    // Minted now, kept as it was then.
    const { items } = await vault.owner.do("token.mint", {
      params: { namespace: "default", workload: "job" },
      body: { environment: "dev", ttlSeconds: 600 },
    });
    const [minted] = items;
    if (minted === undefined) throw new Error("one was asked for");
    const before = await rawStore(folder);
    const id = idToBytes(minted.injectionId as Id<"inj">);
    const [old] = await before.rows("SELECT * FROM injections WHERE id = ?", id);
    await before.close();
    if (old === undefined) throw new Error("it is there");
    expect((await exchange(minted.token)).status).toBe(200);
    const putBack = async (db: RawStore): Promise<void> => {
      await db.run("DELETE FROM injections WHERE id = ?", id);
      await db.insert("injections", old);
    };
    await edited(putBack, async () => {
      expect((await exchange(minted.token)).body.code).toBe("token_invalid");
      const replayed = await vault.owner.do("audit.list", { query: { action: "token.replayed" } });
      expect(replayed.items.length).toBe(1);
      const verdict = await vault.owner.do("audit.verify");
      expect(verdict.faults).toContainEqual({
        where: `row ${minted.injectionId} of injections`,
        what: expect.stringContaining("another state of the row was put back"),
      });
    });
    // With the row of the exchange taken away too, the log still tells of both.
    await edited(
      async (db) => {
        await putBack(db);
        await db.run("DELETE FROM exchanges WHERE injection_id = ?", id);
      },
      async () => {
        const { intact, faults } = await vault.owner.do("audit.verify");
        expect(intact).toBe(false);
        expect(faults.map((one) => one.where)).toEqual(
          expect.arrayContaining([`row ${minted.injectionId} of injections`, `row ${minted.injectionId} of exchanges`]),
        );
      },
    );
  });

  it("names an old grant that was put back, and one that was taken away, and nothing of a file left alone", async () => {
    const grant = await vault.owner.do("grant.create", {
      body: { principal: "gus", role: "operator", environment: "prod" },
    });
    const id = idToBytes(grant.id as Id<"grt">);
    const db = await rawStore(folder);
    const [old] = await db.rows("SELECT * FROM grants WHERE id = ?", id);
    await db.close();
    await vault.owner.do("grant.delete", { params: { id: grant.id } });
    expect(await vault.owner.do("audit.verify")).toMatchObject({ intact: true, faults: [] });
    const find = async (what: RegExp): Promise<void> => {
      expect((await vault.owner.do("audit.verify")).faults).toEqual([
        { where: `row ${grant.id} of grants`, what: expect.stringMatching(what) },
      ]);
    };
    await edited(
      (edit) =>
        edit.run(
          "UPDATE grants SET state = ?, changed_by = ?, mac = ? WHERE id = ?",
          ...[old?.state, old?.changed_by, old?.mac, id].map((value) => value ?? null),
        ),
      () => find(/another state of the row was put back/),
    );
    await edited(
      (edit) => edit.run("DELETE FROM grants WHERE id = ?", id),
      () => find(/is gone, and no event says so/),
    );
    expect(await vault.owner.do("audit.verify")).toMatchObject({ intact: true, faults: [] });
  });
});
