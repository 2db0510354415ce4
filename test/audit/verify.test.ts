import { randomInt } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { idToBytes } from "#base";
import { verifyChain } from "#audit";
import type { Checkpoints, Fault } from "#audit";
import { Chain } from "./chain.ts";

/** How many random places each kind of change is tried at. */
const N = 4;

/** How many events another node has written, and the slot that is tampered with. */
const LOGS = [
  { log: "in one slot", slot: 0, others: 0 },
  { log: "in the second of two slots", slot: 1, others: 7 },
  { log: "in the first of two slots", slot: 0, others: 7 },
] as const;

describe.each(LOGS)("verification of a chain $log", ({ slot, others }) => {
  /** How a fault names the slot. */
  const of = others === 0 ? "" : ` of slot ${String(slot)}`;
  let chain: Chain;
  /** The other node, and what it has signed. */
  let other: Checkpoints | null = null;
  let signedByOther = 0;
  /** Events of the slot; and of all. */
  let size: number;
  let total: number;
  const signedSizes: number[] = [];

  beforeAll(async () => {
    chain = await Chain.make();
    if (others > 0) {
      chain.slot = slot;
      chain.turns.take(1);
      chain.checkpoints = chain.node(slot, chain.file);
      other = chain.node(1 - slot);
    }
    await chain.checkpoints.start();
    await other?.start();
    for (let at = 0; at < 3; at += 1) {
      chain.turns.take(slot);
      await chain.grow(12);
      await chain.checkpoints.run();
      if (other === null) continue;
      chain.turns.take(1 - slot);
      await chain.grow(others);
      other.grown(chain.world.org, 1 - slot);
      await other.run();
    }
    chain.turns.take(slot);
    await chain.grow(5, chain.world.other);
    await chain.checkpoints.run();
    total = (await chain.verify()).events;
    const reader = chain.world.facts.of(chain.world.org);
    size = await reader.count("auditEvents", { slot });
    signedByOther = await reader.count("auditCheckpoints", { slot: 1 - slot });
    const kept = await chain.checkpoints.kept(chain.world.org);
    signedSizes.push(...kept.notes.map((note) => note.size));
  });
  afterAll(async () => {
    await other?.stop();
    await chain.checkpoints.stop();
    await chain.close();
  });

  const places = (from: number, to: number): number[] => Array.from({ length: N }, () => randomInt(from, to + 1));
  /** Does it at N places, each on the chain as it was, and hands over what verification says. */
  const everywhere = async (
    from: number,
    to: number,
    change: (seq: number) => Promise<void>,
    check: (seq: number, faults: readonly Fault[]) => void,
  ): Promise<void> => {
    for (const seq of places(from, to)) {
      await chain.during(async () => {
        await change(seq);
        const { intact, faults } = await chain.verify();
        expect([seq, intact]).toEqual([seq, false]);
        check(seq, faults);
      });
    }
    expect(await chain.verify()).toMatchObject({ intact: true, events: total, faults: [] });
  };
  const at = (seq: number, what: string): unknown =>
    expect.arrayContaining([{ where: `event ${String(seq)}${of}`, what }]);

  it("finds nothing in a chain that was left alone, of an org or of the instance", async () => {
    expect(await chain.verify()).toEqual({
      intact: true,
      events: total,
      checkpoints: signedSizes.length * 2 + signedByOther,
      faults: [],
    });
    expect(await chain.verify(chain.world.other)).toMatchObject({ intact: true, faults: [] });
    expect(signedSizes.at(-1)).toBe(size);
    expect(signedByOther > 0).toBe(others > 0);
    expect(total - size > 20).toBe(others > 0);
  });

  it(`finds an edited public part, at ${String(N)} places`, async () => {
    await everywhere(
      1,
      size,
      async (seq) => {
        await chain.set(seq, { public: (await chain.event(seq)).public.replace('"result":"', '"result":"x') });
      },
      (seq, faults) => {
        expect(faults).toEqual(at(seq, "its hash is not of its content"));
        expect(faults).toEqual(at(seq, "its column result is not what the event says"));
      },
    );
  });

  it(`finds an edited or missing private part, at ${String(N)} places each`, async () => {
    await everywhere(
      1,
      size,
      async (seq) => {
        await chain.set(seq, { private: ((await chain.event(seq)).private ?? "").replace("null", '"x"') });
      },
      (seq, faults) =>
        expect(faults).toEqual([
          { where: `event ${String(seq)}${of}`, what: "its private part is not the one that was hashed" },
        ]),
    );
    await everywhere(
      1,
      size,
      async (seq) => {
        await chain.set(seq, { salt: Buffer.alloc(32, 1) });
      },
      (seq, faults) => expect(faults).toEqual(at(seq, "its private part is not the one that was hashed")),
    );
    await everywhere(
      1,
      size,
      async (seq) => {
        await chain.set(seq, { private: null, salt: null });
      },
      (seq, faults) =>
        expect(faults).toEqual([{ where: `event ${String(seq)}${of}`, what: "its private part is missing" }]),
    );
  });

  it.each(["private_hash", "previous_hash", "hash"])(`finds a changed %s, at ${String(N)} places`, async (column) => {
    await everywhere(
      1,
      size,
      async (seq) => {
        const value = Buffer.from((await chain.event(seq))[column] as Buffer);
        value[randomInt(32)]! ^= 1 << randomInt(8);
        await chain.set(seq, { [column]: value });
      },
      (seq, faults) => expect(faults).toEqual(at(seq, "its hash is not of its content")),
    );
  });

  it.each([
    ["action", "action", "secret.reveal"],
    ["result", "result", "failed"],
    ["actor_id", "actorId", "prn_somebody"],
    ["target_id", "targetId", null],
    ["environment_id", "environmentId", Buffer.alloc(16, 1)],
    ["namespace_id", "namespaceId", Buffer.alloc(16, 1)],
    ["workload_id", "workloadId", Buffer.alloc(16, 1)],
    ["id", "id", Buffer.alloc(16, 1)],
  ])(`finds a changed column %s, at ${String(N)} places`, async (column, name, value) => {
    await everywhere(
      3,
      size,
      async (seq) => {
        await chain.set(seq, { [column]: value });
      },
      (seq, faults) => expect(faults).toEqual(at(seq, `its column ${name} is not what the event says`)),
    );
  });

  it(`finds a changed time, at ${String(N)} places, and one before the event before it`, async () => {
    await everywhere(
      2,
      size,
      async (seq) => {
        await chain.set(seq, { time: Number((await chain.event(seq)).time) - 86_400_000 });
      },
      (seq, faults) => {
        expect(faults).toEqual(at(seq, "its column time is not what the event says"));
        expect(faults).toEqual(at(seq, "is older than the event before it"));
      },
    );
  });

  it(`finds an event deleted in the middle, and where, at ${String(N)} places`, async () => {
    await everywhere(
      1,
      size - 1,
      async (seq) => {
        await chain.run(
          "DELETE FROM audit_events WHERE org_id = ? AND slot = ? AND seq = ?",
          chain.org,
          chain.slot,
          seq,
        );
      },
      (seq, faults) => {
        expect(faults).toEqual(at(seq + 1, "the 1 events before it are missing"));
        expect(faults).toEqual(at(seq + 1, "does not follow from the event before it"));
      },
    );
  });

  it(`finds an event deleted with all later ones renumbered and hashed anew, by the next checkpoint, at ${String(N)} places`, async () => {
    await everywhere(
      1,
      size - 1,
      async (seq) => {
        await chain.run(
          "DELETE FROM audit_events WHERE org_id = ? AND slot = ? AND seq = ?",
          chain.org,
          chain.slot,
          seq,
        );
        for (let next = seq + 1; next <= size; next += 1) {
          const text = (await chain.event(next)).public.replace(`"seq":${String(next)}`, `"seq":${String(next - 1)}`);
          await chain.set(next, { seq: next - 1, public: text });
        }
        await chain.rehash(seq);
      },
      (seq, faults) => {
        const next = signedSizes.filter((one) => one >= seq && one < size);
        for (const one of next)
          expect(faults).toContainEqual({
            where: `checkpoint of ${String(one)} events${of}`,
            what: "the events are not those that were signed",
          });
        expect(faults).toContainEqual({
          where: `checkpoint of ${String(size)} events${of}`,
          what: `only ${String(size - 1)} events are left`,
        });
      },
    );
  });

  it(`finds a tail that was cut off, by the checkpoints that cover it, at ${String(N)} places`, async () => {
    await everywhere(
      1,
      size,
      async (seq) => {
        await chain.run(
          "DELETE FROM audit_events WHERE org_id = ? AND slot = ? AND seq >= ?",
          chain.org,
          chain.slot,
          seq,
        );
      },
      (seq, faults) => {
        for (const one of signedSizes.filter((signed) => signed >= seq))
          expect(faults).toContainEqual({
            where: `checkpoint of ${String(one)} events${of}`,
            what: `only ${String(seq - 1)} events are left`,
          });
      },
    );
  });

  it("finds a tail that was cut off together with its checkpoints in the database, by those in the file", async () => {
    await everywhere(
      2,
      size,
      async (seq) => {
        await chain.run(
          "DELETE FROM audit_events WHERE org_id = ? AND slot = ? AND seq >= ?",
          chain.org,
          chain.slot,
          seq,
        );
        await chain.run(
          "DELETE FROM audit_checkpoints WHERE org_id = ? AND slot = ? AND size >= ?",
          chain.org,
          chain.slot,
          seq,
        );
      },
      (seq, faults) =>
        expect(faults).toContainEqual({
          where: `checkpoint of ${String(size)} events${of}`,
          what: `only ${String(seq - 1)} events are left`,
        }),
    );
  });

  it(`finds two events in another order, at ${String(N)} places`, async () => {
    await everywhere(
      1,
      size - 1,
      async (seq) => {
        await chain.set(seq, { seq: 1_000_000 });
        await chain.set(seq + 1, { seq });
        await chain.set(1_000_000, { seq: seq + 1 });
      },
      (seq, faults) => {
        expect(faults).toEqual(at(seq, "does not follow from the event before it"));
        expect(faults).toEqual(at(seq, "its column seq is not what the event says"));
      },
    );
  });

  it(`finds an event put in between with all later ones moved and hashed anew, at ${String(N)} places`, async () => {
    await everywhere(
      1,
      size,
      async (seq) => {
        for (let one = size; one >= seq; one -= 1) {
          const text = (await chain.event(one)).public.replace(`"seq":${String(one)}`, `"seq":${String(one + 1)}`);
          await chain.set(one, { seq: one + 1, public: text });
        }
        const copy = await chain.event(seq + 1);
        const id = chain.world.ids.next("evt");
        const text = copy.public
          .replace(/"id":"evt_\w+"/, `"id":"${id}"`)
          .replace(`"seq":${String(seq + 1)}`, `"seq":${String(seq)}`);
        await chain.insert("audit_events", { ...copy, id: idToBytes(id), seq, public: text });
        await chain.rehash(seq);
      },
      (seq, faults) => {
        for (const one of signedSizes.filter((signed) => signed >= seq))
          expect(faults).toContainEqual({
            where: `checkpoint of ${String(one)} events${of}`,
            what: "the events are not those that were signed",
          });
      },
    );
  });

  it("finds events beside the chain, which no hash covers", async () => {
    for (const place of [
      { slot: others === 0 ? 1 : 2, seq: 1 },
      { slot, seq: 0 },
      { slot, seq: -7 },
    ])
      await everywhere(
        1,
        size,
        async (seq) => {
          await chain.insert("audit_events", { ...(await chain.event(seq)), ...place, id: Buffer.alloc(16, 3) });
        },
        (_, faults) => expect(faults).toEqual([{ where: "the log", what: "1 events stand outside the chain" }]),
      );
  });

  it(`finds a beginning that was cut off, and a new one hashed from the first event on, at ${String(N)} places each`, async () => {
    await everywhere(
      1,
      size - 1,
      async (seq) => {
        await chain.run(
          "DELETE FROM audit_events WHERE org_id = ? AND slot = ? AND seq <= ?",
          chain.org,
          chain.slot,
          seq,
        );
      },
      (seq, faults) => expect(faults).toEqual(at(seq + 1, `the ${String(seq)} events before it are missing`)),
    );
    await everywhere(
      1,
      size,
      async (seq) => {
        const text = (await chain.event(seq)).public.replace(
          '"because":"the vault itself"',
          '"because":"nobody did this"',
        );
        await chain.set(seq, { public: text });
        await chain.rehash(1);
      },
      (seq, faults) => {
        for (const one of signedSizes.filter((signed) => signed >= seq))
          expect(faults).toContainEqual({
            where: `checkpoint of ${String(one)} events${of}`,
            what: "the events are not those that were signed",
          });
      },
    );
  });

  it(`reports what cannot even be read and goes on, at ${String(N)} places`, async () => {
    await everywhere(
      2,
      size,
      async (seq) => {
        await chain.set(seq, { id: Buffer.of(1, 2, 3) });
      },
      (seq, faults) => {
        expect(faults).toContainEqual({
          where: `event ${String(seq)}${of}`,
          what: expect.stringContaining("cannot be read"),
        });
        if (seq < size) expect(faults).toEqual(at(seq + 1, "does not follow from the event before it"));
      },
    );
    for (const text of ["", "null", "5", "[]", "{}", '{"v":1}', '{"v":1,"actor":{"type":"x"},"rows":[5]}', "not JSON"])
      await chain.during(async () => {
        await chain.set(7, { public: text });
        expect((await chain.verify()).faults).toEqual(at(7, "its hash is not of its content"));
      });
    await chain.during(async () => {
      await chain.set(7, { time: 2n ** 60n });
      expect((await chain.verify()).faults).toEqual(at(7, "its column time is not what the event says"));
    });
  });

  it("finds the chain of another org in the place of its own, though each hash and signature in it is right", async () => {
    await chain.during(async () => {
      for (const table of ["audit_events", "audit_checkpoints"]) {
        await chain.run(`DELETE FROM ${table} WHERE org_id = ?`, chain.org);
        await chain.run(`UPDATE ${table} SET org_id = ? WHERE org_id = ?`, chain.org, idToBytes(chain.world.other));
      }
      const { faults } = await chain.verify();
      expect(faults).toEqual(at(1, "is of another chain"));
      expect(faults).toContainEqual({ where: expect.stringContaining("checkpoint of"), what: "is of another chain" });
    });
  });

  it("finds a checkpoint in the database that is not what was signed", async () => {
    const [first = 0, second = 0] = signedSizes;
    const where = { where: `checkpoint of ${String(first)} events${of}` };
    for (const [sql, what] of [
      [
        "UPDATE audit_checkpoints SET root = hash FROM (SELECT hash FROM audit_events LIMIT 1) AS other WHERE org_id = ? AND slot = ? AND size = ?",
        "the row is not what was signed",
      ],
      ["UPDATE audit_checkpoints SET slot = slot WHERE org_id = ? AND slot = ? AND size = ?", null],
      [
        "UPDATE audit_checkpoints SET note = replace(note, 'time', 'Time') WHERE org_id = ? AND slot = ? AND size = ?",
        "its signature is not ours",
      ],
      [
        "UPDATE audit_checkpoints SET note = '' WHERE org_id = ? AND slot = ? AND size = ?",
        "its signature is not ours",
      ],
    ] as const)
      await chain.during(async () => {
        await chain.run(sql, chain.org, chain.slot, first);
        expect((await chain.verify()).faults).toEqual(what === null ? [] : [{ ...where, what }]);
      });
    await chain.during(async () => {
      const moved = others === 0 ? "" : " of slot 2";
      await chain.run(
        "UPDATE audit_checkpoints SET slot = 2 WHERE org_id = ? AND slot = ? AND size = ?",
        chain.org,
        slot,
        first,
      );
      expect((await chain.verify()).faults).toEqual([
        { where: `checkpoint of ${String(first)} events${moved}`, what: "the row is not what was signed" },
      ]);
    });
    await chain.during(async () => {
      await chain.run(
        `UPDATE audit_checkpoints SET note = (SELECT o.note FROM audit_checkpoints o WHERE o.org_id = ? AND o.slot = ? AND o.size = ${String(second)}) WHERE org_id = ? AND slot = ? AND size = ${String(first)}`,
        chain.org,
        slot,
        chain.org,
        slot,
      );
      expect((await chain.verify()).faults).toEqual([{ ...where, what: "the row is not what was signed" }]);
    });
  });

  it("names the row that is not as the newest event left it, and not one that changes while it looks", async () => {
    const row = chain.world.namespace("watched");
    const { Change } = await import("#storage");
    await chain.world.commit(new Change().insert("namespaces", row));
    await chain.during(async () => {
      await chain.run("UPDATE namespaces SET state = 'deleted' WHERE id = ?", idToBytes(row.id));
      expect((await chain.verify()).faults).toEqual([
        { where: `row ${row.id} of namespaces`, what: expect.stringContaining("does not prove itself") },
      ]);
      await chain.run("DELETE FROM namespaces WHERE id = ?", idToBytes(row.id));
      expect((await chain.verify()).faults).toEqual([
        { where: `row ${row.id} of namespaces`, what: expect.stringContaining("is gone, and no event says so") },
      ]);
    });
    // Rows that come and go all the while are no fault.
    let going = true;
    const busy = (async () => {
      for (let turn = 0; going; turn += 1) {
        // Each event has a later time than those that its writer has seen of another slot.
        if (others > 0) chain.turns.take(turn % 3);
        chain.world.clock.ms += 1;
        const reader = chain.world.facts.of(chain.world.org);
        const read = await reader.get("namespaces", { id: row.id });
        if (read !== null) await chain.world.commit(new Change().replace("namespaces", read, { description: "busy" }));
        await chain.world.commit(
          new Change().insert("namespaces", chain.world.namespace(`b-${chain.world.ids.next("evt")}`)),
        );
      }
    })();
    for (let round = 0; round < 5; round += 1) expect((await chain.verify()).faults).toEqual([]);
    going = false;
    await busy;
  });

  it("stops listing at a hundred faults", async () => {
    await chain.during(async () => {
      await chain.run("UPDATE audit_events SET hash = ? WHERE org_id = ?", Buffer.alloc(32), chain.org);
      const kept = await chain.checkpoints.kept(chain.world.org);
      const { intact, faults } = await verifyChain(
        chain.world.facts.of(chain.world.org),
        kept,
        chain.checkpoints.verifier,
        chain.world.facts,
      );
      expect(intact).toBe(false);
      expect(faults.length).toBe(100);
    });
  });
});
