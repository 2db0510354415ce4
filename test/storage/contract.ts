import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { INSTANCE } from "#base";
import type { Id } from "#base";
import {
  Change,
  MissedExpectation,
  Pruning,
  above,
  allOf,
  below,
  between,
  containing,
  listPage,
  noneOf,
  oneOf,
  startingWith,
} from "#storage";
import type { NewRow, Page, PageRequest, Row, Where } from "#storage";
import { DONE, World, codeOf } from "./composition.ts";
import type { StorePlace } from "./composition.ts";

/** What every engine must do, whatever it is made of: the whole of `Store`, `Facts` and `Reader`, from the outside. */
export function storeContract(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`the store on ${name}`, () => {
    let place: StorePlace;
    let world: World;
    let again: () => Promise<World>;

    beforeAll(async () => {
      place = await makePlace();
      ({ world, again } = await World.found(place));
    });
    afterAll(async () => {
      await world.close();
      await place.remove();
    });

    const reader = (org: Id<"org"> = world.org) => world.facts.of(org);
    const missed = async (promise: Promise<unknown>): Promise<{ code: string; label: string }> => {
      try {
        await promise;
      } catch (error) {
        if (error instanceof MissedExpectation) return { code: error.code, label: error.label };
        throw error;
      }
      throw new Error("the expectation was met");
    };
    const found = async (id: Id<"nsp">, org?: Id<"org">): Promise<Row<"namespaces">> => {
      const row = await reader(org).get("namespaces", { id });
      if (row === null) throw new Error("the row is gone");
      return row;
    };
    const events = (org: Id<"org"> = world.org) => reader(org).list("auditEvents", { order: ["slot", "seq"] });

    describe("permits", () => {
      it("spends a permit once", async () => {
        const permit = world.permit();
        await world.store.commit(permit, null, DONE);
        expect(permit.settled).toBe(true);
        expect(await codeOf(world.store.commit(permit, null, DONE))).toBe("internal");
      });

      it("makes no second event of a permit that is used twice at once", async () => {
        const before = await reader().count("auditEvents");
        const permit = world.permit();
        const settled = await Promise.allSettled([1, 2, 3].map(() => world.store.commit(permit, null, DONE)));
        expect(settled.filter((one) => one.status === "fulfilled")).toHaveLength(1);
        expect(await reader().count("auditEvents")).toBe(before + 1);
      });

      it("gives the permit back when an expectation is missed, and makes no event of the attempt", async () => {
        const before = await reader().count("auditEvents");
        const permit = world.permit();
        const change = new Change().expect("namespaces", { name: "nobody" }, 1);
        expect(await missed(world.store.commit(permit, change, DONE))).toEqual({
          code: "conflict",
          label: "namespaces",
        });
        expect(permit.settled).toBe(false);
        expect(await reader().count("auditEvents")).toBe(before);
        await world.store.commit(permit, null, { result: "failed", code: "conflict" });
        expect(permit.settled).toBe(true);
        expect(await reader().count("auditEvents")).toBe(before + 1);
      });

      it("settles several in one commit, each with its own event, or none of them", async () => {
        const before = await events();
        const [one, other, late] = [world.permit(), world.permit(), world.permit()];
        const twoAt = { ...DONE, facts: { second: true } };
        const change = new Change().insert("namespaces", world.namespace("told-twice"));
        await world.store.commit(one, change, DONE, [{ permit: other, outcome: twoAt }]);
        const told = (await events()).slice(before.length);
        expect(told.map(({ id }) => id)).toEqual([one.event.id, other.event.id]);
        expect([told[0]?.time, told[0]?.hash]).toEqual([told[1]?.time, told[1]?.previousHash]);
        const rows = told.map((event) => (JSON.parse(event.public) as { rows: unknown[] }).rows.length);
        expect(rows).toEqual([1, 0]);
        expect([one.settled, other.settled]).toEqual([true, true]);

        // One that was used before, and one that no event can be made of: neither leaves half of it.
        const used = world.store.commit(late, null, DONE, [{ permit: other, outcome: DONE }]);
        expect(await codeOf(used)).toBe("internal");
        expect([late.settled, other.settled]).toEqual([false, true]);
        const cyclic: Record<string, unknown> = {};
        cyclic.self = cyclic;
        const last = world.permit();
        const bad = { ...DONE, changes: [{ field: "x", before: null, after: cyclic }] };
        const half = [world.store.commit(late, null, DONE, [{ permit: last, outcome: bad }]), world.commit(null)];
        expect((await Promise.allSettled(half)).map((settled) => settled.status)).toEqual(["rejected", "fulfilled"]);
        expect([late.settled, last.settled]).toEqual([false, false]);
        await world.store.commit(late, null, DONE, [{ permit: last, outcome: DONE }]);
        const all = await events();
        expect(all).toHaveLength(before.length + 5);
        for (const [at, event] of all.entries())
          expect([event.seq, event.previousHash]).toEqual([at + 1, at === 0 ? Buffer.alloc(32) : all[at - 1]?.hash]);
      });

      it("lets nobody but the instance write the directory of orgs", async () => {
        const permit = world.guard.public(
          {
            type: "anonymous",
            org: world.org,
            call: world.permit().actor.call,
          },
          "a test",
        );
        const row = {
          id: world.ids.next("org"),
          slug: "sneaky",
          state: "active",
          createdAt: world.clock.now(),
        } as const;
        expect(await codeOf(world.store.commit(permit, new Change().insert("orgs", row), DONE))).toBe("internal");
        expect(await reader(INSTANCE).get("orgs", { slug: "sneaky" })).toBeNull();
      });
    });

    describe("orgs", () => {
      let mine: Row<"namespaces">;
      let theirs: Row<"namespaces">;

      beforeAll(async () => {
        // The same id and the same name in both: the org alone tells them apart.
        const row = world.namespace("twin", { description: "mine" });
        await world.commit(new Change().insert("namespaces", row));
        await world.commit(new Change().insert("namespaces", { ...row, description: "theirs" }), world.other);
        mine = await found(row.id);
        theirs = await found(row.id, world.other);
      });

      it("reads the rows of the permit's org and no other", async () => {
        expect(mine.description).toBe("mine");
        expect(theirs.description).toBe("theirs");
        for (const [org, own] of [
          [world.org, "mine"],
          [world.other, "theirs"],
        ] as const) {
          const read = world.store.read(world.permit(org));
          expect((await read.get("namespaces", { name: "twin" }))?.description).toBe(own);
          expect(await read.list("namespaces", { where: { id: mine.id } })).toHaveLength(1);
          expect((await read.list("namespaces", { anyOf: [{ name: "twin" }, { id: mine.id }] })).length).toBe(1);
          expect(await read.count("namespaces", { id: mine.id })).toBe(1);
          const all = await read.list("namespaces", { order: ["id"] });
          expect(all.map((one) => one.description).filter((text) => text !== "")).toEqual([own]);
        }
      });

      it("finds another org's row neither by its id nor through an `or`", async () => {
        const row = world.namespace("only-theirs");
        await world.commit(new Change().insert("namespaces", row), world.other);
        expect(await reader().get("namespaces", { id: row.id })).toBeNull();
        expect(await reader().list("namespaces", { anyOf: [{ id: row.id }, { name: "only-theirs" }] })).toEqual([]);
        expect(await reader().count("namespaces", { name: "only-theirs" })).toBe(0);
      });

      it("replaces, removes and expects in the permit's org only", async () => {
        const row = world.namespace("stays");
        await world.commit(new Change().insert("namespaces", row), world.other);
        const there = await found(row.id, world.other);
        expect(await missed(world.commit(new Change().replace("namespaces", there, { description: "x" })))).toEqual({
          code: "conflict",
          label: "namespaces",
        });
        expect((await missed(world.commit(new Change().remove("namespaces", there)))).code).toBe("conflict");
        expect((await missed(world.commit(new Change().expect("namespaces", { id: row.id }, 1)))).code).toBe(
          "conflict",
        );
        await world.commit(new Change().expect("namespaces", { id: row.id }, 0));
        expect((await found(row.id, world.other)).description).toBe("");
      });

      it("raises one org's epoch and not the other's", async () => {
        const epochs = async () =>
          [world.org, world.other].map(
            async (org) => (await reader(org).get("epochs", { name: "access" }))?.epoch ?? 0,
          );
        const [a = 0, b = 0] = await Promise.all(await epochs());
        await world.commit(new Change().raiseEpoch().raiseEpoch());
        expect(await Promise.all(await epochs())).toEqual([a + 1, b]);
      });

      it("keeps each org's events in its own chain, numbered on their own", async () => {
        const [mineBefore, theirsBefore] = [await events(world.org), await events(world.other)];
        await world.commit(null, world.other);
        expect(await events(world.org)).toHaveLength(mineBefore.length);
        expect((await events(world.other)).at(-1)?.seq).toBe((theirsBefore.at(-1)?.seq ?? 0) + 1);
      });

      it("does not let a row point into another org", async () => {
        const owner = world.principal("across");
        await world.commit(new Change().insert("principals", owner), world.other);
        const session: NewRow<"sessions"> = {
          id: world.ids.next("ses"),
          principalId: owner.id,
          digest: Buffer.alloc(32),
          securityVersion: 1,
          createdAt: world.clock.now(),
          lastSeenAt: world.clock.now(),
          expiresAt: world.clock.now(),
          state: "active",
          address: null,
        };
        expect((await missed(world.commit(new Change().insert("sessions", session)))).label).toBe("sessions");
        await world.commit(new Change().insert("sessions", session), world.other);
      });
    });

    describe("changes", () => {
      it("names a taken key or name with the code and label that the change chose", async () => {
        const row = world.namespace("taken");
        await world.commit(new Change().insert("namespaces", row));
        expect(await missed(world.commit(new Change().insert("namespaces", row)))).toEqual({
          code: "already_exists",
          label: "namespaces",
        });
        const sameName = world.namespace("taken");
        expect(
          await missed(world.commit(new Change().insert("namespaces", sameName, "limit_reached", "a label"))),
        ).toEqual({ code: "limit_reached", label: "a label" });
        const counted = new Change().expect("namespaces", { name: "taken" }, 0, "names", "precondition_failed");
        expect(await missed(world.commit(counted))).toEqual({ code: "precondition_failed", label: "names" });
      });

      it("replaces and removes a row only as it was read (R-lost-update)", async () => {
        const row = world.namespace("edited");
        await world.commit(new Change().insert("namespaces", row));
        const read = await found(row.id);
        await world.commit(new Change().replace("namespaces", read, { description: "first" }));
        expect(await missed(world.commit(new Change().replace("namespaces", read, { description: "second" })))).toEqual(
          {
            code: "conflict",
            label: "namespaces",
          },
        );
        expect((await missed(world.commit(new Change().remove("namespaces", read, "in_use")))).code).toBe("in_use");
        expect((await found(row.id)).description).toBe("first");
        const now = await found(row.id);
        await world.commit(new Change().remove("namespaces", now));
        expect((await missed(world.commit(new Change().remove("namespaces", now)))).code).toBe("conflict");
        expect(
          (await missed(world.commit(new Change().replace("namespaces", now, { description: "gone" })))).code,
        ).toBe("conflict");
      });

      it("checks what a change expects before it writes, in whatever order it was said", async () => {
        const row = world.namespace("order");
        const change = new Change().insert("namespaces", row).expect("namespaces", { name: "order" }, 0);
        await world.commit(change);
        expect((await found(row.id)).name).toBe("order");
      });

      it("undoes the whole of a change whose last command misses", async () => {
        const [first, second] = [world.namespace("half-1"), world.namespace("half-2")];
        const epoch = await reader().get("epochs", { name: "access" });
        const change = new Change()
          .insert("namespaces", first)
          .raiseEpoch()
          .insert("namespaces", second)
          .insert("namespaces", { ...second, name: "half-3" });
        expect((await missed(world.commit(change))).code).toBe("already_exists");
        expect(await reader().count("namespaces", { name: startingWith("half-") })).toBe(0);
        expect(await reader().get("epochs", { name: "access" })).toEqual(epoch);
      });

      it("commits the others of a batch when one misses, and gives each its own answer", async () => {
        const rows = Array.from({ length: 40 }, (_, at) => world.namespace(`batch-${String(at)}`));
        const permits = rows.map(() => world.permit());
        const before = await reader().count("auditEvents");
        const settled = await Promise.allSettled(
          rows.map((row, at) => {
            const change = new Change().insert("namespaces", row).raiseEpoch();
            // Every fourth is spoilt after it has written: by an expectation of a write, of a count, or of a taken key.
            if (at % 4 === 1) change.insert("namespaces", { ...row, name: `again-${String(at)}` });
            if (at % 4 === 2) change.expect("namespaces", { name: "nobody-at-all" }, 1);
            return world.store.commit(permits[at] ?? world.permit(), change, DONE);
          }),
        );
        for (const [at, one] of settled.entries()) {
          const spoilt = at % 4 === 1 || at % 4 === 2;
          expect(one.status).toBe(spoilt ? "rejected" : "fulfilled");
          expect(permits[at]?.settled).toBe(!spoilt);
        }
        const names = (await reader().list("namespaces", { where: { name: startingWith("batch-") } })).map(
          (one) => one.name,
        );
        expect(new Set(names)).toEqual(
          new Set(rows.filter((_, at) => at % 4 === 0 || at % 4 === 3).map((one) => one.name)),
        );
        expect(await reader().count("namespaces", { name: startingWith("again-") })).toBe(0);
        expect(await reader().count("auditEvents")).toBe(before + 20);
      });

      it("rejects alone a change that cannot be written at all, and commits its neighbours", async () => {
        const good = Array.from({ length: 6 }, (_, at) => world.namespace(`neighbour-${String(at)}`));
        // A bug above the store: a value that no engine takes.
        const bad = world.namespace("unwritable", { description: { not: "text" } as unknown as string });
        const settled = await Promise.allSettled([
          ...good.slice(0, 3).map((row) => world.commit(new Change().insert("namespaces", row))),
          world.commit(new Change().insert("namespaces", world.namespace("before-bad")).insert("namespaces", bad)),
          ...good.slice(3).map((row) => world.commit(new Change().insert("namespaces", row))),
        ]);
        expect(settled.map((one) => one.status === "fulfilled")).toEqual([true, true, true, false, true, true, true]);
        expect(settled[3]).toMatchObject({ reason: { code: "internal" } });
        const noTime = world.namespace("timeless", { createdAt: new Date(Number.NaN) });
        expect(await codeOf(world.commit(new Change().insert("namespaces", noTime)))).toBe("internal");
        expect(await reader().count("namespaces", { name: oneOf(["unwritable", "before-bad"]) })).toBe(0);
        expect(await world.store.health()).toMatchObject({ writable: true, reason: null });
      });

      it("expects the epoch that was read", async () => {
        const epoch = (await reader().get("epochs", { name: "access" }))?.epoch ?? 0;
        await world.commit(new Change().expectEpoch(epoch).raiseEpoch());
        const stale = new Change().expectEpoch(epoch).insert("namespaces", world.namespace("stale"));
        expect(await missed(world.commit(stale))).toEqual({ code: "conflict", label: "epoch" });
        expect(await reader().count("namespaces", { name: "stale" })).toBe(0);
      });

      it("lets one of many concurrent changes under one epoch through (R70)", async () => {
        const epoch = (await reader().get("epochs", { name: "access" }))?.epoch ?? 0;
        const settled = await Promise.allSettled(
          Array.from({ length: 50 }, () => world.commit(new Change().expectEpoch(epoch).raiseEpoch())),
        );
        expect(settled.filter((one) => one.status === "fulfilled")).toHaveLength(1);
      });

      it("says which event changed a proved row last", async () => {
        const row = world.namespace("proved");
        const made = world.permit();
        await world.store.commit(made, new Change().insert("namespaces", row), DONE);
        expect((await found(row.id)).changedBy).toBe(made.event.id);
        const edited = world.permit();
        await world.store.commit(
          edited,
          new Change().replace("namespaces", await found(row.id), { description: "e" }),
          DONE,
        );
        expect((await found(row.id)).changedBy).toBe(edited.event.id);
        expect(await reader().get("namespaces", { id: row.id, changedBy: made.event.id })).toBeNull();
      });
    });

    describe("events", () => {
      it("puts the event into the commit of the change, with the digests of the proved rows it changed", async () => {
        const row = world.namespace("told");
        const permit = world.permit(world.org, "test.tell");
        const { seq, at } = await world.store.commit(permit, new Change().insert("namespaces", row), {
          result: "success",
          target: { type: "namespace", id: row.id, name: row.name },
        });
        const event = await reader().get("auditEvents", { id: permit.event.id });
        expect(event).toMatchObject({ seq, time: at, action: "test.tell", result: "success", targetId: row.id });
        const told = JSON.parse(event?.public ?? "{}") as { rows: unknown[][] };
        expect(told.rows).toEqual([["namespaces", row.id, expect.stringMatching(/^[0-9a-f]{64}$/), null]]);
        const gone = world.permit();
        await world.store.commit(gone, new Change().remove("namespaces", await found(row.id)), DONE);
        const last = await reader().get("auditEvents", { id: gone.event.id });
        expect((JSON.parse(last?.public ?? "{}") as { rows: unknown[][] }).rows).toEqual([
          ["namespaces", row.id, null, permit.event.id],
        ]);
      });

      it("numbers the events of 200 concurrent commits without a gap, each following from the one before", async () => {
        const before = (await events()).length;
        const committed = await Promise.all(
          Array.from({ length: 200 }, (_, at) =>
            world.commit(
              at % 3 === 0 ? new Change().insert("namespaces", world.namespace(`many-${String(at)}`)) : null,
            ),
          ),
        );
        const seqs = committed.map((one) => one.seq).sort((a, b) => a - b);
        expect(seqs).toEqual(Array.from({ length: 200 }, (_, at) => before + 1 + at));
        const chain = await events();
        expect(chain.map((one) => one.seq)).toEqual(chain.map((_, at) => at + 1));
        for (const [at, event] of chain.entries())
          expect(event.previousHash).toEqual(at === 0 ? Buffer.alloc(32) : chain[at - 1]?.hash);
      });

      it("writes them into this node's slot, which is one of those that it knows, in ascending order", async () => {
        await world.commit(null);
        const slots = await world.facts.slots();
        expect(slots).toEqual([...new Set(slots)].sort((one, other) => one - other));
        expect(slots).toContain(world.facts.slot);
        expect(new Set((await events()).map((event) => event.slot))).toEqual(new Set([world.facts.slot]));
      });

      it("never runs back in time when the clock does", async () => {
        const { at: before } = await world.commit(null);
        const real = world.clock.ms;
        world.clock.ms = real - 3_600_000;
        expect(world.store.now().getTime()).toBeGreaterThanOrEqual(before.getTime());
        const { at } = await world.commit(null);
        expect(at.getTime()).toBeGreaterThanOrEqual(before.getTime());
        const { at: later } = await world.commit(null, world.other);
        expect(later.getTime()).toBeGreaterThanOrEqual(before.getTime());
        world.clock.ms = real + 1;
        expect((await world.commit(null)).at.getTime()).toBe(real + 1);
      });
    });

    describe("queries", () => {
      const texts = ["a", "A", "a%", "a_", "ab", "a\\", "b", "ä", "é", "\u{1f600}", "zz", "a'b", 'a"b'];
      let ids: readonly Id<"nsp">[];

      beforeAll(async () => {
        const change = new Change();
        const rows = texts.map((text) => world.namespace(`q-${text}`));
        for (const row of rows) change.insert("namespaces", row);
        await world.commit(change);
        ids = rows.map((row) => row.id);
      });

      const named = async (where: Parameters<ReturnType<typeof reader>["list"]>[1]) =>
        (await reader().list("namespaces", where as never)).map((row) => row.name);

      it("takes an empty list for what it is: in none, and not in none", async () => {
        expect(await reader().count("namespaces", { id: oneOf([]) })).toBe(0);
        expect(await reader().list("namespaces", { where: { id: oneOf([]) } })).toEqual([]);
        expect(await reader().count("namespaces", { id: noneOf([]) })).toBe(await reader().count("namespaces"));
      });

      it("counts a row without a value as in no list", async () => {
        const nobody = world.principal("no-role", { orgRole: null });
        await world.commit(new Change().insert("principals", nobody));
        expect(await reader().count("principals", { id: nobody.id, orgRole: noneOf(["owner"]) })).toBe(1);
        expect(await reader().count("principals", { id: nobody.id, orgRole: oneOf(["owner"]) })).toBe(0);
        expect(await reader().count("principals", { id: nobody.id, orgRole: null })).toBe(1);
      });

      it("compares and orders text byte by byte", async () => {
        const bytewise = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
        const sorted = texts.map((text) => `q-${text}`).sort(bytewise);
        expect(await named({ where: { id: oneOf(ids) }, order: ["name"] } as never)).toEqual(sorted);
        expect(await named({ where: { id: oneOf(ids) }, order: ["name"], descending: true } as never)).toEqual(
          [...sorted].reverse(),
        );
        const isAbove = await named({ where: { id: oneOf(ids), name: above("q-a_") }, order: ["name"] } as never);
        expect(isAbove).toEqual(sorted.filter((one) => bytewise(one, "q-a_") > 0));
        const isBelow = await named({ where: { id: oneOf(ids), name: below("q-a_") }, order: ["name"] } as never);
        expect(isBelow).toEqual(sorted.filter((one) => bytewise(one, "q-a_") < 0));
      });

      it("finds by prefix as the prefix stands: no pattern characters, no other case", async () => {
        for (const prefix of [
          "q-",
          "q-a",
          "q-A",
          "q-a%",
          "q-%",
          "q-_",
          "q-a_",
          "q-a\\",
          "q-ä",
          "q-\u{1f600}",
          "q-a'",
        ]) {
          expect(
            await named({ where: { id: oneOf(ids), name: startingWith(prefix) }, order: ["name"] } as never),
          ).toEqual(
            texts
              .map((text) => `q-${text}`)
              .filter((text) => text.startsWith(prefix))
              .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
          );
        }
      });

      it("finds a part as it stands, whatever the case of a to z: no pattern characters", async () => {
        const small = (text: string) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
        for (const part of ["q-a", "Q-A", "A", "%", "_", "a_", "\\", "ä", "\u{1f600}", "'", "-", "never"]) {
          const where = { id: oneOf(ids), name: containing(part) };
          expect([part, await named({ where, order: ["name"] } as never)]).toEqual([
            part,
            texts
              .map((text) => `q-${text}`)
              .filter((text) => small(text).includes(small(part)))
              .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
          ]);
        }
      });

      it("finds what is between two values, or has none, and what meets several comparisons", async () => {
        const at = (ms: number) => new Date(ms);
        const rows = [null, 1_000, 2_000, 3_000].map((ms) =>
          world.principal(`between-${String(ms)}`, { lastSignInAt: ms === null ? null : at(ms) }),
        );
        const change = new Change();
        for (const row of rows) change.insert("principals", row);
        await world.commit(change);
        const found = async (span: Parameters<typeof between<Date | null>>[0]) =>
          (
            await reader().list("principals", {
              where: { name: startingWith("between-"), lastSignInAt: between<Date | null>(span) },
              order: ["name"],
            })
          ).map((row) => row.name.slice("between-".length));
        expect(await found({ above: at(1_000) })).toEqual(["2000", "3000"]);
        expect(await found({ below: at(3_000) })).toEqual(["1000", "2000"]);
        expect(await found({ above: at(1_000), below: at(3_000) })).toEqual(["2000"]);
        expect(await found({ below: at(2_000), orNone: true })).toEqual(["1000", "null"]);
        expect(await found({})).toEqual(["1000", "2000", "3000", "null"]);
        const both = { name: allOf([startingWith("between-"), containing("00"), above("between-1000")]) };
        expect(await reader().count("principals", both)).toBe(2);
        expect(await reader().count("principals", { name: allOf<string>([]), id: rows[0]?.id })).toBe(1);
      });

      it("gives the newest row of each group, whatever else is asked for", async () => {
        const [namespace] = await reader().list("namespaces", { where: { name: "default" } });
        const manifest = (workloadId: Id<"wkl">, version: number): NewRow<"manifests"> => ({
          id: world.ids.next("man"),
          workloadId,
          version,
          variables: {},
          note: "",
          createdAt: world.clock.now(),
          createdBy: world.ids.next("prn"),
        });
        const workload = (name: string): NewRow<"workloads"> => ({
          id: world.ids.next("wkl"),
          namespaceId: namespace?.id ?? world.ids.next("nsp"),
          name,
          state: "active",
          access: "inherit",
          allowedVariables: [],
          description: "",
          createdAt: world.clock.now(),
          createdBy: world.ids.next("prn"),
        });
        const [one, two] = [workload("newest-one"), workload("newest-two")];
        const change = new Change().insert("workloads", one).insert("workloads", two);
        for (const version of [1, 2, 3]) change.insert("manifests", manifest(one.id, version));
        change.insert("manifests", manifest(two.id, 1));
        await world.commit(change);
        const newest = { of: "workloadId", by: "version" } as const;
        const found = await reader().list("manifests", { where: { workloadId: oneOf([one.id, two.id]) }, newest });
        expect(found.map((row) => [row.workloadId, row.version]).sort()).toEqual(
          [
            [one.id, 3],
            [two.id, 1],
          ].sort(),
        );
        expect(await reader().list("manifests", { where: { workloadId: one.id, version: 2 }, newest })).toEqual([]);
      });

      it("takes any text in a condition as text", async () => {
        await fc.assert(
          fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 20 }), async (text) => {
            const name = `any-${text}`;
            expect(await reader().count("namespaces", { name })).toBe(0);
            expect(await reader().count("namespaces", { name: oneOf([name, `${name}'`]) })).toBe(0);
            expect(await reader().count("namespaces", { name: startingWith(name) })).toBe(0);
            expect(await reader().count("namespaces", { name: containing(`!${name}`) })).toBe(0);
          }),
          { numRuns: 50 },
        );
      });

      it("gives the rows of the scopes in the set, or those that match otherwise, and none for an empty set", async () => {
        const [environment] = await reader().list("environments");
        const [namespace] = await reader().list("namespaces", { where: { name: "default" } });
        if (environment === undefined || namespace === undefined) throw new Error("founded with both");
        const secret = (name: string): NewRow<"secrets"> => ({
          id: world.ids.next("sec"),
          environmentId: environment.id,
          namespaceId: namespace.id,
          name,
          currentVersion: 1,
          delivery: "inject",
          state: "active",
          policy: null,
          description: "",
          tags: ["a", "b"],
          owner: "",
          rotateBy: null,
          createdAt: world.clock.now(),
          createdBy: world.ids.next("prn"),
          updatedAt: world.clock.now(),
          updatedBy: world.ids.next("prn"),
          deletedAt: null,
          lastUsedAt: null,
          lastUsedBy: null,
          lastUsedIn: null,
        });
        await world.commit(new Change().insert("secrets", secret("SCOPED_1")).insert("secrets", secret("SCOPED_2")));
        const inScope = {
          all: false,
          groups: [{ environments: [environment.id], namespaces: [namespace.id] }],
        } as const;
        const elsewhere = {
          all: false,
          groups: [{ environments: [world.ids.next("env")], namespaces: [namespace.id] }],
        } as const;
        const names = async (query: object) =>
          (await reader().list("secrets", { ...query, order: ["name"] })).map((row) => row.name);
        expect(await names({ scopes: inScope })).toEqual(["SCOPED_1", "SCOPED_2"]);
        expect(await names({ scopes: { all: true } })).toEqual(["SCOPED_1", "SCOPED_2"]);
        expect(await names({ scopes: elsewhere })).toEqual([]);
        expect(await names({ scopes: { all: false, groups: [] } })).toEqual([]);
        expect(await names({ scopes: { all: false, groups: [{ environments: [], namespaces: [] }] } })).toEqual([]);
        expect(await names({ scopes: { all: false, groups: [] }, anyOf: [{ name: "SCOPED_2" }] })).toEqual([
          "SCOPED_2",
        ]);
        expect(await names({ scopes: inScope, where: { name: "SCOPED_1" } })).toEqual(["SCOPED_1"]);
        expect(await names({ scopes: elsewhere, anyOf: [{ name: oneOf([]) }] })).toEqual([]);
      });

      it("refuses a table or column that is not declared, whatever its name", async () => {
        await expect(reader().get("namespaces", { "name = '' or 1=1 --": "x" } as never)).rejects.toThrow(TypeError);
      });

      it("has no U+0000 in a text: what is asked for with one is nowhere, and none is written", async () => {
        const nul = "a\u0000b";
        const names = (name: NonNullable<Where<"namespaces">["name"]>) =>
          reader().list("namespaces", { where: { name } });
        const all = await reader().count("namespaces");
        expect(all).toBeGreaterThan(0);
        for (const none of [nul, oneOf([nul]), startingWith(nul), containing(nul), allOf([startingWith(nul)])])
          expect(await names(none)).toEqual([]);
        for (const every of [noneOf([nul]), noneOf([nul, "\u0000"])]) expect((await names(every)).length).toBe(all);
        const written = world.namespace("nul-free", { description: nul });
        expect(await codeOf(world.commit(new Change().insert("namespaces", written)))).toBe("invalid_input");
        expect(await codeOf(world.commit(new Change().insert("namespaces", world.namespace(nul))))).toBe(
          "invalid_input",
        );
        expect(await reader().count("namespaces")).toBe(all);
        const after = Buffer.from(JSON.stringify([nul])).toString("base64url");
        expect(await codeOf(listPage(reader(), "namespaces", { order: ["name"] }, { after }))).toBe("invalid_input");
      });
    });

    describe("pages", () => {
      const walk = async <T>(
        page: (request: PageRequest) => Promise<Page<T>>,
        limit: number,
        between: () => Promise<void> = async () => {},
      ): Promise<T[]> => {
        const items: T[] = [];
        let after: string | undefined;
        do {
          const one: Page<T> = await page({ after, limit });
          expect(one.items.length).toBeLessThanOrEqual(limit);
          items.push(...one.items);
          after = one.next ?? undefined;
          await between();
        } while (after !== undefined);
        return items;
      };

      it("gives every row once, whatever the size of a page", async () => {
        const change = new Change();
        const names = Array.from({ length: 23 }, (_, at) => `page-${String(at).padStart(2, "0")}`);
        for (const one of names) change.insert("namespaces", world.namespace(one));
        await world.commit(change);
        const where = { name: startingWith("page-") };
        for (const limit of [1, 2, 7, 22, 23, 24, 100]) {
          for (const descending of [false, true]) {
            const rows = await walk(
              (request) => listPage(reader(), "namespaces", { where, order: ["name"], descending }, request),
              limit,
            );
            expect(rows.map((row) => row.name)).toEqual(descending ? [...names].reverse() : names);
          }
        }
      });

      it("orders by several columns, of ids, times and numbers too", async () => {
        const all = await events();
        for (const descending of [false, true]) {
          const rows = await walk(
            (request) => listPage(reader(), "auditEvents", { order: ["time", "slot", "seq"], descending }, request),
            17,
          );
          const seqs = all.map((row) => row.seq);
          expect(rows.map((row) => row.seq)).toEqual(descending ? seqs.reverse() : seqs);
        }
        const byId = await walk((request) => listPage(reader(), "auditEvents", { order: ["id"] }, request), 50);
        expect(new Set(byId.map((row) => row.id)).size).toBe(all.length);
      });

      it("misses none of the rows that stay, and repeats none, while others come and go", async () => {
        const staying = Array.from({ length: 30 }, (_, at) => world.namespace(`live-${String(at * 10 + 1000)}`));
        const going = Array.from({ length: 30 }, (_, at) => world.namespace(`live-${String(at * 10 + 1003)}`));
        const change = new Change();
        for (const row of [...staying, ...going]) change.insert("namespaces", row);
        await world.commit(change);
        let turn = 0;
        const seen = await walk(
          (request) =>
            listPage(reader(), "namespaces", { where: { name: startingWith("live-") }, order: ["name"] }, request),
          4,
          async () => {
            const gone = going[(turn * 7) % going.length];
            const row = gone === undefined ? null : await reader().get("namespaces", { id: gone.id });
            const next = new Change().insert("namespaces", world.namespace(`live-${String(1005 + turn * 10)}`));
            if (row !== null) next.remove("namespaces", row);
            await world.commit(next);
            turn += 1;
          },
        );
        const names = seen.map((row) => row.name);
        expect(new Set(names).size).toBe(names.length);
        expect(names).toEqual([...names].sort());
        for (const row of staying) expect(names).toContain(row.name);
      });

      it("refuses a cursor that is not one of this list with invalid_input", async () => {
        const code = (after: string) =>
          codeOf(listPage(reader(), "auditEvents", { order: ["time", "slot", "seq"] }, { after }));
        const made = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
        const other = (await listPage(reader(), "namespaces", { order: ["name"] }, { limit: 1 })).next ?? "";
        for (const cursor of [
          "",
          "x",
          "!!!",
          "AAAA",
          other,
          made(null),
          made({}),
          made("abc"),
          made([]),
          made([1, 2]),
          made([1, 2, 3, 4]),
          made(["then", 0, 1]),
          made([1, 0, "x"]),
          made([1, 0, 1.5]),
          made([1e300, 0, 1]),
          made([1, 0, 2 ** 60]),
          made([1, 0, { b: "AAAA" }]),
          made([{}, 0, 1]),
          made([[], [], []]),
        ]) {
          expect([cursor, await code(cursor)]).toEqual([cursor, "invalid_input"]);
        }
        const byId = (after: string) => codeOf(listPage(reader(), "namespaces", { order: ["id"] }, { after }));
        for (const cursor of [
          made([null]),
          made(["nsp_x"]),
          made([5]),
          made([{ b: "" }]),
          made([{ b: "AAAA" }]),
          made([{ b: 5 }]),
          made([{ b: null }]),
          made([{ b: [1, 2, 3] }]),
        ])
          expect([cursor, await byId(cursor)]).toEqual([cursor, "invalid_input"]);
      });

      it("reserves no memory for what a cursor claims to hold", async () => {
        const cursor = Buffer.from(JSON.stringify([{ b: { length: 16 } }])).toString("base64url");
        expect(await codeOf(listPage(reader(), "namespaces", { order: ["id"] }, { after: cursor }))).toBe(
          "invalid_input",
        );
      });

      it("takes any text for a cursor without failing otherwise", async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.oneof(
              fc.string(),
              fc.json().map((text) => Buffer.from(text).toString("base64url")),
            ),
            async (after) => {
              try {
                await listPage(reader(), "namespaces", { order: ["name", "id"] }, { after });
              } catch (error) {
                expect(error).toMatchObject({ code: "invalid_input" });
              }
            },
          ),
          { numRuns: 100 },
        );
      });
    });

    describe("repeats", () => {
      const calling = (key: string | null, operation = "namespace.create") => {
        const permit = world.permit(world.org, operation);
        const { call } = permit.actor;
        call.idempotencyKey = key;
        // The caller is a principal: a repeat is told from another caller's by who calls.
        return (id: Id<"prn">) =>
          world.guard.public(
            { type: "user", call, org: world.org, id, name: "a", role: "member", instanceAdmin: false, session: null },
            "a test",
          );
      };
      const make = (permit: ReturnType<ReturnType<typeof calling>>, name: string) => {
        const row = world.namespace(name);
        return world.store.commit(permit, new Change().insert("namespaces", row), {
          result: "success",
          target: { type: "namespace", id: row.id, name },
        });
      };

      it("makes nothing twice under one Idempotency-Key, and says what was made", async () => {
        const caller = world.ids.next("prn");
        await make(calling("key-1")(caller), "repeat-1");
        const first = await reader().get("namespaces", { name: "repeat-1" });
        await expect(make(calling("key-1")(caller), "repeat-2")).rejects.toMatchObject({
          code: "idempotency_reused",
          detail: { id: first?.id },
        });
        expect(await reader().count("namespaces", { name: "repeat-2" })).toBe(0);
      });

      it("tells repeats apart by key, caller and operation, and takes no key for no repeat", async () => {
        const [one, two] = [world.ids.next("prn"), world.ids.next("prn")];
        await make(calling("key-2")(one), "apart-1");
        await make(calling("key-2")(two), "apart-2");
        await make(calling("key-3")(one), "apart-3");
        await make(calling("key-2", "other.operation")(one), "apart-4");
        await make(calling(null)(one), "apart-5");
        await make(calling(null)(one), "apart-6");
        expect(await reader().count("namespaces", { name: startingWith("apart-") })).toBe(6);
      });

      it("makes one of many concurrent repeats", async () => {
        const caller = world.ids.next("prn");
        const settled = await Promise.allSettled(
          Array.from({ length: 20 }, (_, at) => make(calling("key-4")(caller), `concurrent-${String(at)}`)),
        );
        expect(settled.filter((one) => one.status === "fulfilled")).toHaveLength(1);
        expect(await reader().count("namespaces", { name: startingWith("concurrent-") })).toBe(1);
      });

      it("does not take a change that missed for a repeat: the key is free until something was made", async () => {
        const caller = world.ids.next("prn");
        await world.commit(new Change().insert("namespaces", world.namespace("occupied")));
        expect((await missed(make(calling("key-5")(caller), "occupied"))).code).toBe("already_exists");
        await make(calling("key-5")(caller), "free");
      });

      it("commits the same change again after a miss, under the same key", async () => {
        const permit = calling("key-6")(world.ids.next("prn"));
        const row = world.namespace("second-try");
        const change = new Change().insert("namespaces", row).expect("namespaces", { name: "opens-later" }, 1);
        const outcome = { result: "success", target: { type: "namespace", id: row.id, name: row.name } } as const;
        expect((await missed(world.store.commit(permit, change, outcome))).label).toBe("namespaces");
        await world.commit(new Change().insert("namespaces", world.namespace("opens-later")));
        await world.store.commit(permit, change, outcome);
        expect((await found(row.id)).name).toBe("second-try");
      });
    });

    describe("what is only remembered for a while", () => {
      const HOUR_MS = 3_600_000;

      it("is forgotten after its time and not before, a bounded number of rows at a time, in one org, without an event", async () => {
        const [old, young, n] = [40, 7, 47];
        const remember = async (org: Id<"org">, count: number): Promise<void> => {
          const permits = Array.from({ length: count }, () => {
            const permit = world.permit(org, "namespace.create");
            permit.actor.call.idempotencyKey = world.ids.next("evt");
            const actor = { type: "user", name: "a", role: "member", instanceAdmin: false, session: null } as const;
            return world.guard.public({ ...actor, call: permit.actor.call, org, id: world.ids.next("prn") }, "a test");
          });
          await Promise.all(
            permits.map((permit) => {
              const row = world.namespace(`remembered-${world.ids.next("nsp")}`);
              const target = { type: "namespace", id: row.id, name: row.name } as const;
              return world.store.commit(permit, new Change().insert("namespaces", row), { result: "success", target });
            }),
          );
        };
        const rows = (org = world.org) => world.facts.of(org).count("idempotency");
        const pass = async (org = world.org, most = 10): Promise<number> => {
          let goes = 0;
          for (let after: readonly unknown[] | null = null; goes === 0 || after !== null; goes += 1)
            after = await world.facts.prune(org, "idempotency", after, most);
          return goes;
        };
        world.clock.ms += 48 * HOUR_MS;
        await pass(world.org, 1_000);
        await pass(world.other, 1_000);
        expect([await rows(), await rows(world.other)]).toEqual([0, 0]);

        await remember(world.org, old);
        await remember(world.other, 3);
        world.clock.ms += 23 * HOUR_MS;
        await remember(world.org, young);
        world.clock.ms += HOUR_MS;
        expect(await pass()).toBe(5);
        expect(await rows()).toBe(n);
        world.clock.ms += 1;
        const events = await reader().count("auditEvents");
        expect(await pass()).toBe(5);
        expect(await rows()).toBe(young);
        expect(await rows(world.other)).toBe(3);
        expect(await reader().count("auditEvents")).toBe(events);
        expect(await new Pruning(world.facts).pass()).toBeGreaterThanOrEqual(3);
        expect([await rows(), await rows(world.other)]).toEqual([young, 0]);
      });

      it("is no other table's rows", async () => {
        for (const table of ["namespaces", "auditEvents", "sessions", "leases"] as const)
          await expect(world.facts.prune(world.org, table, null, 10)).rejects.toThrow(TypeError);
      });
    });

    describe("what is unaudited", () => {
      it("touches and counts declared columns without an event, in one org", async () => {
        const row = world.principal("touched");
        await world.commit(new Change().insert("principals", row));
        await world.commit(new Change().insert("principals", row), world.other);
        const before = await reader().count("auditEvents");
        const at = new Date("2029-05-06T07:08:09.010Z");
        await world.facts.touch(world.org, "principals", { id: row.id }, { lastSignInAt: at });
        const touched = await reader().get("principals", { id: row.id });
        expect(touched).toMatchObject({ lastSignInAt: at, name: "touched" });
        expect((await reader(world.other).get("principals", { id: row.id }))?.lastSignInAt).toBeNull();
        const [key] = await reader().list("keys", { where: { purpose: "data" } });
        if (key === undefined) throw new Error("founded with one");
        await Promise.all(
          [3, 4, 5].map((by) => world.facts.count(world.org, "keys", { id: key.id }, "encryptions", by)),
        );
        expect((await reader().get("keys", { id: key.id }))?.encryptions).toBe(key.encryptions + 12);
        expect(await reader().count("auditEvents")).toBe(before);
      });

      it("keeps what was touched after a row was read and before it was changed", async () => {
        const row = world.principal("touched-meanwhile");
        await world.commit(new Change().insert("principals", row));
        const read = await reader().get("principals", { id: row.id });
        if (read === null) throw new Error("it was inserted");
        const at = new Date("2029-05-06T07:08:09.010Z");
        await world.facts.touch(world.org, "principals", { id: row.id }, { lastSignInAt: at });
        await world.commit(new Change().replace("principals", read, { description: "changed" }));
        expect(await reader().get("principals", { id: row.id })).toMatchObject({
          description: "changed",
          lastSignInAt: at,
        });
        const again = await reader().get("principals", { id: row.id });
        if (again === null) throw new Error("it stands");
        await world.commit(new Change().replace("principals", again, { lastSignInAt: null }));
        expect((await reader().get("principals", { id: row.id }))?.lastSignInAt).toBeNull();
      });

      it("leaves alone what is gone", async () => {
        await world.facts.touch(world.org, "principals", { id: world.ids.next("prn") }, { lastSignInAt: new Date(0) });
        await world.facts.count(world.org, "keys", { id: world.ids.next("key") }, "encryptions", 1);
      });

      it("refuses to change any other column or to append to any other table without an event", async () => {
        const where = { id: world.ids.next("prn") };
        await expect(world.facts.touch(world.org, "principals", where, { orgRole: "owner" })).rejects.toThrow(
          TypeError,
        );
        await expect(
          world.facts.touch(world.org, "principals", where, { lastSignInAt: null, instanceAdmin: true }),
        ).rejects.toThrow(TypeError);
        await expect(world.facts.touch(world.org, "secretVersions", {}, { sealed: null })).rejects.toThrow(TypeError);
        await expect(world.facts.count(world.org, "secrets", {}, "currentVersion", 1)).rejects.toThrow(TypeError);
        const digest = { digest: Buffer.alloc(32), target: "", createdAt: new Date(0) };
        await expect(world.facts.append(world.org, "idempotency", digest)).rejects.toThrow(TypeError);
        const [event] = await events();
        if (event === undefined) throw new Error("there are events");
        await expect(world.facts.append(world.org, "auditEvents", { ...event, seq: 10_000 })).rejects.toThrow(
          TypeError,
        );
      });

      it("appends to a table that is unaudited as a whole", async () => {
        const row: Row<"auditCheckpoints"> = {
          slot: 0,
          size: 1,
          root: Buffer.alloc(32, 1),
          frontier: Buffer.alloc(9),
          time: world.clock.now(),
          note: "n",
        };
        await world.facts.append(world.org, "auditCheckpoints", row);
        expect(await reader().list("auditCheckpoints")).toEqual([row]);
        expect(await reader(world.other).list("auditCheckpoints")).toEqual([]);
      });
    });

    describe("a row's journey", () => {
      it("reads every kind of value back as it was written", async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.record({
              // What a person types: no half surrogate pair, no NUL, which the edge refuses.
              description: fc.string({ unit: "binary", maxLength: 50 }).map((text) => text.replaceAll("\0", "")),
              securityVersion: fc.integer({ min: 0 }),
              instanceAdmin: fc.boolean(),
              lastSignInAt: fc.option(fc.date({ noInvalidDate: true })),
            }),
            async (more) => {
              const row = world.principal(`journey-${world.ids.next("evt")}`, more);
              await world.commit(new Change().insert("principals", row));
              const read = await reader().get("principals", { id: row.id });
              expect(read).toMatchObject(row);
            },
          ),
          { numRuns: 30 },
        );
      });

      it("holds what was committed when it is opened again, and goes on with each chain where it ended", async () => {
        const row = world.namespace("durable");
        const { seq, at } = await world.commit(new Change().insert("namespaces", row));
        const rows = await reader().list("namespaces", { order: ["id"] });
        await world.close();
        expect(await codeOf(world.commit(null))).toBe("store_unavailable");
        world = await again();
        expect(await reader().list("namespaces", { order: ["id"] })).toEqual(rows);
        world.clock.ms -= 3_600_000;
        expect(world.store.now().getTime()).toBeGreaterThanOrEqual(at.getTime());
        const next = await world.commit(null);
        expect(next.seq).toBe(seq + 1);
        expect(next.at.getTime()).toBeGreaterThanOrEqual(at.getTime());
        world.clock.ms += 3_600_000;
        expect(world.rung).toEqual([]);
      });

      it("finishes what waits before it closes", async () => {
        const rows = Array.from({ length: 300 }, (_, at) => world.namespace(`closing-${String(at)}`));
        const commits = Promise.all(rows.map((row) => world.commit(new Change().insert("namespaces", row))));
        // The changes have to be proved before they stand in the queue.
        await new Promise((resolve) => setTimeout(resolve, 1));
        const settled = Promise.allSettled([commits]);
        await world.close();
        await settled;
        world = await again();
        const kept = await reader().count("namespaces", { name: startingWith("closing-") });
        const told = await commits.then(
          () => rows.length,
          () => null,
        );
        if (told !== null) expect(kept).toBe(told);
      });
    });
  });
}
