import { BlockList } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { VaultError } from "#base";
import type { Actor, Call } from "#base";
import type { Handlers } from "#http";
import { enter, start } from "./fixture.ts";
import type { Fixture } from "./fixture.ts";

let vault: Fixture | null = null;
afterEach(async () => {
  await vault?.close();
  vault = null;
});

/** A vault behind a proxy on this machine, so that a client's address can be said. */
async function behindProxy(
  limits: NonNullable<Parameters<typeof start>[0]>["doors"] = {},
  handlers: Partial<Handlers> = {},
): Promise<Fixture> {
  const trustedProxies = new BlockList();
  trustedProxies.addAddress("127.0.0.1");
  vault = await start({ doors: { trustedProxies, ...limits }, handlers });
  return vault;
}

const from = (address: string) => ({ headers: { "X-Forwarded-For": address } });

describe("Limits come first", () => {
  test("a source with too many requests is refused, others are not", async () => {
    const door = await behindProxy({ limits: { requests: { count: 3, seconds: 60 } } });
    const codes = [];
    for (let n = 0; n < 5; n++) codes.push((await door.send("GET", "/v1/users", from("192.0.2.1"))).body.code ?? "ok");
    expect(codes).toEqual(["ok", "ok", "ok", "rate_limited", "rate_limited"]);
    const refused = await door.send("GET", "/v1/nowhere", from("192.0.2.1"));
    const { retryAfterSeconds: wait } = refused.body;
    expect([refused.status, refused.headers["retry-after"]]).toEqual([429, String(wait)]);
    expect(wait > 0 && wait <= 60).toBe(true);
    expect((await door.send("GET", "/v1/users", from("192.0.2.2"))).status).toBe(200);
    expect(door.counted.map(({ reason }) => reason)).toEqual(["rate_limited", "rate_limited", "rate_limited"]);
  });

  test("a source that was refused is served again after its time", async () => {
    const door = await behindProxy({ limits: { requests: { count: 1, seconds: 1 } } });
    const status = async () => (await door.send("GET", "/v1/users", from("192.0.2.1"))).status;
    await expect.poll(status, { interval: 1, timeout: 60_000 }).toBe(429);
    await expect.poll(status, { interval: 100, timeout: 60_000 }).toBe(200);
  });

  const wrongPassword = {
    "session.create": async ({ call }: { call: Call }) => {
      enter(call, "public");
      throw new VaultError("sign_in_failed");
    },
  };
  const guess = { body: { login: "ann", password: "guess" } };

  test("a source whose passwords failed 20 times in 10 s waits to try another, and only for that", async () => {
    const door = await behindProxy({}, wrongPassword);
    const address = from("192.0.2.1");
    for (let n = 0; n < 20; n++)
      expect((await door.send("POST", "/v1/sign-in", { ...address, ...guess })).body.code).toBe("sign_in_failed");
    const answer = await door.send("POST", "/v1/sign-in", { ...address, ...guess });
    expect([answer.status, answer.body.code]).toEqual([429, "rate_limited"]);
    expect(Number(answer.headers["retry-after"])).toBeGreaterThan(5);
    // Whoever has a good credential at the same address goes on.
    expect((await door.send("GET", "/v1/users", address)).status).toBe(200);
    expect((await door.send("POST", "/v1/sign-in", { ...from("192.0.2.2"), ...guess })).status).toBe(401);
  });

  test("a token that nobody knows holds up nobody else at its address", async () => {
    const door = await behindProxy({ limits: { failures: { count: 2, seconds: 10 } } });
    const address = from("192.0.2.1");
    for (let n = 0; n < 5; n++) {
      expect((await door.send("GET", "/v1/users", { ...address, credential: "sp_ses_guess" })).status).toBe(401);
      expect((await door.send("GET", "/v1/users", { ...address, credential: null })).status).toBe(401);
      expect((await door.send("GET", "/v1/users", address)).status).toBe(200);
    }
  });

  test("an IPv6 customer cannot change source inside of its own /64", async () => {
    const door = await behindProxy({ limits: { failures: { count: 2, seconds: 10 } } }, wrongPassword);
    const status = async (address: string) =>
      (await door.send("POST", "/v1/sign-in", { ...from(address), ...guess })).status;
    expect([
      await status("2001:db8::1"),
      await status("2001:db8::2"),
      await status("2001:db8::3"),
      await status("2001:db8:0:1::1"),
    ]).toEqual([401, 401, 429, 401]);
  });

  test("more operations than the vault can work on are turned away at once, liveness is not", async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const door = await behindProxy(
      { limits: { maxInFlight: 2 } },
      {
        "user.list": async ({ call }) => {
          enter(call, "member.manage");
          await held;
          return { items: [], next: null };
        },
      },
    );
    const slow = [door.send("GET", "/v1/users"), door.send("GET", "/v1/users")];
    await expect.poll(async () => (await door.send("GET", "/v1/whoami")).status).toBe(503);
    const refused = await door.send("GET", "/v1/whoami");
    expect([refused.status, refused.body.code, refused.headers["retry-after"]]).toEqual([503, "overloaded", "1"]);
    expect((await door.send("GET", "/healthz", { credential: null })).status).toBe(200);
    release();
    expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200]);
    expect((await door.send("GET", "/v1/whoami")).status).toBe(200);
    expect(door.counted.every(({ reason }) => reason === "overloaded")).toBe(true);
    expect(door.lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("a credential has a rate of its own, wherever it is used, and holds up no other", async () => {
    const door = await behindProxy({
      limits: { credentialRequests: { count: 3, seconds: 60 } },
      authenticate: async (call, credential) => {
        if (!credential?.reveal().startsWith("sp_svc_good")) throw new VaultError("unauthenticated");
        return { type: "user", id: "prn_somebody", call, name: "x" } as unknown as Actor;
      },
    });
    const code = async (address: string, credential: string) =>
      (await door.send("GET", "/v1/users", { ...from(address), credential })).status;
    const stolen = [];
    for (let n = 0; n < 5; n++) stolen.push(await code(`192.0.2.${n}`, "sp_svc_good-stolen"));
    expect(stolen).toEqual([200, 200, 200, 429, 429]);
    const refused = await door.send("GET", "/v1/users", { ...from("192.0.2.9"), credential: "sp_svc_good-stolen" });
    expect(Number(refused.headers["retry-after"])).toBeGreaterThan(30);
    expect(await code("192.0.2.1", "sp_svc_good-other")).toBe(200);
    // What nobody knows counts for its address alone.
    for (let n = 0; n < 6; n++) expect(await code("192.0.2.1", "sp_svc_unknown")).toBe(401);
    expect(JSON.stringify([door.lines, door.counted])).not.toContain("stolen");
  });

  test("so has one that is itself the authority, once it proved good", async () => {
    let good = false;
    const door = await behindProxy(
      { limits: { credentialRequests: { count: 2, seconds: 60 } } },
      {
        "lease.get": async ({ call }) => {
          if (!good) throw new VaultError("token_invalid");
          enter(call, "public");
          return {} as never;
        },
      },
    );
    const status = async () => (await door.send("GET", "/v1/leases/self", { credential: "sp_lease_x" })).status;
    for (let n = 0; n < 4; n++) expect(await status()).toBe(401);
    good = true;
    expect([await status(), await status(), await status()]).toEqual([200, 200, 429]);
  });

  test("a body for which there is no room is refused while it arrives, and others are served", async () => {
    const door = await behindProxy({ limits: { maxBodyBytes: 256 * 1024 } });
    const body = { principal: "ann", role: "viewer", reason: "x".repeat(100) };
    expect((await door.send("POST", "/v1/grants", { ...from("192.0.2.1"), body })).status).toBe(201);
    const large = { ...body, reason: "x".repeat(300 * 1024) };
    const refused = await door.send("POST", "/v1/grants", { ...from("192.0.2.1"), body: large });
    expect([refused.status, refused.body.code, refused.headers["retry-after"]]).toEqual([503, "overloaded", "1"]);
    expect((await door.send("POST", "/v1/grants", { ...from("192.0.2.1"), body })).status).toBe(201);
  });

  test("while the process is full everything is refused but whether it lives", async () => {
    const door = await behindProxy({ limits: { maxMemoryBytes: 1 } });
    const refused = await door.send("GET", "/v1/users", from("192.0.2.1"));
    expect([refused.status, refused.body.code, refused.headers["retry-after"]]).toEqual([503, "overloaded", "1"]);
    for (const path of ["/healthz", "/readyz"])
      expect((await door.send("GET", path, { credential: null })).status).toBe(200);
    expect((await door.send("GET", "/v1/openapi.json", { credential: null })).status).toBe(503);
    expect(door.clients).toEqual([]);
  });

  test("a list that is too long for what others are still taking is refused before its event says that it was shown", async () => {
    const door = await behindProxy({ limits: { maxAnswerBytes: 10 } });
    const refused = await door.send("GET", "/v1/users", from("192.0.2.1"));
    expect([refused.status, refused.body]).toEqual([200, {}]);
    const long = await behindProxy(
      { limits: { maxAnswerBytes: 10 } },
      {
        "user.list": async ({ call }) => {
          enter(call, "member.manage");
          return { items: [], next: "x".repeat(100) };
        },
      },
    );
    expect((await long.send("GET", "/v1/users", from("192.0.2.1"))).body.code).toBe("overloaded");
    expect(long.settled).toEqual([{ action: "member.manage", outcome: { result: "failed", code: "overloaded" } }]);
  });
});
