import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DAY, MINUTE } from "#base";
import { TestClock } from "../clock.ts";
import { PASSWORD, startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";

const clock = new TestClock();
let vault: TestVault;
let owner: Client;
let writer: Client;
let builder: Client;
const dev = { environment: "dev", namespace: "default" };
const prod = { environment: "prod", namespace: "default" };

beforeAll(async () => {
  vault = await startVault({ overrides: { clock } });
  ({ owner } = vault);
  writer = await vault.user("wanda", "guest");
  builder = await vault.user("bea", "guest");
  await owner.do("grant.create", { body: { principal: "wanda", role: "contributor", namespace: "default" } });
  await owner.do("grant.create", { body: { principal: "bea", role: "builder", namespace: "default" } });
});
afterAll(() => vault.close());

type Scope = typeof dev;
const at = (secret: string, scope: Scope = dev) => ({ ...scope, secret });
const write = (
  who: Client,
  secret: string,
  value: string | Buffer,
  headers: Record<string, string> = {},
  scope = dev,
) =>
  who.try("secret.write", {
    params: at(secret, scope),
    body: Buffer.isBuffer(value) ? { value: value.toString("base64"), encoding: "base64" } : { value },
    headers,
  });
const reveal = async (secret: string, version?: number, scope = dev): Promise<Buffer> => {
  const shown = await owner.do("secret.reveal", {
    params: at(secret, scope),
    body: { reason: "the test looks", ...(version === undefined ? {} : { version }) },
  });
  return Buffer.from(shown.value, shown.encoding);
};
const versions = async (secret: string): Promise<number[]> =>
  (await owner.do("secret.versions", { params: at(secret) })).items.map((one) => one.version);

describe("a write", () => {
  it("makes a secret and then versions of it, and tells which (R66)", async () => {
    const first = await write(writer, "KEY", "one");
    expect(first.body).toMatchObject({ name: "KEY", version: 1, created: true, changed: true, createdBy: "wanda" });
    expect(first.headers.etag).toBe('"1"');
    expect((await write(writer, "KEY", "two")).body).toMatchObject({ version: 2, created: false, changed: true });
    expect((await reveal("KEY")).toString()).toBe("two");
    expect((await reveal("KEY", 1)).toString()).toBe("one");
    expect(await versions("KEY")).toEqual([2, 1]);
  });

  it("is one of two independent secrets where two environments have the same name (R1, R14)", async () => {
    await write(owner, "SAME", "of dev");
    await write(owner, "SAME", "of prod", {}, prod);
    expect((await reveal("SAME")).toString()).toBe("of dev");
    expect((await reveal("SAME", undefined, prod)).toString()).toBe("of prod");
    await owner.do("secret.delete", { params: at("SAME") });
    expect((await reveal("SAME", undefined, prod)).toString()).toBe("of prod");
  });

  it.each([0, 1, 2, 255, 65_535, 65_536])("takes any %i bytes and gives back the same", async (size) => {
    const bytes = size === 2 ? Buffer.from([0xff, 0x00]) : randomBytes(size);
    expect((await write(writer, "BYTES", bytes)).status).toBe(200);
    expect((await reveal("BYTES")).equals(bytes)).toBe(true);
  });

  it("takes no more than 64 KiB, in bytes and not in characters", async () => {
    for (const value of [randomBytes(65_537), "x".repeat(65_537), "ä".repeat(32_769)]) {
      const refused = await write(writer, "HUGE", value);
      expect(["payload_too_large", "invalid_input"]).toContain(refused.body.code);
    }
    expect(await owner.code("secret.get", { params: at("HUGE") })).toBe("not_found");
    expect((await write(writer, "HUGE", "ä".repeat(32_768))).status).toBe(200);
  });

  it("takes no base64 that is not, and never says the value", async () => {
    for (const value of ["a", "====", "YQ", "YQ==\n", "Y Q=", "-_-_"]) {
      const refused = await writer.try("secret.write", { params: at("BASE"), body: { value, encoding: "base64" } });
      expect(refused.body).toMatchObject({ code: "invalid_input", faults: [{ field: "value" }] });
    }
  });

  it("of the value that is there makes no version for who may reveal it, and one for who may only write", async () => {
    await write(owner, "GUESS", "hunter2");
    expect((await write(owner, "GUESS", "hunter2")).body).toMatchObject({ version: 1, changed: false });
    expect((await write(writer, "GUESS", "hunter2")).body).toMatchObject({ version: 2, changed: true });
    expect((await write(writer, "GUESS", "hunter3")).body).toMatchObject({ version: 3, changed: true });
    await owner.do("org.update", { body: { reveal: "nobody" } });
    expect((await write(owner, "GUESS", "hunter3")).body).toMatchObject({ version: 4, changed: true });
    await owner.do("org.update", { body: { reveal: "admins" } });
  });

  it("of the value that is there still writes what is said about it", async () => {
    await owner.do("secret.write", { params: at("TOLD"), body: { value: "same", description: "before" } });
    const again = await owner.do("secret.write", {
      params: at("TOLD"),
      body: { value: "same", description: "after", tags: ["db"] },
    });
    expect(again).toMatchObject({ version: 1, changed: false, description: "after", tags: ["db"] });
    expect(await owner.do("secret.get", { params: at("TOLD") })).toMatchObject({ description: "after", tags: ["db"] });
  });

  it("holds to If-Match and If-None-Match (R16)", async () => {
    expect((await write(writer, "COND", "x", { "If-Match": '"1"' })).body.code).toBe("precondition_failed");
    expect((await write(writer, "COND", "x", { "If-Match": "*" })).body.code).toBe("precondition_failed");
    expect((await write(writer, "COND", "x", { "If-None-Match": "*" })).status).toBe(200);
    expect((await write(writer, "COND", "y", { "If-None-Match": "*" })).body.code).toBe("precondition_failed");
    expect((await write(writer, "COND", "y", { "If-Match": '"2"' })).body.code).toBe("precondition_failed");
    expect((await write(writer, "COND", "y", { "If-Match": '"1"' })).body.version).toBe(2);
    expect((await write(writer, "COND", "z", { "If-Match": "*" })).body.version).toBe(3);
    expect(await versions("COND")).toEqual([3, 2, 1]);
    const matching = (match: string) => ({ params: at("COND"), headers: { "If-Match": match } });
    expect(await writer.code("secret.delete", matching('"2"'))).toBe("precondition_failed");
    await writer.do("secret.delete", matching('"3"'));
  });

  it("among fifty at the same time makes its own version: none is lost", async () => {
    const values = Array.from({ length: 50 }, (_, index) => `value ${String(index)}`);
    const answers = await Promise.all(values.map((value) => write(writer, "CROWD", value)));
    expect(answers.map((answer) => answer.status)).toEqual(values.map(() => 200));
    expect(answers.map((answer) => answer.body.version).sort((a, b) => a - b)).toEqual(
      values.map((_, index) => index + 1),
    );
    expect(answers.filter((answer) => answer.body.created)).toHaveLength(1);
    for (const [index, answer] of answers.entries())
      if (index % 10 === 0) expect((await reveal("CROWD", answer.body.version)).toString()).toBe(values[index]);
  });

  it("among ten with the same If-Match succeeds once", async () => {
    await write(writer, "ONCE", "start");
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => write(writer, "ONCE", String(index), { "If-Match": '"1"' })),
    );
    expect(answers.filter((answer) => answer.status === 200)).toHaveLength(1);
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200, 412]));
    expect(await versions("ONCE")).toEqual([2, 1]);
  });

  it("is not acknowledged in a place that was deleted at the same time", async () => {
    for (let round = 0; round < 5; round += 1) {
      const environment = `fleeting-${String(round)}`;
      await owner.do("environment.create", { body: { name: environment } });
      const [written, deleted] = await Promise.all([
        write(owner, "KEY", "x", {}, { environment, namespace: "default" }),
        owner.try("environment.delete", { params: { environment }, query: { confirm: environment } }),
      ]);
      expect(deleted.status).toBe(204);
      expect([200, 404, 409]).toContain(written.status);
    }
  });

  it("is for contributors, not for builders, operators, viewers and auditors (R52, R122)", async () => {
    expect((await write(builder, "KEY", "mine")).body.code).toBe("forbidden");
    for (const role of ["operator", "viewer", "auditor"]) {
      const who = await vault.user(`w-${role}`, "guest");
      await owner.do("grant.create", { body: { principal: `w-${role}`, role, namespace: "default" } });
      expect((await write(who, "KEY", "mine")).body.code).toBe("forbidden");
      expect(await who.code("secret.delete", { params: at("KEY") })).toBe("forbidden");
    }
  });

  it("refuses names that are not names", async () => {
    for (const secret of ["1A", "A-B", "A.B", "Ä", "A".repeat(129), "A B", "__proto__"])
      expect((await write(owner, secret, "x")).body.code).toBe("invalid_input");
    expect((await write(owner, "A".repeat(128), "x")).status).toBe(200);
  });
});

describe("a reveal", () => {
  it("takes a reason, which is in the log with the version, and is for owners and admins (R51, R156, C12)", async () => {
    await write(owner, "SHOWN", "open sesame");
    for (const reason of ["", "  ", "ab", "a\u0000bc"])
      expect(await owner.code("secret.reveal", { params: at("SHOWN"), body: { reason } })).toBe("invalid_input");
    expect(await owner.code("secret.reveal", { params: at("SHOWN"), body: {} as never })).toBe("invalid_input");
    const admin = await vault.user("ada", "admin");
    expect((await admin.do("secret.reveal", { params: at("SHOWN"), body: { reason: "incident 7" } })).value).toBe(
      "open sesame",
    );
    const [event] = (await owner.do("audit.list", { query: { action: "secret.reveal", result: "success" } })).items;
    expect(event).toMatchObject({
      reason: "incident 7",
      secrets: [{ name: "SHOWN", version: 1 }],
      actor: { name: "ada" },
    });
    expect(JSON.stringify(event)).not.toContain("sesame");
    for (const who of [writer, builder]) {
      const refused = await who.try("secret.reveal", { params: at("SHOWN"), body: { reason: "curious" } });
      expect(refused.body).toMatchObject({ code: "forbidden", missing: { permission: "secret.reveal" } });
      expect(refused.text).not.toContain("sesame");
    }
  });

  it("is closed to all by reveal: nobody", async () => {
    await owner.do("org.update", { body: { reveal: "nobody" } });
    const refused = await owner.try("secret.reveal", { params: at("SHOWN"), body: { reason: "just a look" } });
    expect(refused.body.code).toBe("disabled");
    expect(refused.text).not.toContain("sesame");
    await owner.do("org.update", { body: { reveal: "admins" } });
  });

  it("of a version that never was, or is destroyed, says so", async () => {
    const code = (version: number) =>
      owner.code("secret.reveal", { params: at("KEY"), body: { reason: "a look", version } });
    expect(await code(99)).toBe("not_found");
    await owner.do("secret.destroy", { params: at("KEY"), body: { versions: [1] } });
    expect(await code(1)).toBe("destroyed");
  });

  it("is the one way out: no other answer holds the value (R58, R71)", async () => {
    await write(owner, "CANARY", "canary-5309");
    await owner.do("secret.rollback", { params: at("CANARY"), body: { version: 1 } });
    for (const answer of [
      await owner.try("secret.get", { params: at("CANARY") }),
      await owner.try("secret.versions", { params: at("CANARY") }),
      await owner.try("secret.list", { params: dev, query: {} }),
      await owner.try("secret.search", { query: {} }),
      await owner.try("secret.update", { params: at("CANARY"), body: { description: "x" } }),
      await owner.try("audit.list", { query: { limit: "1000" } }),
    ]) {
      expect(answer.status).toBe(200);
      expect(answer.text).not.toMatch(/canary-5309|Y2FuYXJ5LTUzMDk/);
    }
  });
});

describe("versions", () => {
  it("go back by going forward: a rollback is a new version with an old value", async () => {
    for (const value of ["a", "b", "c"]) await write(writer, "BACK", value);
    const rolled = await writer.do("secret.rollback", { params: at("BACK"), body: { version: 1 } });
    expect(rolled.version).toBe(4);
    expect((await reveal("BACK")).toString()).toBe("a");
    expect(await writer.code("secret.rollback", { params: at("BACK"), body: { version: 9 } })).toBe("not_found");
    const stale = await writer.try("secret.rollback", {
      params: at("BACK"),
      body: { version: 2 },
      headers: { "If-Match": '"3"' },
    });
    expect(stale.body.code).toBe("precondition_failed");
    expect(await builder.code("secret.rollback", { params: at("BACK"), body: { version: 2 } })).toBe("forbidden");
  });

  it("are listed with size, author and state, and never a value", async () => {
    const { items } = await builder.do("secret.versions", { params: at("BACK") });
    expect(
      items.map(({ version, state, bytes, createdBy, current }) => [version, state, bytes, createdBy, current]),
    ).toEqual([
      [4, "live", 1, "wanda", true],
      [3, "live", 1, "wanda", false],
      [2, "live", 1, "wanda", false],
      [1, "live", 1, "wanda", false],
    ]);
  });

  it("are destroyed for good, but not the current one", async () => {
    const these = (versions: number[]) => ({ params: at("BACK"), body: { versions } });
    expect(await writer.code("secret.destroy", these([4]))).toBe("in_use");
    expect(await writer.code("secret.destroy", these([2, 4]))).toBe("in_use");
    expect(await writer.code("secret.destroy", these([2, 9]))).toBe("not_found");
    await writer.do("secret.destroy", these([2]));
    const { items } = await owner.do("secret.versions", { params: at("BACK") });
    expect(items.find((one) => one.version === 2)).toMatchObject({ state: "destroyed", bytes: null });
    expect(await writer.code("secret.rollback", { params: at("BACK"), body: { version: 2 } })).toBe("destroyed");
    expect((await reveal("BACK", 3)).toString()).toBe("c");
    expect(await builder.code("secret.destroy", { params: at("BACK"), body: { versions: [1] } })).toBe("forbidden");
  });
});

describe("a deleted secret", () => {
  it("is gone for all, and comes back with its versions for thirty days", async () => {
    await write(writer, "GONE", "1");
    await write(writer, "GONE", "2");
    await writer.do("secret.delete", { params: at("GONE") });
    for (const code of [
      await owner.code("secret.get", { params: at("GONE") }),
      await owner.code("secret.reveal", { params: at("GONE"), body: { reason: "a look" } }),
      await owner.code("secret.versions", { params: at("GONE") }),
      await owner.code("secret.delete", { params: at("GONE") }),
      await owner.code("secret.rollback", { params: at("GONE"), body: { version: 1 } }),
    ])
      expect(code).toBe("not_found");
    const { items } = await writer.do("secret.list", { params: dev, query: { state: "deleted", prefix: "GONE" } });
    expect(items).toMatchObject([{ name: "GONE", state: "deleted" }]);
    expect(items[0]?.restorableUntil).not.toBeNull();
    expect(await builder.code("secret.restore", { params: at("GONE") })).toBe("forbidden");
    expect(await writer.do("secret.restore", { params: at("GONE") })).toMatchObject({ version: 2, state: "active" });
    expect((await reveal("GONE", 1)).toString()).toBe("1");
    expect(await writer.code("secret.restore", { params: at("GONE") })).toBe("not_found");
  });

  it("leaves its name free, and does not come back over another", async () => {
    await writer.do("secret.delete", { params: at("GONE") });
    expect((await write(writer, "GONE", "anew", { "If-None-Match": "*" })).body).toMatchObject({
      version: 1,
      created: true,
    });
    expect(await writer.code("secret.restore", { params: at("GONE") })).toBe("already_exists");
    await writer.do("secret.delete", { params: at("GONE") });
    expect((await writer.do("secret.restore", { params: at("GONE") })).version).toBe(1);
    expect((await reveal("GONE")).toString()).toBe("anew");
  });

  it("is destroyed for good, the newest first, while one that stands is not", async () => {
    expect(await writer.code("secret.destroy", { params: at("NEVER"), body: {} })).toBe("not_found");
    await write(writer, "DOOM", "1");
    expect(await writer.code("secret.destroy", { params: at("DOOM"), body: {} })).toBe("in_use");
    await writer.do("secret.delete", { params: at("DOOM") });
    await writer.do("secret.destroy", { params: at("DOOM"), body: {} });
    expect(await writer.code("secret.restore", { params: at("DOOM") })).toBe("not_found");
    expect(await writer.code("secret.destroy", { params: at("DOOM"), body: {} })).toBe("not_found");
    const { items } = await writer.do("secret.list", { params: dev, query: { state: "deleted", prefix: "DOOM" } });
    expect(items).toEqual([]);
  });

  it("comes back no more after thirty days", async () => {
    await write(owner, "OLD", "x");
    await owner.do("secret.delete", { params: at("OLD") });
    await write(owner, "OLDER", "x");
    await owner.do("secret.delete", { params: at("OLDER") });
    const later = async (ms: number): Promise<Client> => {
      clock.forward(ms);
      return vault.anonymous.as(
        (await vault.anonymous.do("session.create", { body: { login: "owner", password: PASSWORD } })).token,
      );
    };
    owner = await later(30 * DAY - MINUTE);
    await owner.do("secret.restore", { params: at("OLD") });
    owner = await later(2 * MINUTE);
    expect(await owner.code("secret.restore", { params: at("OLDER") })).toBe("not_found");
    writer = vault.anonymous.as(
      (await vault.anonymous.do("session.create", { body: { login: "wanda", password: PASSWORD } })).token,
    );
    builder = vault.anonymous.as(
      (await vault.anonymous.do("session.create", { body: { login: "bea", password: PASSWORD } })).token,
    );
  });
});

describe("what is said about a secret", () => {
  it("is changed without a version, and in the log before and after (R153)", async () => {
    await write(writer, "META", "x");
    const rotateBy = "2031-01-01T00:00:00.000Z";
    const body = { description: "the database", tags: ["db"], owner: "team-a", rotateBy };
    expect(await writer.do("secret.update", { params: at("META"), body })).toMatchObject({ ...body, version: 1 });
    expect(await writer.do("secret.update", { params: at("META"), body: { rotateBy: null } })).toMatchObject({
      description: "the database",
      rotateBy: null,
    });
    const [, event] = (await owner.do("audit.list", { query: { action: "secret.update" } })).items;
    expect(event?.changes).toContainEqual({ field: "description", before: "", after: "the database" });
    expect(await builder.code("secret.update", { params: at("META"), body: { description: "mine" } })).toBe(
      "forbidden",
    );
    expect(await writer.code("secret.update", { params: at("META"), body: { description: "a\u001b[2Jb" } })).toBe(
      "invalid_input",
    );
    expect(await writer.code("secret.update", { params: at("META"), body: { delivery: "broker" } as never })).toBe(
      "invalid_input",
    );
    expect(await writer.code("secret.update", { params: at("ABSENT"), body: {} })).toBe("not_found");
  });

  it("includes who may reference it, which admins say (R67)", async () => {
    await owner.do("namespace.create", { body: { name: "content-ops" } });
    const set = (body: object | null) => owner.do("secret.policy", { params: at("META"), body: body as never });
    expect((await set({ namespaces: ["content-ops"], roles: ["builder"] })).policy).toEqual({
      namespaces: ["content-ops"],
      workloads: [],
      roles: ["builder"],
    });
    expect((await set({ workloads: ["content-ops/default"] })).policy).toEqual({
      namespaces: ["default"],
      workloads: ["content-ops/default"],
      roles: [],
    });
    expect((await set(null)).policy).toBeNull();
    for (const body of [
      { namespaces: ["nowhere"] },
      { workloads: ["content-ops/none"] },
      { workloads: ["content-ops"] },
      { roles: ["superuser"] },
    ])
      expect(await owner.code("secret.policy", { params: at("META"), body })).toBe("invalid_input");
    for (const who of [writer, builder])
      expect(await who.code("secret.policy", { params: at("META"), body: null })).toBe("forbidden");
  });
});

describe("lists of secrets", () => {
  it("come in pages, by name, and by prefix, and never the same twice", async () => {
    await owner.do("namespace.create", { body: { name: "many" } });
    const scope = { environment: "dev", namespace: "many" };
    const names = Array.from(
      { length: 25 },
      (_, index) => `${index % 2 === 0 ? "EVEN" : "ODD"}_${String(index).padStart(2, "0")}`,
    );
    for (const name of names) await write(owner, name, "x", {}, scope);
    const seen: string[] = [];
    let after: string | undefined;
    do {
      const page = await owner.do("secret.list", {
        params: scope,
        query: { limit: "10", ...(after === undefined ? {} : { after }) },
      });
      expect(page.items.length).toBeLessThanOrEqual(10);
      seen.push(...page.items.map((one) => one.name));
      after = page.next ?? undefined;
    } while (after !== undefined);
    expect(seen).toEqual([...names].sort());
    const odd = await owner.do("secret.list", { params: scope, query: { prefix: "ODD_" } });
    expect(odd.items).toHaveLength(12);
    for (const prefix of ["%", "_", "odd_"])
      expect((await owner.do("secret.list", { params: scope, query: { prefix } })).items).toEqual([]);
    for (const query of [{ limit: "0" }, { limit: "1001" }, { limit: "-1" }, { after: "nonsense" }, { after: "W10" }])
      expect(await owner.code("secret.list", { params: scope, query: query })).toBe("invalid_input");
  });

  it("over all scopes show the scopes that may be listed, and no name of another (R13, R68, R72)", async () => {
    await write(owner, "ELSEWHERE", "x", {}, { environment: "dev", namespace: "many" });
    const all = await builder.do("secret.search", { query: { limit: "1000" } });
    expect(new Set(all.items.map((one) => one.namespace))).toEqual(new Set(["default"]));
    expect(new Set(all.items.map((one) => one.environment))).toEqual(new Set(["dev", "prod"]));
    expect((await builder.do("secret.search", { query: { prefix: "ELSE" } })).items).toEqual([]);
    for (const role of ["operator", "viewer"]) {
      const { setUpToken } = await owner.do("user.create", { body: { login: `s-${role}`, role: "guest" } });
      const bearer = vault.anonymous.as(setUpToken);
      const who = bearer.as((await bearer.do("set-up.complete", { body: { password: PASSWORD } })).token);
      await owner.do("grant.create", { body: { principal: `s-${role}`, role } });
      expect((await who.do("secret.search", { query: {} })).items).toEqual([]);
      expect(await who.code("secret.list", { params: dev, query: {} })).toBe("forbidden");
      expect(await who.code("secret.get", { params: at("META") })).toBe("forbidden");
      expect(await who.code("secret.versions", { params: at("META") })).toBe("forbidden");
    }
  });
});
