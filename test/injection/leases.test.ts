import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { HOUR, MINUTE } from "#base";
import type { Client } from "../harness.ts";
import { LaunchPad } from "./launch-pad.ts";

describe("A lease", () => {
  let pad: LaunchPad;
  const job = { namespace: "ops", workload: "job" };

  beforeAll(async () => {
    pad = await LaunchPad.start();
    await pad.deploy("job", { LEVEL: { value: "info" } });
  });
  afterAll(() => pad.close());

  async function launch(by: Client = pad.owner, runner?: Client): Promise<Client> {
    const answer = await pad.exchange(await pad.mint(by, "job"), runner === undefined ? {} : { runner });
    if (answer.status !== 200) throw new Error(answer.text);
    return pad.bearer(answer.body.lease.token);
  }
  const stateOf = async (lease: Client): Promise<string> => (await lease.do("lease.get")).state;

  /** In steps, so that nobody's session goes idle. */
  async function wait(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 20 * MINUTE) {
      pad.clock.forward(Math.min(left, 20 * MINUTE));
      for (const one of [pad.owner, pad.operator]) await one.do("whoami.get");
    }
  }

  it("lasts an hour, is renewed for another, and ends with the exit code", async () => {
    const lease = await launch();
    const first = await lease.do("lease.get");
    expect(new Date(first.expiresAt).getTime() - new Date(first.createdAt).getTime()).toBe(HOUR);
    await wait(30 * MINUTE);
    const renewed = await lease.try("lease.renew");
    expect(new Date(renewed.body.expiresAt).getTime() - new Date(first.expiresAt).getTime()).toBeGreaterThan(
      29 * MINUTE,
    );
    expect(await pad.eventsOf(renewed)).toMatchObject([
      { action: "lease.renew", target: { type: "lease", id: first.id } },
    ]);
    const ended = await lease.try("lease.end", { body: { exitCode: 3 } });
    expect(ended.body).toMatchObject({ state: "ended", exitCode: 3 });
    expect(await pad.eventsOf(ended)).toMatchObject([{ action: "lease.end", facts: { exitCode: 3 } }]);
    expect(await lease.code("lease.renew")).toBe("token_invalid");
    const again = await lease.try("lease.end", { body: { exitCode: 0 } });
    expect(again.body).toMatchObject({ state: "ended", exitCode: 3 });
    expect(await pad.eventsOf(again)).toHaveLength(1);
  });

  it("is over after its hour: not renewed, and not ended a second time", async () => {
    const lease = await launch();
    await wait(HOUR);
    expect(await stateOf(lease)).toBe("expired");
    const refused = await lease.try("lease.renew");
    expect([refused.status, refused.body.code]).toEqual([401, "token_invalid"]);
    expect(await pad.eventsOf(refused)).toMatchObject([
      { action: "lease.renew", result: "refused", code: "token_invalid", facts: { why: "expired" } },
    ]);
    expect((await lease.do("lease.end", { body: { exitCode: 1 } })).state).toBe("expired");
  });

  it("is revoked with its injection, at once", async () => {
    const lease = await launch();
    const { injectionId } = await lease.do("lease.get");
    const revoked = await pad.owner.try("injection.revoke", { params: { id: injectionId } });
    expect(revoked.body).toMatchObject({ state: "exchanged", lease: { state: "revoked" } });
    expect(await pad.eventsOf(revoked)).toMatchObject([{ action: "injection.revoke", target: { id: injectionId } }]);
    expect(await stateOf(lease)).toBe("revoked");
    expect(await lease.code("lease.renew")).toBe("token_invalid");
  });

  it("is over while workload or environment are disabled, for both sides that look at it", async () => {
    const lease = await launch();
    const { injectionId } = await lease.do("lease.get");
    const seen = async () => (await pad.owner.do("injection.get", { params: { id: injectionId } })).lease?.state;
    for (const close of [
      () => pad.owner.do("workload.update", { params: job, body: { state: "disabled" } }),
      () => pad.owner.do("environment.update", { params: { environment: "prod" }, body: { state: "disabled" } }),
    ]) {
      await close();
      expect(await stateOf(lease)).toBe("revoked");
      expect(await seen()).toBe("revoked");
      expect(await lease.code("lease.renew")).toBe("token_invalid");
      await pad.owner.do("workload.update", { params: job, body: { state: "active" } });
      await pad.owner.do("environment.update", { params: { environment: "prod" }, body: { state: "active" } });
      expect(await stateOf(lease)).toBe("active");
    }
    await pad.deploy("mortal", { A: { value: "1" } });
    const answer = await pad.exchange(await pad.mint(pad.owner, "mortal"));
    await pad.owner.do("workload.delete", { params: { namespace: "ops", workload: "mortal" } });
    expect(await stateOf(pad.bearer(answer.body.lease.token))).toBe("revoked");
    expect(await pad.bearer(answer.body.lease.token).code("lease.renew")).toBe("token_invalid");
  });

  it("goes on when its minter is gone, but is not renewed", async () => {
    const user = await pad.vault.user("brief", "guest");
    await pad.owner.do("grant.create", { body: { principal: "brief", role: "contributor", environment: "prod" } });
    const lease = await launch(user);
    expect((await lease.try("lease.renew")).status).toBe(200);
    await pad.owner.do("user.delete", { params: { user: "brief" } });
    expect(await stateOf(lease)).toBe("active");
    expect(await lease.code("lease.renew")).toBe("token_invalid");
  });

  it("of a bound launch is not renewed once its runner may take delivery no more", async () => {
    const runner = await pad.vault.service("tmp-host", "runner");
    const grant = await pad.owner.do("grant.create", {
      body: { principal: "tmp-host", role: "runner", environment: "prod", namespace: "ops" },
    });
    const lease = await launch(pad.operator, runner);
    expect((await lease.try("lease.renew")).status).toBe(200);
    await pad.owner.do("grant.delete", { params: { id: grant.id } });
    expect(await lease.code("lease.renew")).toBe("token_invalid");
  });

  it("lasts at most 30 days, however often it is renewed", { timeout: 600_000 }, async () => {
    const service = await pad.vault.service("steady", "ci");
    await pad.owner.do("grant.create", { body: { principal: "steady", role: "service", environment: "prod" } });
    const lease = await launch(service);
    const { createdAt } = await lease.do("lease.get");
    let expiresAt = 0;
    let renewals = 0;
    for (; renewals < 800; renewals += 1) {
      pad.clock.forward(58 * MINUTE);
      const answer = await lease.try("lease.renew");
      if (answer.status !== 200) break;
      expiresAt = new Date(answer.body.expiresAt).getTime();
    }
    expect(renewals).toBeGreaterThan(700);
    expect(expiresAt - new Date(createdAt).getTime()).toBe(30 * 24 * HOUR);
  });

  it("is found by its own token only", async () => {
    for (const token of [null, "sp_lease_x", pad.owner.token, pad.host.token])
      expect(await pad.bearer(token ?? "").code("lease.get")).toBe("unauthenticated");
    expect(await pad.vault.anonymous.code("lease.renew")).toBe("unauthenticated");
  });
});
