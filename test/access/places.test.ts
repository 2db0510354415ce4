import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HOUR, MINUTE } from "#base";
import { TestClock } from "../clock.ts";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";

describe("environments, namespaces and grants", () => {
  const clock = new TestClock();
  let vault: TestVault;
  let owner: Client;
  let admin: Client;
  let member: Client;

  beforeAll(async () => {
    vault = await startVault({ overrides: { clock } });
    ({ owner } = vault);
    admin = await vault.user("ada", "admin");
    member = await vault.user("mia");
  });
  afterAll(() => vault.close());

  const names = (page: { items: readonly { name: string }[] }): string[] => page.items.map((one) => one.name);

  it("a new org has dev, open, prod, restricted, and the namespace default", async () => {
    const { items } = await owner.do("environment.list", { query: {} });
    expect(items.map(({ name, mode }) => [name, mode])).toEqual([
      ["dev", "open"],
      ["prod", "restricted"],
    ]);
    expect(names(await owner.do("namespace.list", { query: {} }))).toEqual(["default"]);
  });

  it("a new environment is restricted unless said, and its mode can be changed (R2, R3, R6, R175)", async () => {
    const made = await admin.do("environment.create", { body: { name: "pr-17" } });
    expect(made).toMatchObject({ mode: "restricted", localRun: false, state: "active" });
    const scope = { environment: "pr-17", namespace: "default" };
    expect(await member.code("secret.list", { params: scope, query: {} })).toBe("forbidden");
    await admin.do("environment.update", { params: { environment: "pr-17" }, body: { mode: "open" } });
    expect((await member.do("secret.list", { params: scope, query: {} })).items).toEqual([]);
    await admin.do("environment.update", { params: { environment: "pr-17" }, body: { mode: "private" } });
    expect(await member.code("secret.list", { params: scope, query: {} })).toBe("not_found");
    expect(names(await member.do("environment.list", { query: {} }))).not.toContain("pr-17");
    expect(
      await admin.code("environment.delete", { params: { environment: "pr-17" }, query: { confirm: "pr-18" } }),
    ).toBe("invalid_input");
    await admin.do("environment.delete", { params: { environment: "pr-17" }, query: { confirm: "pr-17" } });
    expect(await owner.code("environment.get", { params: { environment: "pr-17" } })).toBe("not_found");
  });

  it("is made, changed and deleted by owners and admins only (R127)", async () => {
    const guest = await vault.user("gus", "guest");
    const ci = await vault.service("ci-bot", "ci");
    for (const who of [member, guest, ci]) {
      expect(await who.code("environment.create", { body: { name: "mine" } })).toBe("forbidden");
      expect(await who.code("namespace.create", { body: { name: "mine" } })).toBe("forbidden");
      expect(await who.code("namespace.delete", { params: { namespace: "default" } })).toBe("forbidden");
      expect(await who.code("grant.create", { body: { principal: "mia", role: "contributor" } })).toBe("forbidden");
      expect(await who.code("org.update", { body: { reveal: "nobody" } })).toBe("forbidden");
    }
    for (const [who, code] of [
      [member, "forbidden"],
      [ci, "forbidden"],
      [guest, "not_found"],
    ] as const) {
      expect(await who.code("environment.update", { params: { environment: "prod" }, body: { mode: "open" } })).toBe(
        code,
      );
      expect(
        await who.code("environment.delete", { params: { environment: "prod" }, query: { confirm: "prod" } }),
      ).toBe(code);
    }
  });

  it("the name of a deleted environment is free at once, and its new bearer inherits nothing (R1)", async () => {
    const at = { environment: "agent-7", namespace: "default" };
    await owner.do("environment.create", { body: { name: "agent-7" } });
    expect(await owner.code("environment.create", { body: { name: "agent-7" } })).toBe("already_exists");
    await owner.do("secret.write", { params: { ...at, secret: "KEY" }, body: { value: "old" } });
    await owner.do("grant.create", { body: { principal: "mia", role: "contributor", environment: "agent-7" } });
    expect((await member.do("secret.get", { params: { ...at, secret: "KEY" } })).name).toBe("KEY");
    await owner.do("environment.delete", { params: { environment: "agent-7" }, query: { confirm: "agent-7" } });
    expect((await owner.do("secret.search", { query: {} })).items).toEqual([]);
    await owner.do("environment.create", { body: { name: "agent-7" } });
    expect((await owner.do("secret.list", { params: at, query: {} })).items).toEqual([]);
    expect(await member.code("secret.get", { params: { ...at, secret: "KEY" } })).toBe("forbidden");
  });

  it("a namespace is deleted only when it is empty, and is empty when only deleted environments hold its secrets", async () => {
    await owner.do("namespace.create", { body: { name: "short" } });
    await owner.do("environment.create", { body: { name: "gone" } });
    const write = (environment: string) =>
      owner.do("secret.write", { params: { environment, namespace: "short", secret: "KEY" }, body: { value: "x" } });
    await write("gone");
    await write("dev");
    const refused = await owner.try("namespace.delete", { params: { namespace: "short" } });
    expect(refused.body).toMatchObject({ code: "in_use", usedBy: expect.arrayContaining(["secret KEY"]) as unknown });
    await owner.do("secret.delete", { params: { environment: "dev", namespace: "short", secret: "KEY" } });
    expect(await owner.code("namespace.delete", { params: { namespace: "short" } })).toBe("in_use");
    await owner.do("environment.delete", { params: { environment: "gone" }, query: { confirm: "gone" } });
    await owner.do("namespace.delete", { params: { namespace: "short" } });
    expect(await owner.code("namespace.delete", { params: { namespace: "short" } })).toBe("not_found");
    expect(await owner.code("namespace.delete", { params: { namespace: "default" } })).toBe("in_use");
  });

  it("refuses names that are not names", async () => {
    for (const name of ["", "Prod", "-x", "a".repeat(64), "a b", "self", "instance", "a/b", "..", "ü"]) {
      expect(await owner.code("environment.create", { body: { name } })).toBe("invalid_input");
      expect(await owner.code("namespace.create", { body: { name } })).toBe("invalid_input");
    }
  });

  it("a grant counts from its start to its end (R89, R172)", async () => {
    const hans = await vault.user("hans", "guest");
    const from = clock.now().getTime();
    const timeOf = (ms: number): string => new Date(from + ms).toISOString();
    await owner.do("grant.create", {
      body: {
        principal: "hans",
        role: "viewer",
        environment: "prod",
        startsAt: timeOf(2 * MINUTE),
        endsAt: timeOf(4 * MINUTE),
        reason: "looks after it on Tuesday",
      },
    });
    const look = () => hans.try("environment.get", { params: { environment: "prod" } });
    expect((await look()).status).toBe(404);
    clock.forward(3 * MINUTE);
    expect((await look()).status).toBe(200);
    clock.forward(2 * MINUTE);
    expect((await look()).status).toBe(404);
  });

  it("a grant that could never count is refused", async () => {
    const now = clock.now().getTime();
    const at = (ms: number): string => new Date(now + ms).toISOString();
    const give = (more: object): Promise<string> =>
      owner.code("grant.create", { body: { principal: "mia", role: "viewer", ...more } });
    expect(await give({ endsAt: at(-HOUR) })).toBe("invalid_input");
    expect(await give({ startsAt: at(2 * HOUR), endsAt: at(HOUR) })).toBe("invalid_input");
    expect(await give({ startsAt: at(HOUR), endsAt: at(HOUR) })).toBe("invalid_input");
    for (const role of ["owner", "admin", "member", "guest", "superuser", "__proto__"])
      expect(await give({ role })).toBe("invalid_input");
    expect(await give({ principal: "nobody" })).toBe("not_found");
    expect(await give({ environment: "nowhere" })).toBe("not_found");
    expect(await give({ namespace: "nowhere" })).toBe("not_found");
    expect(await give({ namespace: "default", workload: "nothing" })).toBe("not_found");
    expect(await give({ workload: "default" })).toBe("invalid_input");
  });

  it("a grant is listed, shown to whom it was given, and taken away on the next request (R37, R89)", async () => {
    const ida = await vault.user("ida", "guest");
    const given = await owner.do("grant.create", { body: { principal: "ida", role: "builder", environment: "prod" } });
    expect((await owner.do("grant.list", { query: { principal: "ida" } })).items).toEqual([given]);
    expect((await ida.do("whoami.get")).grants).toMatchObject([{ role: "builder", environment: "prod" }]);
    const list = () => ida.try("secret.list", { params: { environment: "prod", namespace: "default" }, query: {} });
    expect((await list()).status).toBe(200);
    await owner.do("grant.delete", { params: { id: given.id } });
    expect((await list()).status).toBe(404);
    expect(await owner.code("grant.delete", { params: { id: given.id } })).toBe("not_found");
    const events = (await owner.do("audit.list", { query: { target: given.id } })).items;
    expect(events.map((event) => event.action)).toEqual(["grant.delete", "grant.create"]);
  });

  it("a grant ends with whom or what it names, and is listed under no name that comes after", async () => {
    const body = { role: "viewer", environment: "brief", namespace: "brief" };
    await owner.do("namespace.create", { body: { name: "brief" } });
    await owner.do("workload.create", { params: { namespace: "brief" }, body: { name: "brief" } });
    await owner.do("service-user.create", { body: { name: "brief-bot", kind: "ci" } });
    await owner.do("user.create", { body: { login: "brief-user" } });
    const listed = async (): Promise<number> =>
      (await owner.do("grant.list", { query: { limit: "1000" } })).items.filter((grant) =>
        JSON.stringify(grant).includes("brief"),
      ).length;
    await owner.do("environment.create", { body: { name: "brief" } });
    for (const more of [
      { principal: "brief-user", role: "viewer" },
      { principal: "brief-bot", role: "viewer" },
      { principal: "mia", role: "viewer", environment: "brief" },
      { principal: "mia", role: "viewer", namespace: "brief", workload: "brief" },
      { principal: "mia", role: "viewer", namespace: "brief" },
      { ...body, principal: "mia" },
    ])
      await owner.do("grant.create", { body: more });
    expect(await listed()).toBe(6);
    await owner.do("user.delete", { params: { user: "brief-user" } });
    expect(await listed()).toBe(5);
    await owner.do("service-user.delete", { params: { serviceUser: "brief-bot" } });
    expect(await listed()).toBe(4);
    await owner.do("environment.delete", { params: { environment: "brief" }, query: { confirm: "brief" } });
    expect(await listed()).toBe(2);
    await owner.do("workload.delete", { params: { namespace: "brief", workload: "brief" } });
    expect(await listed()).toBe(1);
    await owner.do("namespace.delete", { params: { namespace: "brief" } });
    expect(await listed()).toBe(0);
  });

  it("whoever was granted a namespace of an environment may look at the environment it is in", async () => {
    const nora = await vault.user("nora", "guest");
    await owner.do("grant.create", {
      body: { principal: "nora", role: "viewer", namespace: "default", environment: "prod" },
    });
    expect(names(await nora.do("environment.list", { query: {} }))).toEqual(["prod"]);
    expect((await nora.do("environment.get", { params: { environment: "prod" } })).name).toBe("prod");
    expect(await nora.code("environment.get", { params: { environment: "dev" } })).toBe("not_found");
    expect(await nora.code("environment.update", { params: { environment: "prod" }, body: { mode: "open" } })).toBe(
      "forbidden",
    );
  });

  it("reveal: nobody is closed by an admin and opened again only by an owner (C12)", async () => {
    await admin.do("org.update", { body: { reveal: "nobody" } });
    const reopened = await admin.try("org.update", { body: { reveal: "admins" } });
    expect(reopened.body).toMatchObject({ code: "forbidden", missing: { permission: "owner.assign" } });
    expect((await owner.do("org.get")).reveal).toBe("nobody");
    expect((await owner.do("org.update", { body: { reveal: "admins" } })).reveal).toBe("admins");
  });
});

describe("what is seen of launches and events", () => {
  let vault: TestVault;
  let owner: Client;

  beforeAll(async () => {
    vault = await startVault();
    ({ owner } = vault);
    await owner.do("workload.create", {
      params: { namespace: "default" },
      body: { name: "triage", access: "explicit" },
    });
    await owner.do("manifest.save", {
      params: { namespace: "default", workload: "triage" },
      body: { variables: { LEVEL: { value: "info" } } },
    });
    for (const environment of ["dev", "prod"]) {
      await owner.do("deployment.set", { params: { namespace: "default", workload: "triage", environment }, body: {} });
      await owner.do("token.mint", { params: { namespace: "default", workload: "triage" }, body: { environment } });
    }
  });
  afterAll(() => vault.close());

  const places = async (who: Client): Promise<unknown[]> =>
    (await who.do("audit.list", { query: { action: "token.mint" } })).items.map((event) => event.environment?.name);

  it("a grant on a workload in one environment shows its events there and in no other (R5, R61)", async () => {
    const sam = await vault.user("sam", "guest");
    await owner.do("grant.create", {
      body: { principal: "sam", role: "operator", environment: "dev", namespace: "default", workload: "triage" },
    });
    expect(await places(sam)).toEqual(["dev"]);
    expect(await places(owner)).toEqual(["prod", "dev"]);
  });

  it("an explicit workload's events are not shown by the default of a mode (R63)", async () => {
    const mia = await vault.user("mia");
    expect(await places(mia)).toEqual([]);
    await owner.do("grant.create", {
      body: { principal: "mia", role: "viewer", environment: "dev", namespace: "default", workload: "triage" },
    });
    expect(await places(mia)).toEqual(["dev"]);
    const saved = await mia.do("audit.list", { query: { action: "manifest.save" } });
    expect(saved.items).toMatchObject([{ masked: true, changes: null }]);
  });
});
