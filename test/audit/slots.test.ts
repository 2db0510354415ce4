import { readFile, writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AuditView } from "#access";
import { Call, INSTANCE, idToBytes } from "#base";
import type { Actor } from "#base";
import { Change } from "#storage";
import type { Facts, Row } from "#storage";
import { verifyChain } from "#audit";
import type { Checkpoints, Verdict } from "#audit";
import { Chain } from "./chain.ts";
import { asNode } from "./turns.ts";

/** Two nodes on one database: slot 0 and slot 1, each with a checkpoint file of its own. */
describe("a log in several slots", () => {
  let chain: Chain;
  let nodes: readonly [Checkpoints, Checkpoints];
  beforeEach(async () => {
    chain = await Chain.make();
    chain.turns.take(1);
    chain.turns.take(0);
    nodes = [chain.node(0), chain.node(1)];
    for (const node of nodes) await node.start();
  });
  afterEach(async () => {
    for (const node of nodes) await node.stop();
    await chain.close();
    expect(chain.faults).toEqual([]);
  });

  const reader = () => chain.world.facts.of(chain.world.org);
  /** Some events of this slot, heard of by its node. */
  const write = async (slot: 0 | 1, count: number): Promise<void> => {
    chain.turns.take(slot);
    await chain.grow(count);
    nodes[slot].grown(chain.world.org, slot);
  };
  const sign = (slot: 0 | 1): Promise<void> => nodes[slot].run();
  const verify = async (by: 0 | 1 = 0, org = chain.world.org): Promise<Verdict> => {
    const { facts } = chain.world;
    return verifyChain(facts.of(org), await nodes[by].kept(org), nodes[by].verifier, facts);
  };
  /** A namespace as it is now, changed by an event of this slot. */
  const describeIt = async (slot: 0 | 1, id: Row<"namespaces">["id"], description: string): Promise<number> => {
    chain.turns.take(slot);
    chain.world.clock.ms += 1;
    const row = await reader().get("namespaces", { id });
    if (row === null) throw new Error("it is there");
    return (await chain.world.commit(new Change().replace("namespaces", row, { description }))).seq;
  };

  it("is intact, whichever node verifies, and counts the events of all slots", async () => {
    for (let round = 0; round < 3; round += 1) {
      await write(0, 3);
      await write(1, 4);
      await sign(0);
      await sign(1);
    }
    const events = await reader().count("auditEvents");
    expect(await reader().count("auditEvents", { slot: 1 })).toBe(12);
    for (const by of [0, 1] as const) expect(await verify(by)).toMatchObject({ intact: true, events, faults: [] });
    expect(await verify(0, INSTANCE)).toMatchObject({ intact: true });
    const covered = await nodes[0].newest(chain.world.org);
    const [newest] = await reader().list("auditCheckpoints", { order: ["time"], descending: true, limit: 1 });
    expect(covered).toEqual({ time: newest?.time, size: events });
  });

  it("misses a slot that was removed with its lease, by the notes of the table or of the file", async () => {
    await write(1, 5);
    await sign(1);
    const left = { where: "checkpoint of 5 events of slot 1", what: "only 0 events are left" };
    await chain.during(async () => {
      await chain.run("DELETE FROM audit_events WHERE org_id = ? AND slot = 1", chain.org);
      chain.turns.leased.delete(1);
      for (const by of [0, 1] as const) expect((await verify(by)).faults).toContainEqual(left);
      await chain.run("DELETE FROM audit_checkpoints WHERE org_id = ? AND slot = 1", chain.org);
      // Only the file of the node that signed it tells, once the table is silent.
      expect((await verify(1)).faults).toContainEqual(left);
      expect((await verify(0)).faults).not.toContainEqual(left);
      await expect(chain.node(1).start()).rejects.toMatchObject({
        code: "database_rolled_back",
        message: expect.stringContaining("in slot 1; the database holds 0"),
      });
    });
    chain.turns.leased.add(1);
    expect((await verify()).faults).toEqual([]);
  });

  it("finds events of a slot that nobody leased", async () => {
    await write(1, 2);
    await sign(1);
    await chain.during(async () => {
      chain.slot = 1;
      await chain.insert("audit_events", { ...(await chain.event(1)), slot: 2, id: Buffer.alloc(16, 7) });
      chain.slot = 0;
      expect((await verify()).faults).toEqual([{ where: "the log", what: "1 events stand outside the chain" }]);
    });
  });

  it("follows a row from slot to slot, and names the change of an old state that was put back", async () => {
    const row = chain.world.namespace("passed-on");
    await chain.world.commit(new Change().insert("namespaces", row));
    const [old] = await chain.rows("SELECT * FROM namespaces WHERE id = ?", idToBytes(row.id));
    if (old === undefined) throw new Error("it is there");
    for (let round = 0; round < 4; round += 1) {
      await describeIt(1, row.id, `one ${String(round)}`);
      await describeIt(0, row.id, `nought ${String(round)}`);
    }
    const last = await describeIt(1, row.id, "of one");
    expect((await verify()).faults).toEqual([]);

    const put = async (): Promise<void> => {
      await chain.run("DELETE FROM namespaces WHERE id = ?", idToBytes(row.id));
      await chain.insert("namespaces", old);
    };
    await chain.during(async () => {
      await put();
      expect((await verify()).faults).toEqual([
        {
          where: `row ${row.id} of namespaces`,
          what: `is not as event ${String(last)} of slot 1 left it: another state of the row was put back`,
        },
      ]);
    });
    await put();
    const over = await describeIt(0, row.id, "as if nothing had been");
    expect((await verify()).faults).toEqual([
      {
        where: `row ${row.id} of namespaces`,
        what: `event ${String(over)} of slot 0 changed another state of it than event ${String(last)} of slot 1 had left: an old one had been put back`,
      },
    ]);
  });

  it("is ordered by what its events say, though the column is moved before another slot's", async () => {
    const row = chain.world.namespace("in-order");
    await chain.world.commit(new Change().insert("namespaces", row));
    const seqs = [];
    for (const slot of [1, 0, 1, 0, 1] as const) seqs.push(await describeIt(slot, row.id, `by ${String(slot)}`));
    const at = seqs[2] ?? 0;
    chain.slot = 1;
    const time = Number((await chain.event(at)).time);
    for (const by of [-10_000, 10_000])
      await chain.during(async () => {
        await chain.set(at, { time: time + by });
        const { faults } = await verify();
        expect(faults).toContainEqual({
          where: `event ${String(at)} of slot 1`,
          what: "its column time is not what the event says",
        });
        expect(faults.filter((fault) => !fault.where.startsWith("event "))).toEqual([]);
      });
  });

  it("knows the founding of an org in whatever slot, and a forged one that claims to be older", async () => {
    chain.turns.take(1);
    chain.world.clock.ms += 1;
    const org = await chain.world.newOrg("founded-in-one");
    expect(await verify(0, org)).toMatchObject({ intact: true });
    const [founding] = await chain.world.facts.of(INSTANCE).list("auditEvents", { where: { targetId: org } });
    expect(founding?.slot).toBe(1);
    await chain.during(async () => {
      chain.turns.leased.add(2);
      const [told] = await chain.rows("SELECT * FROM audit_events WHERE target_id = ? LIMIT 1", org);
      await chain.insert("audit_events", { ...told, slot: 2, seq: 1, id: Buffer.alloc(16), time: 1 });
      expect((await verify(0, org)).faults).toContainEqual({
        where: "the founding of the org",
        what: "another event tells of it too",
      });
      chain.turns.leased.delete(2);
      // In a slot that nobody leased it is no founding at all; the instance's own verification names it.
      expect((await verify(0, org)).faults).toEqual([]);
      expect((await verify(0, INSTANCE)).faults).toContainEqual({
        where: "the log",
        what: "1 events stand outside the chain",
      });
    });
  });

  it("is read newest first, events and checkpoints, whatever their slots and the size of a page", async () => {
    for (let round = 0; round < 3; round += 1)
      for (const slot of [1, 0] as const) {
        await write(slot, 2);
        await sign(slot);
      }
    const { guard, store, facts, ids } = chain.world;
    const audit = new AuditView(guard, store, nodes[0], facts);
    const owner = (): Actor => ({
      type: "user",
      call: new Call("audit.list", "req_1", null),
      org: chain.world.org,
      id: ids.next("prn"),
      name: "olga",
      role: "owner",
      instanceAdmin: false,
      session: null,
    });
    /** All of it, page by page. */
    const paged = async <T>(
      page: (after: string | undefined) => Promise<{ items: readonly T[]; next: string | null }>,
    ) => {
      const all: T[] = [];
      for (let after: string | undefined | null; after !== null;) {
        const { items, next } = await page(after);
        all.push(...items);
        after = next;
      }
      return all;
    };
    const notes = await paged((after) => audit.checkpoints(owner(), "org", { after, limit: 2 }));
    expect(notes.map((one) => one.slot)).toEqual([0, 1, 0, 1, 0, 1, 0]);
    expect(notes.map((one) => one.time.getTime())).toEqual(
      notes.map((one) => one.time.getTime()).sort((one, other) => other - one),
    );
    const events = await paged((after) => audit.list(owner(), "org", {}, { after, limit: 5 }));
    expect(events.map(({ public: { slot } }) => slot)).toEqual([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0]);
    expect(await audit.verify(owner(), "org")).toMatchObject({ intact: true, events: 13 });
  });

  describe("is signed", () => {
    it("by each node in its own slot, under the slot's own origin", async () => {
      await write(0, 2);
      await write(1, 3);
      // It hears of the other's slot, and leaves it alone.
      nodes[0].grown(chain.world.org, 1);
      await sign(0);
      expect(await reader().count("auditCheckpoints", { slot: 1 })).toBe(0);
      await sign(1);
      const [row] = await reader().list("auditCheckpoints", { where: { slot: 1 } });
      expect(row?.note.startsWith(`sallyport/test/${chain.world.org}/1\n3\n`)).toBe(true);
      expect(await readFile(`${chain.folder}/checkpoints-1.log`, "utf8")).toContain(`${chain.world.org}/1\\n3\\n`);
      expect(await readFile(`${chain.folder}/checkpoints-0.log`, "utf8")).not.toContain(`${chain.world.org}/1\\n`);
    });

    it("to the end by whoever takes over the slot of a node that is gone", async () => {
      await write(1, 3);
      const next = chain.node(1, `${chain.folder}/checkpoints-next.log`);
      await next.start();
      expect((await next.newest(chain.world.org))?.size).toBe(await reader().count("auditEvents"));
      expect((await next.kept(chain.world.org)).notes).toMatchObject([{ slot: 1, size: 3 }]);
      await next.stop();
    });

    it("in the new slot by a node whose slot has changed, all of its chains", async () => {
      await write(1, 3);
      chain.turns.take(0);
      const moving = chain.open(chain.world.facts, `${chain.folder}/checkpoints-moving.log`);
      await moving.start();
      chain.turns.take(1);
      await moving.run();
      expect((await moving.kept(chain.world.org)).notes.map(({ slot }) => slot)).toEqual([1]);
      await chain.grow(1);
      moving.grown(chain.world.org, 1);
      moving.grown(chain.world.org, 0);
      await moving.run();
      expect((await moving.kept(chain.world.org)).notes.map(({ slot, size }) => [slot, size])).toEqual([
        [1, 3],
        [1, 4],
      ]);
      expect(await verify(1)).toMatchObject({ intact: true });
      await moving.stop();
    });

    it("by two nodes at once while a slot goes from one to the other, without a fault", async () => {
      await write(1, 3);
      // Both have looked before either writes.
      let here = 0;
      let meet = (): void => undefined;
      const met = new Promise<void>((resolve) => (meet = resolve));
      const facts: Facts = {
        ...asNode(chain.world.facts, 1),
        append: async (...args) => {
          here += 1;
          if (here === 2) meet();
          await met;
          await chain.world.facts.append(...args);
        },
      };
      const [one, next] = ["one", "next"].map((name) => chain.open(facts, `${chain.folder}/checkpoints-${name}.log`));
      for (const node of [one, next]) node?.grown(chain.world.org, 1);
      await Promise.all([one?.run(), next?.run()]);
      expect(await reader().count("auditCheckpoints", { slot: 1 })).toBe(1);
      for (const node of [one, next]) expect((await node?.kept(chain.world.org))?.notes).toHaveLength(1);
      expect(chain.faults).toEqual([]);
    });

    it("not where another root stands in the place of its checkpoint: that is a fault", async () => {
      await write(1, 3);
      await chain.insert("audit_checkpoints", {
        org_id: chain.org,
        slot: 1,
        size: 3,
        root: Buffer.alloc(32, 1),
        frontier: Buffer.alloc(9),
        time: 1,
        note: "",
      });
      await sign(1);
      expect(chain.faults.splice(0)).toHaveLength(1);
      expect(nodes[1].fault).not.toBeNull();
      await chain.run("DELETE FROM audit_checkpoints WHERE size = 3 AND slot = 1");
      await sign(1);
      expect(nodes[1].fault).toBeNull();
    });

    it("and held at a start against every note of the node's own file, whatever slot it writes now", async () => {
      await write(1, 4);
      await sign(1);
      await write(0, 2);
      await sign(0);
      // The node that had slot 1 comes back and gets slot 0.
      const file = `${chain.folder}/checkpoints-1.log`;
      const whole = await readFile(file, "utf8");
      const again = chain.node(0, file);
      await again.start();
      await again.stop();
      await writeFile(file, whole);
      await chain.during(async () => {
        await chain.run("DELETE FROM audit_events WHERE org_id = ? AND slot = 1 AND seq = 4", chain.org);
        await chain.run("DELETE FROM audit_checkpoints WHERE org_id = ? AND slot = 1", chain.org);
        await expect(chain.node(0, file).start()).rejects.toMatchObject({
          code: "database_rolled_back",
          message: expect.stringContaining(`has signed 4 events of ${chain.world.org} in slot 1`),
        });
      });
    });
  });
});
