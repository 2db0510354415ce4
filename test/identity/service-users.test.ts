import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MINUTE, SECOND } from "#base";
import { TestClock } from "../clock.ts";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";

const clock = new TestClock();
let vault: TestVault;
let owner: Client;

beforeAll(async () => {
  vault = await startVault({ overrides: { clock }, settings: { trustedProxies: "127.0.0.1" } });
  ({ owner } = vault);
});
afterAll(() => vault.close());

const alive = async (who: Client): Promise<boolean> => (await who.try("whoami.get")).status === 200;
const bearer = (issued: { token: string }): Client => vault.anonymous.as(issued.token);

describe("service users", () => {
  it.each(["ci", "agent", "runner"] as const)(
    "of kind %s are made by admins, with a token shown once (R101, R103)",
    async (kind) => {
      const admin = kind === "ci" ? await vault.user("ada", "admin") : owner;
      const made = await admin.do("service-user.create", {
        body: { name: `${kind}-one`, kind, description: "for the tests", note: "first" },
      });
      expect(made.serviceUser).toMatchObject({ name: `${kind}-one`, kind, state: "active" });
      expect(made.token.token).toMatch(/^sp_svc_/);
      expect(await bearer(made.token).do("whoami.get")).toMatchObject({ type: "service", role: kind, org: "main" });
      for (const answer of [
        await owner.try("service-user.get", { params: { serviceUser: `${kind}-one` } }),
        await owner.try("service-user.list", { query: {} }),
        await owner.try("audit.list", { query: {} }),
      ])
        expect(answer.text).not.toContain(made.token.token.slice(-40));
    },
  );

  it("carry names of lower-case letters, digits, - and _ and no others (R102)", async () => {
    for (const name of ["a", "ci-bot_2", "0", "x".repeat(63)])
      expect((await owner.do("service-user.create", { body: { name, kind: "agent" } })).serviceUser.name).toBe(name);
    for (const name of [
      "",
      "CI",
      "a.b",
      "a b",
      "-a",
      "_a",
      "é",
      "a@b",
      "x".repeat(64),
      "self",
      "instance",
      "a/b",
      "a\n",
    ])
      expect(await owner.code("service-user.create", { body: { name, kind: "agent" } })).toBe("invalid_input");
    expect(await owner.code("service-user.create", { body: { name: "a", kind: "ci" } })).toBe("already_exists");
  });

  it("have several tokens, each ended alone (R111)", async () => {
    const first = await vault.service("several", "ci");
    const issued = await owner.do("service-token.create", {
      params: { serviceUser: "several" },
      body: { note: "second" },
    });
    const second = bearer(issued);
    expect(await alive(second)).toBe(true);
    const { tokens } = await owner.do("service-user.get", { params: { serviceUser: "several" } });
    expect(tokens).toHaveLength(2);
    expect(tokens.find((token) => token.id === issued.id)).toMatchObject({ note: "second", lastUsedFrom: "127.0.0.1" });
    await vault.service("somebody-else", "ci");
    const named = (serviceUser: string) => ({ params: { serviceUser, id: issued.id } }) as never;
    expect(await owner.code("service-token.delete", named("somebody-else"))).toBe("not_found");
    await owner.do("service-token.delete", named("several"));
    expect(await alive(second)).toBe(false);
    expect(await alive(first)).toBe(true);
    expect(await owner.code("service-token.delete", named("several"))).toBe("not_found");
  });

  it("have tokens that end when they were said to (R111)", async () => {
    await vault.service("timed", "ci");
    const expiresAt = new Date(clock.now().getTime() + 5 * MINUTE).toISOString();
    const timed = bearer(
      await owner.do("service-token.create", { params: { serviceUser: "timed" }, body: { expiresAt } }),
    );
    expect(await alive(timed)).toBe(true);
    clock.forward(5 * MINUTE + SECOND);
    expect(await alive(timed)).toBe(false);
    expect(await owner.code("service-token.create", { params: { serviceUser: "timed" }, body: { expiresAt } })).toBe(
      "invalid_input",
    );
  });

  it("have tokens that are good only from the addresses they name", async () => {
    await vault.service("placed", "runner");
    const { token } = await owner.do("service-token.create", {
      params: { serviceUser: "placed" },
      body: { cidrs: ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"] },
    });
    const from = async (address: string): Promise<number> =>
      (await vault.anonymous.as(token).try("whoami.get", { headers: { "X-Forwarded-For": address } })).status;
    for (const address of ["10.1.2.3", "192.0.2.7", "2001:db8::1", "::ffff:10.1.2.3"])
      expect([address, await from(address)]).toEqual([address, 200]);
    for (const address of ["11.1.2.3", "192.0.2.8", "2001:db9::1", "127.0.0.1"])
      expect([address, await from(address)]).toEqual([address, 401]);
    for (const cidr of ["10.0.0.0/33", "ten", "10.0.0.0/-1", ""])
      expect(
        await owner.code("service-token.create", { params: { serviceUser: "placed" }, body: { cidrs: [cidr] } }),
      ).toBe("invalid_input");
  });

  it("lose all access at once when they are disabled or deleted, and come back only from the first (R106)", async () => {
    const bot = await vault.service("leaving", "ci");
    const update = (state: "active" | "disabled") =>
      owner.do("service-user.update", { params: { serviceUser: "leaving" }, body: { state } });
    await update("disabled");
    expect(await alive(bot)).toBe(false);
    await update("active");
    expect(await alive(bot)).toBe(true);
    await owner.do("grant.create", { body: { principal: "leaving", role: "contributor" } });
    await owner.do("service-user.delete", { params: { serviceUser: "leaving" } });
    expect(await alive(bot)).toBe(false);
    expect(await owner.code("service-user.get", { params: { serviceUser: "leaving" } })).toBe("not_found");
    const again = await vault.service("leaving", "ci");
    expect((await again.do("whoami.get")).grants).toEqual([]);
    expect(await alive(bot)).toBe(false);
  });

  it.each(["ci", "agent", "runner"] as const)(
    "of kind %s do nothing that owners and admins do (R107, R109)",
    async (kind) => {
      const bot = await vault.service(`plain-${kind}`, kind);
      await owner.do("grant.create", { body: { principal: `plain-${kind}`, role: "contributor" } });
      for (const code of [
        await bot.code("user.list", { query: {} }),
        await bot.code("user.create", { body: { login: "friend" } }),
        await bot.code("service-user.list", { query: {} }),
        await bot.code("service-user.create", { body: { name: "child", kind } }),
        await bot.code("service-token.create", { params: { serviceUser: `plain-${kind}` }, body: {} }),
        await bot.code("grant.create", { body: { principal: `plain-${kind}`, role: "auditor" } }),
        await bot.code("grant.list", { query: {} }),
        await bot.code("environment.create", { body: { name: "mine" } }),
        await bot.code("namespace.create", { body: { name: "mine" } }),
        await bot.code("org.update", { body: { reveal: "nobody" } }),
        await bot.code("audit.verify"),
        await bot.code("secret.reveal", {
          params: { environment: "dev", namespace: "default", secret: "X" },
          body: { reason: "because" },
        }),
      ])
        expect(code).toBe("forbidden");
      expect(await bot.code("org.list", { query: {} })).toBe("not_found");
      expect(await bot.code("password.change", { body: { current: "x", password: "correct horse battery" } })).toBe(
        "sign_in_failed",
      );
      expect(await bot.code("session.end")).toBe("invalid_input");
      expect((await bot.do("session.list")).items).toEqual([]);
    },
  );

  it("get what the mode gives to ci and nothing as agent or runner, until a grant says so (R88, R91, R95, C4)", async () => {
    const dev = { environment: "dev", namespace: "default" };
    const prod = { environment: "prod", namespace: "default" };
    const write = (who: Client, at: typeof dev) =>
      who.try("secret.write", { params: { ...at, secret: "BY_MACHINE" }, body: { value: "x" } });
    const ci = await vault.service("mode-ci", "ci");
    const agent = await vault.service("mode-agent", "agent");
    expect((await write(ci, dev)).status).toBe(200);
    expect((await write(ci, prod)).status).toBe(403);
    expect((await write(agent, dev)).status).toBe(404);
    await owner.do("grant.create", { body: { principal: "mode-agent", role: "contributor", environment: "dev" } });
    expect((await write(agent, dev)).status).toBe(200);
    expect((await write(agent, prod)).status).toBe(404);
  });
});
