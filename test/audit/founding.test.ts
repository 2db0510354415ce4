import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INSTANCE, idToBytes } from "#base";
import type { Id } from "#base";
import { createSigner, generateSigningKey } from "#crypto";
import { verifyChain } from "#audit";
import type { Verdict } from "#audit";
import { startVault } from "../harness.ts";
import { readStopped } from "../storage/behind-the-back.ts";
import { rawStore } from "../storage/raw-store.ts";
import type { RawRow, RawStore, RawValue } from "../storage/raw-store.ts";

/** The rows that the founding of an org makes: table, which of them, the word that its id begins with. */
const FOUNDED = [
  ["org_settings", "1 = 1", "org"],
  ["principals", "1 = 1", "prn"],
  ["credentials", "1 = 1", "crd"],
  ["environments", "name = 'dev'", "env"],
  ["environments", "name = 'prod'", "env"],
  ["namespaces", "1 = 1", "nsp"],
  ["workloads", "1 = 1", "wkl"],
  ["manifests", "1 = 1", "man"],
] as const;

describe("an org that was founded and has changed nothing since", () => {
  let folder: string;
  let db: RawStore;
  let stopped: Awaited<ReturnType<typeof readStopped>>;
  let org: Id<"org">;
  const verifier = createSigner("sallyport/test", generateSigningKey());

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sallyport-founded-"));
    const vault = await startVault({ folder });
    await vault.owner.do("org.create", { body: { name: "second", owner: "owner" } });
    await vault.owner.do("org.create", { body: { name: "third", owner: "owner" } });
    await vault.vault.close();
    stopped = await readStopped(folder);
    org = await stopped.org("second");
    db = await rawStore(folder);
  });
  afterAll(async () => {
    await db.close();
    await stopped.engine.close();
    await rm(folder, { recursive: true });
  });

  const verify = (): Promise<Verdict> => {
    const kept = { chain: org, origin: "", notes: [], faults: [] };
    return verifyChain(stopped.facts.of(org), kept, verifier, stopped.facts);
  };
  const rows = (table: string, which: string, of: Id<"org"> = org): Promise<RawRow[]> =>
    db.rows(`SELECT * FROM ${table} WHERE org_id = ? AND ${which}`, idToBytes(of));
  /** What is done to these rows behind the vault's back, and undone afterwards. */
  const during = async (table: string, change: () => Promise<void>, then: () => Promise<void>) => {
    const putBack = await db.keep([table]);
    await change();
    try {
      await then();
    } finally {
      await putBack();
    }
    expect((await verify()).faults).toEqual([]);
  };

  it.each(FOUNDED)("misses its row of %s where %s when it is taken away", async (table, which, kind) => {
    await during(
      table,
      async () => {
        expect(await db.run(`DELETE FROM ${table} WHERE org_id = ? AND ${which}`, idToBytes(org))).toBe(1);
      },
      async () => {
        const { intact, faults } = await verify();
        expect(intact).toBe(false);
        expect(faults).toEqual([
          {
            where: expect.stringMatching(new RegExp(`^row ${kind}_\\w+ of `)),
            what: "is gone, and no event says so: the last is the founding of the org",
          },
        ]);
      },
    );
  });

  it("names each of them: no proved row of a new org is missing in the list above", async () => {
    const { rows: told } = JSON.parse(
      String((await rows("audit_events", `action = 'org.create'`, INSTANCE))[0]?.public),
    ) as {
      rows: [string, string][];
    };
    expect(told.length).toBe(FOUNDED.length);
    expect(new Set(told.map(([, id]) => id.slice(0, 3)))).toEqual(new Set(FOUNDED.map(([, , kind]) => kind)));
  });

  it("is held to its founding: taken away, edited, or another's put in its place, that event is named", async () => {
    const saved = await rows("audit_events", "1 = 1", INSTANCE);
    const mine = saved.find((row) => row.target_id === org);
    const next = saved.find((row) => row.seq === Number(mine?.seq) + 1);
    if (mine === undefined || next === undefined) throw new Error("there are both");
    const at = (row: RawRow): [Buffer, number] => [idToBytes(INSTANCE), Number(row.seq)];
    const run =
      (sql: string, ...values: RawValue[]) =>
      async (): Promise<void> => {
        expect(await db.run(sql, ...values)).toBe(1);
      };
    const cases: [() => Promise<void>, string][] = [
      [
        run("DELETE FROM audit_events WHERE org_id = ? AND seq = ?", ...at(mine)),
        "no event of the instance's chain tells of it",
      ],
      [
        run("UPDATE audit_events SET target_id = '' WHERE org_id = ? AND seq = ?", ...at(mine)),
        "no event of the instance's chain tells of it",
      ],
      [
        run(
          "UPDATE audit_events SET public = replace(public, 'env_', 'enw_') WHERE org_id = ? AND seq = ?",
          ...at(mine),
        ),
        "its hash is not of its content",
      ],
      [
        run("UPDATE audit_events SET public = 'x' WHERE org_id = ? AND seq = ?", ...at(mine)),
        "its public part cannot be read",
      ],
      [
        run("UPDATE audit_events SET hash = ? WHERE org_id = ? AND seq = ?", Buffer.alloc(32), ...at(mine)),
        "the next event does not follow from it",
      ],
      [
        run("UPDATE audit_events SET id = ? WHERE org_id = ? AND seq = ?", Buffer.alloc(3), ...at(mine)),
        "it, or an event beside it, cannot be read",
      ],
      [
        run("UPDATE audit_events SET target_id = ? WHERE org_id = ? AND seq = 1", org, idToBytes(INSTANCE)),
        "its column targetId is not what the event says",
      ],
    ];
    for (const [change, what] of cases)
      await during("audit_events", change, async () => {
        const { intact, faults } = await verify();
        expect(intact).toBe(false);
        expect(faults).toContainEqual({ where: "the founding of the org", what });
      });
  });
});
