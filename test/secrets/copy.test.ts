import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClientRequest, Response } from "#contract";
import { startVault } from "../harness.ts";
import type { Answer, Client, Problem, TestVault } from "../harness.ts";

let vault: TestVault;
let owner: Client;
const dev = { environment: "dev", namespace: "default" };
const prod = { environment: "prod", namespace: "default" };
const secluded = { environment: "secluded", namespace: "default" };

beforeAll(async () => {
  vault = await startVault();
  ({ owner } = vault);
  await owner.do("environment.create", { body: { name: "secluded", mode: "private" } });
});
afterAll(() => vault.close());

type Scope = typeof dev;
type Body = ClientRequest<"secret.copy">["body"];
type Copy = Answer<Response<"secret.copy"> & Problem & { usedBy?: string[] }>;
const copy = (who: Client, from: Scope, to: Scope, more: Partial<Body> = {}): Promise<Copy> =>
  who.try("secret.copy", { body: { from, to, ...more } });
const brief = ({ body }: Copy): string[] =>
  body.items.map(({ name, as, action, version }) => `${name} ${as} ${action} ${String(version)}`);
const write = (secret: string, value: string, scope: Scope = dev, more: object = {}) =>
  owner.do("secret.write", { params: { ...scope, secret }, body: { value, ...more } });
const get = (secret: string, scope: Scope = dev) => owner.try("secret.get", { params: { ...scope, secret } });
const reveal = async (secret: string, scope: Scope = dev): Promise<string> =>
  (await owner.do("secret.reveal", { params: { ...scope, secret }, body: { reason: "the test looks" } })).value;
const scopeOf = async (name: string): Promise<Scope> => {
  await owner.do("environment.create", { body: { name, mode: "open" } });
  return { environment: name, namespace: "default" };
};

describe("a copy", () => {
  it("holds the current values with what is said of them, in an event that names both scopes", async () => {
    const [from, to] = [await scopeOf("whole-from"), await scopeOf("whole-to")];
    await write("A", "first", from);
    await write("A", "second", from, { tags: ["t"], owner: "team", description: "d" });
    await write("B", "b", from);
    await owner.do("secret.policy", { params: { ...from, secret: "B" }, body: { workloads: [] } });
    const copied = await copy(owner, from, to);
    expect([copied.status, brief(copied)]).toEqual([200, ["A A create 1", "B B create 1"]]);
    expect([await reveal("A", to), await reveal("B", to)]).toEqual(["second", "b"]);
    expect((await get("A", to)).body).toMatchObject({ tags: ["t"], owner: "team", description: "d", version: 1 });
    expect((await get("B", to)).body.policy).toBeNull();
    expect((await get("A", from)).body.version).toBe(2);
    const [event, ...more] = (await owner.do("audit.list", { query: { action: "secret.copy" } })).items;
    expect(more).toEqual([]);
    const ids = await owner.do("environment.get", { params: { environment: "whole-from" } });
    expect(event).toMatchObject({
      environment: { name: "whole-to" },
      facts: { fromEnvironment: ids.id, moved: false },
    });
    expect(event?.secrets?.map((one) => `${one.name} ${String(one.version)}`)).toEqual(["A 1", "B 1"]);
  });

  it("takes the names that are given, under other names where that is said", async () => {
    const [from, to] = [await scopeOf("named-from"), await scopeOf("named-to")];
    for (const name of ["ONE", "TWO", "THREE"]) await write(name, name.toLowerCase(), from);
    const copied = await copy(owner, from, to, { names: ["TWO", "ONE"], rename: { ONE: "UNO" } });
    expect(brief(copied)).toEqual(["TWO TWO create 1", "ONE UNO create 1"]);
    expect(await reveal("UNO", to)).toBe("one");
    expect((await get("THREE", to)).body.code).toBe("not_found");
    const absent = await copy(owner, from, to, { names: ["ONE", "NEVER"] });
    expect(absent.body).toMatchObject({
      code: "not_found",
      faults: [{ field: "names.1", message: "there is no secret NEVER" }],
    });
  });

  it("overwrites only where that is said, and is all or nothing", async () => {
    const [from, to] = [await scopeOf("over-from"), await scopeOf("over-to")];
    for (const name of ["FREE", "TAKEN"]) await write(name, "theirs", from);
    await write("TAKEN", "mine", to);
    expect(brief(await copy(owner, from, to, { preview: true }))).toEqual([
      "FREE FREE create null",
      "TAKEN TAKEN taken 1",
    ]);
    const refused = await copy(owner, from, to);
    expect([refused.status, refused.body.code]).toEqual([409, "already_exists"]);
    expect(refused.body.faults).toEqual([{ field: "names", message: "TAKEN is taken: overwrite it, or rename" }]);
    expect([(await get("FREE", to)).status, await reveal("TAKEN", to)]).toEqual([404, "mine"]);
    expect(brief(await copy(owner, from, to, { overwrite: true }))).toEqual([
      "FREE FREE create 1",
      "TAKEN TAKEN write 2",
    ]);
    expect(await reveal("TAKEN", to)).toBe("theirs");
  });

  it("within one scope takes another name", async () => {
    const scope = await scopeOf("same-scope");
    await write("SRC", "v", scope);
    await write("OTHER", "o", scope);
    expect((await copy(owner, scope, scope)).body.code).toBe("invalid_input");
    expect((await copy(owner, scope, scope, { names: ["SRC"] })).body.faults?.[0]?.field).toBe("rename");
    const swap = { names: ["SRC", "OTHER"], rename: { SRC: "OTHER", OTHER: "SRC" }, overwrite: true };
    expect((await copy(owner, scope, scope, swap)).body.code).toBe("invalid_input");
    const twice = { rename: { SRC: "X", OTHER: "X" } };
    expect((await copy(owner, scope, scope, twice)).body.code).toBe("invalid_input");
    expect((await copy(owner, scope, scope, { names: ["SRC"], rename: { OTHER: "X" } })).body.code).toBe(
      "invalid_input",
    );
    expect(brief(await copy(owner, scope, scope, { names: ["SRC"], rename: { SRC: "DST" } }))).toEqual([
      "SRC DST create 1",
    ]);
    expect([await reveal("SRC", scope), await reveal("DST", scope)]).toEqual(["v", "v"]);
  });

  it("of more than 500 says to name them", async () => {
    const [from, to] = [await scopeOf("many-from"), await scopeOf("many-to")];
    const secrets = Array.from({ length: 500 }, (_, n) => ({ name: `N_${String(n)}`, value: "x" }));
    await owner.do("secret.bulk", { params: from, body: { secrets } });
    expect((await copy(owner, from, to)).body.items).toHaveLength(500);
    await write("ONE_MORE", "x", from);
    expect((await copy(owner, from, to, { overwrite: true })).body.code).toBe("invalid_input");
  });

  it("of what is written at the same time holds one of the values, and nothing is lost (n = 30)", async () => {
    const [from, to] = [await scopeOf("race-from"), await scopeOf("race-to")];
    const names = ["R1", "R2"];
    for (const name of names) await write(name, "0", from);
    const work = Array.from({ length: 10 }, (_, n) => [
      copy(owner, from, to, { overwrite: true }),
      owner.try("secret.write", { params: { ...from, secret: "R1" }, body: { value: `w${String(n)}` } }),
      owner.try("secret.write", { params: { ...to, secret: "R2" }, body: { value: `t${String(n)}` } }),
    ]).flat();
    const answers = await Promise.all(work);
    expect(answers.filter((answer) => answer.status !== 200)).toEqual([]);
    expect((await get("R1", to)).body.version).toBe(10);
    expect((await get("R2", to)).body.version).toBe(20);
    expect((await get("R1", from)).body.version).toBe(11);
    expect(await reveal("R1", to)).toMatch(/^(0|w\d)$/);
    expect((await owner.do("audit.verify")).intact).toBe(true);
  });
});

describe("a move", () => {
  it("takes the source away, from where it can be brought back", async () => {
    const [from, to] = [await scopeOf("move-from"), await scopeOf("move-to")];
    await write("M", "moved", from);
    expect(brief(await copy(owner, from, to, { move: true }))).toEqual(["M M create 1"]);
    expect([(await get("M", from)).status, await reveal("M", to)]).toEqual([404, "moved"]);
    await owner.do("secret.restore", { params: { ...from, secret: "M" } });
    expect(await reveal("M", from)).toBe("moved");
  });

  it("of what a deployed workload refers to is in_use, unless it is forced; what may not be seen is counted", async () => {
    const [from, to] = [await scopeOf("used-from"), await scopeOf("used-to")];
    await owner.do("namespace.create", { body: { name: "hush" } });
    await write("USED", "u", from);
    const deploy = async (namespace: string, workload: string, access: "inherit" | "explicit", secret: string) => {
      await owner.do("workload.create", { params: { namespace }, body: { name: workload, access } });
      await owner.do("manifest.save", { params: { namespace, workload }, body: { variables: { V: { secret } } } });
      await owner.do("deployment.set", { params: { namespace, workload, environment: "used-from" }, body: {} });
    };
    await deploy("default", "app", "inherit", "USED");
    await deploy("default", "closed", "explicit", "USED");
    const mover = await vault.user("mover");
    const seen = await copy(mover, from, to, { move: true, preview: true });
    expect(seen.body.items).toEqual([
      {
        name: "USED",
        as: "USED",
        action: "create",
        version: null,
        usedBy: ["default/app in used-from"],
        hiddenUses: 1,
      },
    ]);
    const refused = await copy(mover, from, to, { move: true });
    expect(refused.body.code).toBe("in_use");
    expect(refused.body.usedBy).toEqual(["default/app in used-from", "1 that you may not see"]);
    expect([(await get("USED", from)).status, (await get("USED", to)).status]).toEqual([200, 404]);
    expect((await copy(mover, from, to)).status).toBe(200);
    expect((await copy(mover, from, to, { move: true, force: true, overwrite: true })).status).toBe(200);
    expect((await get("USED", from)).status).toBe(404);
  });
});

describe("what was copied out of a scope", () => {
  const log = async (who: Client, action: string) => (await who.do("audit.list", { query: { action } })).items;

  it("stands in that scope's log, in the same commit: names, versions, where to, and no value (R153)", async () => {
    const [from, to] = [await scopeOf("left-from"), await scopeOf("left-to")];
    for (const name of ["L1", "L2"]) await write(name, "leaving-canary", from);
    const reader = await vault.user("watches-source", "guest");
    await owner.do("grant.create", {
      body: { principal: "watches-source", role: "auditor", environment: "left-from", namespace: "default" },
    });
    const target = await owner.do("environment.get", { params: { environment: "left-to" } });
    const answer = await copy(owner, from, to, { names: ["L1"], rename: { L1: "RENAMED" } });
    const [event, ...more] = await log(reader, "secret.copied");
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      result: "success",
      requestId: answer.headers["x-request-id"],
      actor: { name: "owner" },
      environment: { name: "left-from" },
      namespace: { name: "default" },
      target: { type: "namespace", name: "left-from/default" },
      secrets: [{ name: "L1", version: 1 }],
      facts: { toEnvironment: target.id, moved: false, names: 1 },
    });
    // The other end's is not the reader's to see, and neither says what the names are called there.
    expect(await log(reader, "secret.copy")).toEqual([]);
    expect(JSON.stringify(event)).not.toMatch(/RENAMED|leaving-canary|left-to/);
    const [arrived] = await log(owner, "secret.copy");
    expect([arrived?.environment?.name, arrived?.time]).toEqual(["left-to", event?.time]);

    expect((await copy(owner, from, to, { names: ["L2"], move: true })).status).toBe(200);
    expect((await log(reader, "secret.copied"))[0]).toMatchObject({
      secrets: [{ name: "L2" }],
      facts: { moved: true },
    });
    expect((await owner.do("audit.verify")).intact).toBe(true);
  });

  it("is told of a preview as one, of what failed as failed, and of what was refused once at each end", async () => {
    const [from, to] = [await scopeOf("tell-from"), await scopeOf("tell-to")];
    for (const scope of [from, to]) await write("T", "t", scope);
    const ends = async (answer: Copy) =>
      (await owner.do("audit.list", { query: { limit: "50" } })).items
        .filter(({ requestId }) => requestId === answer.headers["x-request-id"])
        .map(({ action, environment, result, code, facts }) =>
          [action, environment?.name ?? "", code ?? result, facts?.preview === true ? "preview" : ""].join(" ").trim(),
        )
        .sort();
    expect(await ends(await copy(owner, from, to, { preview: true }))).toEqual([
      "secret.copied tell-from success preview",
      "secret.copy tell-to success preview",
    ]);
    expect(await ends(await copy(owner, from, to))).toEqual([
      "secret.copy tell-from already_exists",
      "secret.copy tell-to already_exists",
    ]);
    const member = await vault.user("refused-teller");
    await owner.do("environment.update", { params: { environment: "tell-from" }, body: { mode: "restricted" } });
    expect(await ends(await copy(member, from, to))).toEqual([
      "secret.copy tell-from forbidden",
      "secret.copy tell-to forbidden",
    ]);
  });

  it("has its names left out for who may read the log there and not the names", async () => {
    const [from, to] = [await scopeOf("masked-from"), await scopeOf("masked-to")];
    await write("MASKED_NAME", "x", from);
    const viewer = await vault.user("views-source", "guest");
    await owner.do("grant.create", {
      body: { principal: "views-source", role: "viewer", environment: "masked-from" },
    });
    expect((await copy(owner, from, to)).status).toBe(200);
    const [event] = await log(viewer, "secret.copied");
    expect([event?.masked, event?.secrets, event?.facts?.names]).toEqual([true, null, 1]);
    expect(JSON.stringify(await log(viewer, "secret.copied"))).not.toContain("MASKED_NAME");
  });
});

describe("copying is for who could read the values anyway", () => {
  /** Granted these roles, each in its environment. */
  const granted = async (login: string, roles: Record<string, "contributor" | "builder" | "runner" | "viewer">) => {
    const user = await vault.user(login, "guest");
    for (const [environment, role] of Object.entries(roles))
      await owner.do("grant.create", { body: { principal: login, role, environment } });
    return user;
  };

  it("allow and deny", async () => {
    await write("K", "k", prod);
    await write("K", "k", secluded);
    const both = await granted("both", { dev: "contributor", prod: "contributor" });
    const lists = await granted("lists", { dev: "contributor", prod: "builder" });
    const receives = await granted("receives", { dev: "contributor", prod: "runner" });
    const reads = await granted("reads", { dev: "viewer", prod: "contributor" });
    const target = await granted("target", { dev: "contributor" });
    const stranger = await vault.org("copy-strangers");
    const forbidden = (permission: string, on: string) => ({ code: "forbidden", missing: { permission, on } });
    const table: [string, Client, Scope, Scope, Partial<Body>, object | null][] = [
      ["allow an owner, from anywhere", owner, secluded, dev, { overwrite: true }, null],
      ["allow a contributor in both", both, prod, dev, { overwrite: true }, null],
      [
        "deny who lists there but takes no delivery",
        lists,
        prod,
        dev,
        {},
        forbidden("injection.receive", "prod/default"),
      ],
      [
        "deny who takes delivery there but lists nothing",
        receives,
        prod,
        dev,
        {},
        forbidden("secret.list", "prod/default"),
      ],
      ["deny who may not write in the target", reads, prod, dev, {}, forbidden("secret.write", "dev/default")],
      ["deny from what the caller may not know", target, prod, dev, {}, { code: "not_found" }],
      ["deny from a private environment", both, secluded, dev, {}, { code: "not_found" }],
      ["deny into a private environment", both, prod, secluded, {}, { code: "not_found" }],
      ["deny from what is not there", both, { ...prod, environment: "never" }, dev, {}, { code: "not_found" }],
      ["deny another org", stranger, secluded, dev, {}, { code: "not_found" }],
      ["deny nobody", vault.anonymous, prod, dev, {}, { code: "unauthenticated" }],
    ];
    for (const [which, who, from, to, more, problem] of table)
      for (const preview of [true, false]) {
        const { status, body } = await copy(who, from, to, { names: ["K"], ...more, preview });
        if (problem === null) expect([which, status]).toEqual([which, 200]);
        else expect({ which, ...body }).toMatchObject({ which, ...problem });
      }
    const unknown = await copy(both, secluded, dev);
    const never = await copy(both, { ...secluded, environment: "never" }, dev);
    expect({ ...unknown.body, requestId: "" }).toEqual({ ...never.body, requestId: "" });
  });

  it("a move also takes secret.delete there (no role lists and receives without it)", async () => {
    const who = await granted("assembled", { dev: "contributor", prod: "builder" });
    await owner.do("grant.create", { body: { principal: "assembled", role: "runner", environment: "prod" } });
    await write("ASSEMBLED", "x", prod);
    expect((await copy(who, prod, dev, { names: ["ASSEMBLED"], move: true })).body).toMatchObject({
      code: "forbidden",
      missing: { permission: "secret.delete", on: "prod/default" },
    });
    expect((await copy(who, prod, dev, { names: ["ASSEMBLED"] })).status).toBe(200);
  });

  it("what is refused because of the source stands in the source's log, and says nothing of one that is not to be known", async () => {
    const from = await scopeOf("source-log");
    await write("A", "a", from);
    const member = await granted("looks-elsewhere", { dev: "contributor", "source-log": "viewer" });
    const events = async (answer: Copy) =>
      (await owner.do("audit.list", { query: { action: "secret.copy", result: "refused" } })).items
        .filter(({ requestId }) => requestId === answer.headers["x-request-id"])
        .map(({ environment, code, because, target }) => [environment?.name ?? null, code, because, target?.name]);

    const seen = await copy(member, from, dev);
    expect(seen.body).toMatchObject({ code: "forbidden", missing: { on: "source-log/default" } });
    expect(await events(seen)).toContainEqual(["source-log", "forbidden", "nothing allows it", undefined]);

    for (const hidden of [secluded, { environment: "no-such", namespace: "default" }]) {
      const unseen = await copy(member, hidden, dev);
      expect(unseen.body.code).toBe("not_found");
      const words = `${hidden.environment}/default`;
      expect(await events(unseen)).toContainEqual([null, "not_found", "not there, or not the actor's to know", words]);
    }
  });

  it("a policy that withholds a secret from its readers' launches withholds the copy too", async () => {
    const who = await granted("reader", { dev: "contributor", prod: "contributor" });
    const cases: [string, ClientRequest<"secret.policy">["body"], boolean][] = [
      ["P_ROLES", { roles: ["owner"] }, false],
      ["P_OTHERS", { namespaces: [] }, false],
      ["P_MINE", { roles: ["contributor"] }, true],
      ["P_WIDER", { workloads: ["default/default"] }, true],
    ];
    for (const [name, policy, may] of cases) {
      await write(name, "x", prod);
      await owner.do("secret.policy", { params: { ...prod, secret: name }, body: policy });
      const answer = await copy(who, prod, dev, { names: [name] });
      expect([name, answer.status]).toEqual([name, may ? 200 : 403]);
      if (!may) expect(answer.body.missing?.permission).toBe("secret.policy");
      expect([name, (await copy(owner, prod, dev, { names: [name], overwrite: true })).status]).toEqual([name, 200]);
    }
  });

  it("no value stands in an answer, an event or a log line", async () => {
    const [from, to] = [await scopeOf("canary-from"), await scopeOf("canary-to")];
    const canary = "canary-5a1f-of-copying";
    await write("C", canary, from);
    const texts = [
      (await copy(owner, from, to, { preview: true })).text,
      (await copy(owner, from, to)).text,
      (await copy(owner, from, to)).text,
      (await copy(owner, from, to, { move: true, overwrite: true })).text,
      (await owner.try("secret.compare", { body: { from, to, values: true, reason: "the test" } })).text,
      (await owner.try("audit.list", { query: { limit: "1000" } })).text,
      JSON.stringify(vault.log),
    ];
    for (const text of texts) {
      expect(text.length).toBeGreaterThan(1);
      expect(text).not.toContain(canary);
    }
    expect(await reveal("C", to)).toBe(canary);
  });
});
