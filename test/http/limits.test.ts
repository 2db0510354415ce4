import { BlockList } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { VaultError } from "#base";
import type { Call } from "#base";
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
  test("a source with too many requests waits for the time in Retry-After, others do not", async () => {
    const door = await behindProxy({ limits: { requests: { count: 3, seconds: 1 } } });
    const codes = [];
    for (let n = 0; n < 5; n++) codes.push((await door.send("GET", "/v1/users", from("192.0.2.1"))).body.code ?? "ok");
    expect(codes).toEqual(["ok", "ok", "ok", "rate_limited", "rate_limited"]);
    const refused = await door.send("GET", "/v1/nowhere", from("192.0.2.1"));
    expect([refused.status, refused.headers["retry-after"], refused.body.retryAfterSeconds]).toEqual([429, "1", 1]);
    expect((await door.send("GET", "/v1/users", from("192.0.2.2"))).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 1_050));
    expect((await door.send("GET", "/v1/users", from("192.0.2.1"))).status).toBe(200);
    expect(door.counted.map(({ reason }) => reason)).toEqual(["rate_limited", "rate_limited", "rate_limited"]);
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
});
