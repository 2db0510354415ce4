import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Call } from "#base";
import type { Actor, Id } from "#base";
import { Change, listPage } from "#storage";
import { DONE, World, codeOf } from "../storage/composition.ts";
import { storePlace } from "../engine.ts";
import { startVault } from "../harness.ts";
import type { Answer, Client, Problem, TestVault } from "../harness.ts";

describe("a permit", () => {
  let world: World;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    const place = await storePlace();
    ({ world } = await World.found(place));
    remove = () => place.remove();
  });
  afterAll(async () => {
    await world.close();
    await remove();
  });

  const user = (id: Id<"prn">, role: "owner" | "member"): Actor => ({
    type: "user",
    call: new Call("test.work", "req_1", null),
    org: world.org,
    id,
    name: "someone",
    role,
    instanceAdmin: false,
    session: null,
  });
  const eventsNow = async (): Promise<number> => world.facts.of(world.org).count("auditEvents");

  it("is good for one commit: the second is refused and writes nothing", async () => {
    const permit = world.permit();
    await world.store.commit(permit, new Change().insert("namespaces", world.namespace("once")), DONE);
    const events = await eventsNow();
    expect(
      await codeOf(world.store.commit(permit, new Change().insert("namespaces", world.namespace("twice")), DONE)),
    ).toBe("internal");
    expect(await world.facts.of(world.org).get("namespaces", { name: "twice" })).toBeNull();
    expect(await eventsNow()).toBe(events);
  });

  it("is good again when its change missed an expectation, since nothing was done", async () => {
    const permit = world.permit();
    const twin = new Change().insert("namespaces", world.namespace("twin"));
    await world.commit(twin);
    expect(
      await codeOf(world.store.commit(permit, new Change().insert("namespaces", world.namespace("twin")), DONE)),
    ).toBe("already_exists");
    expect(permit.settled).toBe(false);
    await world.store.commit(permit, null, { result: "failed", code: "already_exists" });
    expect(permit.settled).toBe(true);
  });

  it("reads and writes the rows of its own org and of no other (R11, R18)", async () => {
    const hers = world.permit(world.other);
    await world.commit(new Change().insert("namespaces", world.namespace("ours")));
    expect(await world.store.read(hers).get("namespaces", { name: "ours" })).toBeNull();
    expect(await world.store.read(world.permit()).get("namespaces", { name: "ours" })).not.toBeNull();
  });

  it("is not made for a refusal, which is in the log before the refusal is told (R152, R162)", async () => {
    const actor = user(world.ids.next("prn"), "member");
    const events = await eventsNow();
    expect(await codeOf(world.guard.require(actor, "member.manage", { on: "org" }))).toBe("forbidden");
    expect(await eventsNow()).toBe(events + 1);
    const [last] = (
      await listPage(
        world.facts.of(world.org),
        "auditEvents",
        { order: ["slot", "seq"], descending: true },
        { limit: 1 },
      )
    ).items;
    expect(last).toMatchObject({ result: "refused", actorId: "id" in actor ? actor.id : null });
    expect(actor.call.settled).toBe(true);
  });

  it("stays open until it is settled, and its call knows", async () => {
    const actor = user(world.ids.next("prn"), "owner");
    const permit = await world.guard.require(actor, "member.manage", { on: "org" });
    expect(actor.call.open).toEqual([permit]);
    expect(actor.call.settled).toBe(false);
    await world.guard.settle(permit, DONE);
    expect(actor.call.settled).toBe(true);
  });
});

describe("a refusal", () => {
  let vault: TestVault;
  let owner: Client;
  let member: Client;
  let guest: Client;

  beforeAll(async () => {
    vault = await startVault();
    ({ owner } = vault);
    member = await vault.user("mia");
    guest = await vault.user("gus", "guest");
    await owner.do("environment.create", { body: { name: "hidden", mode: "private" } });
    await owner.do("namespace.create", { body: { name: "payments" } });
    await owner.do("workload.create", { params: { namespace: "payments" }, body: { name: "settle" } });
    await owner.do("workload.create", {
      params: { namespace: "payments" },
      body: { name: "closed", access: "explicit" },
    });
    await owner.do("secret.write", {
      params: { environment: "hidden", namespace: "payments", secret: "KEY" },
      body: { value: "x" },
    });
  });
  afterAll(() => vault.close());

  /** All but what is this request's own. */
  const shape = ({ status, body, headers }: Answer<Problem>): unknown => {
    const { requestId, ...rest } = body;
    expect(requestId).not.toBe("");
    const { "x-request-id": _id, date: _date, ...others } = headers;
    return { status, rest, others };
  };
  const same = (one: Answer<unknown>, other: Answer<unknown>): void => {
    expect(one.status).toBe(404);
    expect(shape(one as Answer<Problem>)).toEqual(shape(other as Answer<Problem>));
  };

  it("names the part that is not there, or not theirs to know, by its field (R176)", async () => {
    const guestsGrant = { principal: "gus", role: "operator", environment: "hidden", namespace: "payments" } as const;
    const fieldsOf = async (who: Client, environment: string, namespace: string, workload?: string) => {
      const { status, body } =
        workload === undefined
          ? await who.try("secret.list", { params: { environment, namespace }, query: {} })
          : await who.try("token.mint", { params: { namespace, workload }, body: { environment } });
      const { faults = [] } = body as Problem;
      // Constant words: what is closed and what never was read the same.
      expect(JSON.stringify(faults)).not.toContain("absent");
      return [status, ...faults.map(({ field }) => field)];
    };
    expect(await fieldsOf(owner, "absent", "payments")).toEqual([404, "environment"]);
    expect(await fieldsOf(owner, "hidden", "absent")).toEqual([404, "namespace"]);
    expect(await fieldsOf(owner, "absent", "absent")).toEqual([404, "environment", "namespace"]);
    expect(await fieldsOf(owner, "dev", "payments", "absent")).toEqual([404, "workload"]);
    for (const environment of ["hidden", "absent"]) {
      expect(await fieldsOf(member, environment, "payments")).toEqual([404, "environment"]);
      expect(await fieldsOf(guest, environment, "payments")).toEqual([404, "environment", "namespace"]);
    }
    for (const workload of ["closed", "absent"])
      expect(await fieldsOf(member, "dev", "payments", workload)).toEqual([404, "workload"]);
    // A grant on one workload makes its environment and namespace known by name, and nothing else.
    const { id } = await owner.do("grant.create", { body: { ...guestsGrant, workload: "settle" } });
    for (const workload of ["closed", "absent"])
      expect(await fieldsOf(guest, "hidden", "payments", workload)).toEqual([404, "workload"]);
    expect(await fieldsOf(guest, "dev", "payments", "settle")).toEqual([404, "environment"]);
    expect(await fieldsOf(guest, "hidden", "payments")).toEqual([404]);
    await owner.do("grant.delete", { params: { id } });
    const to = { environment: "absent", namespace: "payments" };
    const from = { environment: "hidden", namespace: "absent" };
    const copy = (body: { from: typeof from; to: typeof to }) => owner.try("secret.copy", { body });
    expect(((await copy({ from, to })).body as Problem).faults).toMatchObject([{ field: "to.environment" }]);
    const there = { environment: "hidden", namespace: "payments" };
    expect(((await copy({ from, to: there })).body as Problem).faults).toMatchObject([{ field: "from.namespace" }]);
  });

  it("of a private environment is that of an unknown one, to the letter (R12, R26, R176)", async () => {
    for (const who of [member, guest]) {
      const get = (environment: string) => who.try("environment.get", { params: { environment } });
      same(await get("hidden"), await get("absent"));
      const list = (environment: string) =>
        who.try("secret.list", { params: { environment, namespace: "payments" }, query: {} });
      same(await list("hidden"), await list("absent"));
      const read = (environment: string) =>
        who.try("secret.get", { params: { environment, namespace: "payments", secret: "KEY" } });
      same(await read("hidden"), await read("absent"));
      const write = (environment: string) =>
        who.try("secret.write", {
          params: { environment, namespace: "payments", secret: "KEY" },
          body: { value: "y" },
        });
      same(await write("hidden"), await write("absent"));
      const mint = (environment: string) =>
        who.try("token.mint", { params: { namespace: "payments", workload: "settle" }, body: { environment } });
      same(await mint("hidden"), await mint("absent"));
      const deploy = (environment: string) =>
        who.try("deployment.set", { params: { namespace: "payments", workload: "settle", environment }, body: {} });
      same(await deploy("hidden"), await deploy("absent"));
      const update = (environment: string) =>
        who.try("environment.update", { params: { environment }, body: { mode: "open" } });
      same(await update("hidden"), await update("absent"));
    }
  });

  it("of an explicit workload is that of an unknown one (R63)", async () => {
    const get = (workload: string) => member.try("workload.get", { params: { namespace: "payments", workload } });
    same(await get("closed"), await get("absent"));
    const save = (workload: string) =>
      member.try("manifest.save", { params: { namespace: "payments", workload }, body: { all: true } });
    same(await save("closed"), await save("absent"));
  });

  it("of a namespace is that of an unknown one for whoever has nothing there", async () => {
    const list = (namespace: string) => guest.try("workload.list", { params: { namespace }, query: {} });
    same(await list("payments"), await list("absent"));
    const create = (namespace: string) =>
      guest.try("workload.create", { params: { namespace }, body: { name: "mine" } });
    same(await create("payments"), await create("absent"));
    expect((await member.do("workload.list", { params: { namespace: "payments" }, query: {} })).items).not.toEqual([]);
  });

  it("reads the same in the log of whoever was refused, whether there is such a place or not", async () => {
    const gone = await vault.user("gwen", "guest");
    for (const environment of ["hidden", "absent"]) await gone.code("environment.get", { params: { environment } });
    const [absent, hidden] = (await gone.do("audit.list", { query: { action: "environment.get" } })).items;
    expect(hidden?.environment ?? null).toBeNull();
    expect(JSON.stringify(hidden)).toContain("hidden");
    expect(hidden?.because).toBe(absent?.because);
    const forOwner = await owner.try("audit.list", { query: { action: "environment.get", result: "refused" } });
    expect(forOwner.text).toContain("hidden");
  });

  it("names what is missing and where to those who may know the place", async () => {
    const write = await member.try("secret.write", {
      params: { environment: "prod", namespace: "payments", secret: "KEY" },
      body: { value: "y" },
    });
    expect(write.status).toBe(403);
    expect(write.body.missing).toEqual({ permission: "secret.write", on: "prod/payments" });
    expect((await member.try("user.list", { query: {} })).body).toMatchObject({
      code: "forbidden",
      missing: { permission: "member.manage", on: "org" },
    });
    expect((await guest.try("grant.list", { query: {} })).body.code).toBe("forbidden");
  });

  it("is one event that names who, what and where, and says why (R149, R150, R151, R152)", async () => {
    const refused = await member.try("secret.delete", {
      params: { environment: "prod", namespace: "payments", secret: "KEY" },
    });
    const all = (await owner.do("audit.list", { query: { action: "secret.delete" } })).items;
    const events = all.filter((event) => event.requestId === refused.headers["x-request-id"]);
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({ result: "refused", code: "forbidden", because: "nothing allows it" });
    expect(JSON.stringify(events[0])).toContain("mia");
  });

  it("by a denial that stands says so, and is not taken for a missing grant", async () => {
    await owner.do("environment.update", { params: { environment: "hidden" }, body: { state: "disabled" } });
    const write = owner.try("secret.write", {
      params: { environment: "hidden", namespace: "payments", secret: "KEY" },
      body: { value: "y" },
    });
    expect((await write).body.code).toBe("disabled");
    await owner.do("environment.update", { params: { environment: "hidden" }, body: { state: "active" } });
  });
});
