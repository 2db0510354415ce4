import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ClientRequest, Response } from "#contract";
import { Change } from "#storage";
import type { NewRow, Reader } from "#storage";
import { dependentsOf } from "../../src/workloads/dependents.ts";
import { startVault } from "../harness.ts";
import type { Answer, Client, Problem, TestVault } from "../harness.ts";
import { World } from "../storage/composition.ts";
import { storePlace } from "../engine.ts";

type Variables = Extract<ClientRequest<"manifest.save">["body"], { variables: unknown }>["variables"];
type Reference = Response<"secret.uses">["references"][number];

let vault: TestVault;
let owner: Client;

beforeAll(async () => {
  vault = await startVault();
  ({ owner } = vault);
});
afterAll(() => vault.close());

/** An environment of one test's own. */
async function environment(name: string, mode: "open" | "restricted" | "private" = "restricted") {
  await owner.do("environment.create", { body: { name, mode } });
  return { environment: name, namespace: "default" };
}
const write = (scope: { environment: string; namespace: string }, secret: string, value = "x") =>
  owner.do("secret.write", { params: { ...scope, secret }, body: { value } });
async function save(workload: string, variables: Variables, by: Client = owner): Promise<number> {
  const params = { namespace: "default", workload };
  if ((await owner.try("workload.get", { params })).status === 404)
    await owner.do("workload.create", { params, body: { name: workload } });
  return (await by.do("manifest.save", { params, body: { variables } })).version;
}
const deploy = (workload: string, where: string, version?: number | "latest") =>
  owner.do("deployment.set", {
    params: { namespace: "default", workload, environment: where },
    body: version === undefined ? {} : { version },
  });
const uses = (scope: { environment: string; namespace: string }, secret: string, who: Client = owner) =>
  who.do("secret.uses", { params: { ...scope, secret } });
const brief = (references: readonly Reference[]): string[] =>
  references.map(
    (one) =>
      `${one.workload} in ${one.environment}: ${one.variables.join("+")}${one.pinned === null ? "" : `@${String(one.pinned)}`} by ${String(one.manifestVersion)}${one.deployed ? "" : ", not deployed"}`,
  );

describe("the uses of a secret", () => {
  it("are the references of what is deployed: by name, in templates, from other places, pinned", async () => {
    const here = await environment("uses-here", "open");
    await environment("uses-there");
    await write(here, "DB");
    await write(here, "OTHER");
    await save("plain", { A: { secret: "DB" }, B: { template: "x${DB}${OTHER}" }, C: { value: "DB" } });
    await deploy("plain", "uses-here");
    await save("pinned", { A: { secret: "DB@1" }, B: { secret: "default/DB" } });
    await deploy("pinned", "uses-here");
    await save("abroad", { A: { secret: "uses-here/default/DB" } });
    await deploy("abroad", "uses-there");
    await save("not-at-all", { A: { secret: "OTHER" }, B: { value: "DB" } });
    await deploy("not-at-all", "uses-here");
    const { references, hidden, launches, lastUsed } = await uses(here, "DB");
    expect(brief(references)).toEqual([
      "default/abroad in uses-here: A by 1",
      "default/abroad in uses-there: A by 1",
      "default/default in uses-here: DB by 1",
      "default/pinned in uses-here: A@1 by 1",
      "default/pinned in uses-here: B by 1",
      "default/plain in uses-here: A+B by 1",
    ]);
    expect([hidden, launches, lastUsed]).toEqual([0, 0, null]);
  });

  it("are of the secret that was bound and not of another that took its name", async () => {
    const scope = await environment("uses-bound");
    await write(scope, "BOUND");
    await save("binder", { A: { secret: "BOUND", required: false } });
    await deploy("binder", "uses-bound");
    await owner.do("secret.delete", { params: { ...scope, secret: "BOUND" } });
    await write(scope, "BOUND");
    expect(brief((await uses(scope, "BOUND")).references)).toEqual([]);
    await deploy("binder", "uses-bound");
    expect(brief((await uses(scope, "BOUND")).references)).toEqual(["default/binder in uses-bound: A by 1"]);
  });

  it("tell the newest manifest from the one that is deployed", async () => {
    const scope = await environment("uses-newest");
    await write(scope, "OLD");
    await write(scope, "NEW");
    await save("mover", { A: { secret: "OLD" } });
    await deploy("mover", "uses-newest");
    await save("mover", { A: { secret: "NEW" } });
    expect(brief((await uses(scope, "OLD")).references)).toEqual(["default/mover in uses-newest: A by 1"]);
    expect(brief((await uses(scope, "NEW")).references)).toEqual([
      "default/mover in uses-newest: A by 2, not deployed",
    ]);
    await deploy("mover", "uses-newest");
    expect(brief((await uses(scope, "OLD")).references)).toEqual([]);
    expect(brief((await uses(scope, "NEW")).references)).toEqual(["default/mover in uses-newest: A by 2"]);
  });

  it("in an environment that follows are of the newest manifest whose author may deploy there", async () => {
    const scope = await environment("uses-follow", "open");
    await write(scope, "FOLLOWED");
    await save("follower", { A: { secret: "FOLLOWED" } });
    expect(brief((await uses(scope, "FOLLOWED")).references)).toContain("default/follower in uses-follow: A by 1");
    const agent = await vault.service("uses-agent", "agent");
    await environment("uses-agents-own");
    await owner.do("grant.create", {
      body: { principal: "uses-agent", role: "contributor", environment: "uses-agents-own" },
    });
    await save("follower", { A: { secret: "FOLLOWED" }, B: { secret: "FOLLOWED" } }, agent);
    expect(brief((await uses(scope, "FOLLOWED")).references)).toEqual(
      expect.arrayContaining([
        "default/follower in uses-follow: A by 1",
        "default/follower in uses-follow: A+B by 2, not deployed",
      ]),
    );
  });

  it("are counted where their reader may not view the workload, and named for who may (R12)", async () => {
    const scope = await environment("uses-seen", "open");
    await environment("uses-unseen", "private");
    await write(scope, "SHARED");
    await save("seen", { A: { secret: "SHARED" } });
    await deploy("seen", "uses-seen");
    await save("unseen", { A: { secret: "uses-seen/default/SHARED" } });
    await deploy("unseen", "uses-unseen");
    await owner.do("workload.update", {
      params: { namespace: "default", workload: "unseen" },
      body: { access: "explicit" },
    });
    const lister = await vault.user("uses-lister", "guest");
    await owner.do("grant.create", { body: { principal: "uses-lister", role: "builder", environment: "uses-seen" } });
    const told = await lister.try("secret.uses", { params: { ...scope, secret: "SHARED" } });
    expect(brief(told.body.references).filter((one) => one.includes("seen in"))).toEqual([
      "default/seen in uses-seen: A by 1",
    ]);
    expect(told.body.hidden).toBe(2);
    expect(told.text).not.toContain("unseen");
    const all = await uses(scope, "SHARED");
    expect(all.hidden).toBe(0);
    expect(all.references).toHaveLength(told.body.references.length + 2);
  });

  it("count the launches that hold it now", async () => {
    const scope = await environment("uses-held", "open");
    await write(scope, "HELD");
    await write(scope, "NOT_HELD");
    await save("holder", { A: { secret: "HELD" } });
    const launch = async () => {
      const minted = await owner.do("token.mint", {
        params: { namespace: "default", workload: "holder" },
        body: { environment: "uses-held" },
      });
      const given = await vault.anonymous.as(minted.items[0]?.token ?? "").do("token.exchange", { query: {} });
      return vault.anonymous.as(given.lease.token);
    };
    const [first, second] = [await launch(), await launch()];
    expect([(await uses(scope, "HELD")).launches, (await uses(scope, "NOT_HELD")).launches]).toEqual([2, 0]);
    await first.do("lease.end", { body: {} });
    expect((await uses(scope, "HELD")).launches).toBe(1);
    const at = { namespace: "default", workload: "holder" };
    await owner.do("workload.update", { params: at, body: { state: "disabled" } });
    expect((await uses(scope, "HELD")).launches).toBe(0);
    await owner.do("workload.update", { params: at, body: { state: "active" } });
    await second.do("lease.end", { body: {} });
    expect((await uses(scope, "HELD")).launches).toBe(0);
  });

  it("are for who may list there: allow and deny", async () => {
    const scope = await environment("uses-rules", "private");
    await write(scope, "RULED");
    const params = { ...scope, secret: "RULED" };
    const person = async (login: string, role: "builder" | "auditor" | "operator" | "runner" | null) => {
      const user = await vault.user(login, "guest");
      if (role !== null)
        await owner.do("grant.create", { body: { principal: login, role, environment: "uses-rules" } });
      return user;
    };
    const table: [string, Client, string | null][] = [
      ["allow an owner", owner, null],
      ["allow a builder", await person("uses-b", "builder"), null],
      ["allow an auditor", await person("uses-a", "auditor"), null],
      ["deny an operator, who learns no names", await person("uses-o", "operator"), "forbidden"],
      ["deny a runner", await person("uses-r", "runner"), "forbidden"],
      ["deny who does not know the place", await person("uses-n", null), "not_found"],
      ["deny another org", await vault.org("uses-strangers"), "not_found"],
      ["deny nobody", vault.anonymous, "unauthenticated"],
    ];
    for (const [which, who, code] of table) {
      const answer = await who.try("secret.uses", { params });
      expect([which, answer.status === 200 ? null : answer.body.code]).toEqual([which, code]);
    }
    expect(await owner.code("secret.uses", { params: { ...scope, secret: "NEVER" } })).toBe("not_found");
  });
});

describe("a version that a deployed manifest is pinned to", () => {
  it("is not destroyed: the workloads that may be seen are named, the others counted", async () => {
    const scope = await environment("pins");
    for (let version = 1; version <= 4; version += 1) await write(scope, "PINNED", `v${String(version)}`);
    await save("pin-seen", { A: { secret: "PINNED@1" } });
    await deploy("pin-seen", "pins");
    await save("pin-hidden", { A: { template: "${PINNED@2}" } });
    await deploy("pin-hidden", "pins");
    await owner.do("workload.update", {
      params: { namespace: "default", workload: "pin-hidden" },
      body: { access: "explicit" },
    });
    const writer = await vault.user("pin-writer", "guest");
    await owner.do("grant.create", { body: { principal: "pin-writer", role: "contributor", environment: "pins" } });
    const destroy = (...versions: number[]) =>
      writer.try("secret.destroy", { params: { ...scope, secret: "PINNED" }, body: { versions } }) as Promise<
        Answer<Problem & { usedBy?: string[] }>
      >;
    const usedBy = (answer: Awaited<ReturnType<typeof destroy>>) => answer.body.usedBy;
    const both = await destroy(1, 2, 3);
    expect([both.status, both.body.code, usedBy(both)]).toEqual([
      409,
      "in_use",
      ["default/pin-seen in pins", "1 that you may not see"],
    ]);
    expect(both.text).not.toContain("pin-hidden");
    expect(usedBy(await destroy(2))).toEqual(["1 that you may not see"]);
    expect((await destroy(3)).status).toBe(204);
    expect((await destroy(4)).body.code).toBe("in_use");
    const at = { namespace: "default", environment: "pins" };
    await owner.do("deployment.delete", { params: { ...at, workload: "pin-seen" } });
    expect((await destroy(1)).status).toBe(204);
    expect((await destroy(2)).body.code).toBe("in_use");
    const states = (await owner.do("secret.versions", { params: { ...scope, secret: "PINNED" } })).items;
    expect(states.map((one) => one.state)).toEqual(["live", "destroyed", "live", "destroyed"]);
  });
});

describe("the look for uses", () => {
  it("asks as much of the store for 1,000 workloads as for ten", async () => {
    const place = await storePlace();
    const { world } = await World.found(place);
    const reader = world.facts.of(world.org);
    const [environment] = await reader.list("environments", { where: { name: "prod" } });
    const [namespace] = await reader.list("namespaces");
    if (environment === undefined || namespace === undefined) throw new Error("founded with both");
    const by = world.ids.next("prn");
    const now = world.clock.now();
    const secret: NewRow<"secrets"> = {
      id: world.ids.next("sec"),
      environmentId: environment.id,
      namespaceId: namespace.id,
      name: "CROWDED",
      currentVersion: 2,
      delivery: "inject",
      state: "active",
      policy: null,
      description: "",
      tags: [],
      owner: "",
      rotateBy: null,
      createdAt: now,
      createdBy: by,
      updatedAt: now,
      updatedBy: by,
      deletedAt: null,
      lastUsedAt: null,
      lastUsedBy: null,
      lastUsedIn: null,
    };
    await world.commit(new Change().insert("secrets", secret));
    const add = async (from: number, to: number): Promise<void> => {
      const change = new Change();
      for (let n = from; n < to; n += 1) {
        const id = world.ids.next("wkl");
        change.insert("workloads", {
          id,
          namespaceId: namespace.id,
          name: `crowd-${String(n)}`,
          state: "active",
          access: "inherit",
          allowedVariables: [],
          description: "",
          createdAt: now,
          createdBy: by,
        });
        const variables = { A: { secret: "CROWDED@1" } };
        change.insert("manifests", {
          id: world.ids.next("man"),
          workloadId: id,
          version: 1,
          variables,
          note: "",
          createdAt: now,
          createdBy: by,
        });
        change.insert("deployments", {
          id: world.ids.next("dep"),
          workloadId: id,
          environmentId: environment.id,
          version: 1,
          bindings: { "CROWDED@1": secret.id },
          deployedAt: now,
          deployedBy: by,
          state: "active",
        });
      }
      await world.commit(change);
    };
    const look = async () => {
      let queries = 0;
      const counting: Reader = {
        get: (...args) => ((queries += 1), reader.get(...args)),
        list: (...args) => ((queries += 1), reader.list(...args)),
        count: (...args) => ((queries += 1), reader.count(...args)),
      };
      const rows = await reader.list("secrets", { where: { id: secret.id } });
      const found = await dependentsOf(world.guard, counting, world.org, rows);
      return { queries, found: found.filter((one) => one.deployed && one.pinned === 1).length };
    };
    await add(0, 10);
    const few = await look();
    expect(few).toEqual({ queries: few.queries, found: 10 });
    await add(10, 1_000);
    expect(await look()).toEqual({ queries: few.queries, found: 1_000 });
    expect(few.queries).toBeLessThan(10);
    await world.close();
    await place.remove();
  });
});
