import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";

let vault: TestVault;
let owner: Client;
const dev = { environment: "dev", namespace: "default" };
const prod = { environment: "prod", namespace: "default" };
const secluded = { environment: "secluded", namespace: "default" };
type Scope = typeof dev;

beforeAll(async () => {
  vault = await startVault();
  ({ owner } = vault);
  await owner.do("environment.create", { body: { name: "secluded", mode: "private" } });
  const write = (scope: Scope, secret: string, value: string) =>
    owner.do("secret.write", { params: { ...scope, secret }, body: { value } });
  await write(dev, "SAME", "value-canary");
  await write(prod, "SAME", "value-canary");
  await write(dev, "DIFFERENT", "one");
  await write(prod, "DIFFERENT", "two");
  await write(dev, "HERE", "x");
  await write(prod, "THERE", "x");
});
afterAll(() => vault.close());

const compare = (who: Client, from: Scope, to: Scope, more: { values?: boolean; reason?: string } = {}) =>
  who.try("secret.compare", { body: { from, to, ...more } });
const values = { values: true, reason: "are they in step" };

describe("a comparison", () => {
  it("of names says what is where, and nothing of values", async () => {
    const { body } = await compare(owner, dev, prod);
    expect(body.valuesCompared).toBe(false);
    expect(body.items.map((one) => [one.name, one.from?.version, one.to?.version, one.same])).toEqual([
      ["DIFFERENT", 1, 1, null],
      ["HERE", 1, undefined, null],
      ["SAME", 1, 1, null],
      ["THERE", undefined, 1, null],
    ]);
  });

  it("of values says which are equal; both scopes' events tell of it, with the reason and the secrets", async () => {
    const answer = await compare(owner, dev, prod, values);
    expect(answer.body.valuesCompared).toBe(true);
    expect(answer.body.items.map((one) => [one.name, one.same])).toEqual([
      ["DIFFERENT", false],
      ["HERE", null],
      ["SAME", true],
      ["THERE", null],
    ]);
    const log = await owner.try("audit.list", { query: { action: "secret.compare", limit: "1000" } });
    const events = log.body.items.filter((event) => event.requestId === answer.headers["x-request-id"]);
    expect(events.map((event) => event.environment?.name).sort()).toEqual(["dev", "prod"]);
    for (const event of events) {
      expect(event).toMatchObject({ result: "success", reason: values.reason, facts: { values: true, compared: 2 } });
      expect(event.secrets?.map((one) => one.name)).toEqual(["DIFFERENT", "SAME"]);
    }
    for (const text of [answer.text, log.text, JSON.stringify(vault.log)]) expect(text).not.toContain("value-canary");
  });

  it("of values needs a reason", async () => {
    const refused = await compare(owner, dev, prod, { values: true });
    expect(refused.body).toMatchObject({ code: "invalid_input", faults: [{ field: "reason" }] });
    expect((await compare(owner, dev, prod, { values: true, reason: "  " })).body.code).toBe("invalid_input");
  });

  it("of names is for who lists in both; of values for who reveals in both, while the org reveals at all", async () => {
    const contributor = await vault.user("carla", "guest");
    for (const environment of ["dev", "prod"])
      await owner.do("grant.create", { body: { principal: "carla", role: "contributor", environment } });
    const half = await vault.user("hal", "guest");
    await owner.do("grant.create", { body: { principal: "hal", role: "contributor", environment: "dev" } });
    const viewer = await vault.user("vic");
    const stranger = await vault.org("compare-strangers");
    const table: [string, Client, Scope, Scope, object, object | null][] = [
      ["allow names to who lists", contributor, dev, prod, {}, null],
      ["allow values to an owner", owner, dev, secluded, values, null],
      [
        "deny values to a contributor",
        contributor,
        dev,
        prod,
        values,
        { code: "forbidden", missing: { permission: "secret.reveal", on: "dev/default" } },
      ],
      ["deny the other scope", half, dev, prod, {}, { code: "not_found" }],
      ["deny the other scope, the other way round", half, prod, dev, {}, { code: "not_found" }],
      ["deny a private environment", contributor, dev, secluded, {}, { code: "not_found" }],
      [
        "deny who only views",
        viewer,
        dev,
        prod,
        {},
        { code: "forbidden", missing: { permission: "secret.list", on: "prod/default" } },
      ],
      ["deny another org", stranger, dev, secluded, {}, { code: "not_found" }],
    ];
    for (const [which, who, from, to, more, problem] of table) {
      const { status, body } = await compare(who, from, to, more);
      if (problem === null) expect([which, status]).toEqual([which, 200]);
      else expect({ which, ...body }).toMatchObject({ which, ...problem });
    }
    await owner.do("org.update", { body: { reveal: "nobody" } });
    expect((await compare(owner, dev, prod, values)).status).toBeGreaterThanOrEqual(400);
    expect((await compare(owner, dev, prod)).status).toBe(200);
    await owner.do("org.update", { body: { reveal: "admins" } });
  });

  it("takes at most 5,000 secrets a scope", async () => {
    await owner.do("environment.create", { body: { name: "crowded" } });
    const crowded = { environment: "crowded", namespace: "default" };
    for (let from = 0; from < 5_000; from += 500) {
      const secrets = Array.from({ length: 500 }, (_, n) => ({ name: `N_${String(from + n)}`, value: "x" }));
      await owner.do("secret.bulk", { params: crowded, body: { secrets } });
    }
    expect((await compare(owner, crowded, dev)).body.items).toHaveLength(5_003);
    const all = await compare(owner, crowded, crowded, values);
    expect(all.body.items.filter((one) => one.same === true)).toHaveLength(5_000);
    await owner.do("secret.write", { params: { ...crowded, secret: "ONE_MORE" }, body: { value: "x" } });
    expect((await compare(owner, crowded, dev)).body.code).toBe("invalid_input");
    expect((await compare(owner, dev, crowded)).body.code).toBe("invalid_input");
  }, 240_000);
});
