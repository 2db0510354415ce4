import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MINUTE } from "#base";
import type { Client } from "../harness.ts";
import { LaunchPad } from "./launch-pad.ts";

const PROD = { environment: "prod", namespace: "ops" };

describe("Between the mint and the exchange, now means now", () => {
  let pad: LaunchPad;
  const job = { namespace: "ops", workload: "job" };

  beforeAll(async () => {
    pad = await LaunchPad.start();
    await pad.write("PASS", "v1");
    await pad.deploy("job", { PASS: { secret: "PASS" } });
  });
  afterAll(() => pad.close());

  it("delivers the newest value, and of a pinned reference the pinned one", async () => {
    await pad.deploy("pinned", { OLD: { secret: "PASS@1" }, NEW: { secret: "prod/ops/PASS" } });
    const bearer = await pad.mint(pad.owner, "pinned");
    const version = await pad.write("PASS", "newest");
    expect(await pad.receive(bearer)).toEqual({ OLD: "v1", NEW: "newest" });
    expect((await pad.events({ action: "token.exchange" }))[0]?.secrets).toContainEqual(
      expect.objectContaining({ name: "PASS", version }),
    );
  });

  it("delivers the manifest version that was deployed when the token was minted", async () => {
    await pad.deploy("moving", { A: { value: "1" } });
    const bearer = await pad.mint(pad.owner, "moving");
    await pad.deploy("moving", { A: { value: "2" }, B: { secret: "PASS" } });
    const answer = await pad.exchange(bearer);
    expect(answer.body.manifestVersion).toBe(1);
    expect(answer.body.variables).toEqual({ A: { value: "1", encoding: "utf8" } });
  });

  it("refuses a destroyed version, and leaves the token usable for when there is one again", async () => {
    await pad.write("GONE", "one");
    await pad.write("GONE", "two");
    await pad.deploy("relic", { OLD: { secret: "GONE@1" } });
    const bearer = await pad.mint(pad.owner, "relic");
    // What is deployed holds its versions; what was minted before does not.
    await pad.deploy("relic", { OLD: { secret: "GONE@2" } });
    await pad.owner.do("secret.destroy", { params: { ...PROD, secret: "GONE" }, body: { versions: [1] } });
    const refused = await pad.exchange(bearer);
    expect(refused.body).toMatchObject({ code: "launch_refused", variables: [{ variable: "OLD" }] });
    expect(refused.text).not.toMatch(/one|two/);
    expect(await pad.eventsOf(refused)).toMatchObject([
      { action: "token.exchange", result: "refused", code: "launch_refused", target: { type: "injection" } },
    ]);
    expect(await pad.state(bearer)).toBe("minted");
  });

  it("refuses a required secret that was deleted, and gives it again after it was restored; leaves an optional one out", async () => {
    await pad.write("FLEETING", "here");
    await pad.deploy("strict", { X: { secret: "FLEETING" } });
    await pad.deploy("lenient", { X: { secret: "FLEETING", required: false }, Y: { value: "y" } });
    const [strict, lenient] = [await pad.mint(pad.owner, "strict"), await pad.mint(pad.owner, "lenient")];
    await pad.owner.do("secret.delete", { params: { ...PROD, secret: "FLEETING" } });
    expect(await pad.outcome(strict)).toBe("launch_refused");
    expect(await pad.receive(lenient)).toEqual({ Y: "y" });
    await pad.owner.do("secret.restore", { params: { ...PROD, secret: "FLEETING" } });
    expect(await pad.receive(strict)).toEqual({ X: "here" });
  });

  it("does not take a secret that was made anew under the name of a deleted one", async () => {
    await pad.write("TWIN", "first");
    await pad.deploy("bindings", { X: { secret: "TWIN" } });
    const bearer = await pad.mint(pad.owner, "bindings");
    await pad.owner.do("secret.delete", { params: { ...PROD, secret: "TWIN" } });
    await pad.write("TWIN", "second");
    expect(await pad.outcome(bearer)).toBe("launch_refused");
    expect(await pad.state(bearer)).toBe("minted");
  });

  it("refuses while the workload or the environment is disabled, and for good once it is deleted", async () => {
    const bearer = await pad.mint(pad.owner, "job");
    await pad.owner.do("workload.update", { params: job, body: { state: "disabled" } });
    const refused = await pad.exchange(bearer);
    expect(refused.body.code).toBe("launch_refused");
    const [event] = await pad.eventsOf(refused);
    expect(event?.facts).toMatchObject({ why: expect.stringContaining("the workload is disabled") as string });
    await pad.owner.do("workload.update", { params: job, body: { state: "active" } });
    await pad.owner.do("environment.update", { params: { environment: "prod" }, body: { state: "disabled" } });
    expect(await pad.outcome(bearer)).toBe("launch_refused");
    await pad.owner.do("environment.update", { params: { environment: "prod" }, body: { state: "active" } });
    expect(await pad.state(bearer)).toBe("minted");
    expect(await pad.outcome(bearer)).toBe("200");

    await pad.deploy("mortal", { A: { value: "1" } });
    const orphan = await pad.mint(pad.owner, "mortal");
    await pad.owner.do("workload.delete", { params: { namespace: "ops", workload: "mortal" } });
    expect(await pad.outcome(orphan)).toBe("token_invalid");
    await pad.deploy("mortal", { A: { value: "2" } });
    expect(await pad.outcome(orphan), "a new workload of the same name").toBe("token_invalid");
  });

  it("refuses what was undeployed since", async () => {
    await pad.deploy("shortly", { A: { value: "1" } });
    const bearer = await pad.mint(pad.owner, "shortly");
    await pad.owner.do("deployment.delete", { params: { namespace: "ops", workload: "shortly", environment: "prod" } });
    expect(await pad.outcome(bearer)).toBe("not_deployed");
    await pad.owner.do("deployment.set", {
      params: { namespace: "ops", workload: "shortly", environment: "prod" },
      body: {},
    });
    expect(await pad.outcome(bearer)).toBe("200");
  });

  it("follows the mode of an environment that is reached into (R130, R131)", async () => {
    await pad.owner.do("environment.create", { body: { name: "shared", mode: "open" } });
    await pad.write("COMMON", "c", "shared");
    await pad.deploy("reaching", { C: { secret: "shared/ops/COMMON" } });
    const bearer = await pad.mint(pad.owner, "reaching");
    await pad.owner.do("environment.update", { params: { environment: "shared" }, body: { mode: "restricted" } });
    const refused = await pad.exchange(bearer);
    expect(refused.body.code).toBe("launch_refused");
    expect((await pad.tryMint(pad.owner, "reaching")).body.code).toBe("launch_refused");
    await pad.owner.do("environment.update", { params: { environment: "shared" }, body: { mode: "open" } });
    expect(await pad.receive(bearer)).toEqual({ C: "c" });
  });

  it("follows the secret's policy", async () => {
    await pad.owner.do("namespace.create", { body: { name: "pay" } });
    await pad.write("STRIPE", "s", "prod", "pay");
    const secret = { environment: "prod", namespace: "pay", secret: "STRIPE" };
    await pad.owner.do("secret.policy", { params: secret, body: { namespaces: ["ops"] } });
    await pad.deploy("paying", { S: { secret: "pay/STRIPE" } });
    const bearer = await pad.mint(pad.owner, "paying");
    await pad.owner.do("secret.policy", { params: secret, body: null });
    expect(await pad.outcome(bearer)).toBe("launch_refused");
    await pad.owner.do("secret.policy", { params: secret, body: { workloads: ["ops/paying"] } });
    expect(await pad.receive(bearer)).toEqual({ S: "s" });
  });

  it("counts the minter's rights as they are now: grant removed or ended, disabled, deleted", async () => {
    const minter = async (login: string, endsAt?: string): Promise<{ bearer: Client; grant: string }> => {
      const user = await pad.vault.user(login, "guest");
      const { id } = await pad.owner.do("grant.create", {
        body: {
          principal: login,
          role: "contributor",
          environment: "prod",
          ...(endsAt === undefined ? {} : { endsAt }),
        },
      });
      return { bearer: await pad.mint(user, "job", { ttlSeconds: 900 }), grant: id };
    };
    const removed = await minter("m1");
    await pad.owner.do("grant.delete", { params: { id: removed.grant } });
    expect(await pad.outcome(removed.bearer)).toBe("launch_refused");

    const disabled = await minter("m2");
    await pad.owner.do("user.update", { params: { user: "m2" }, body: { state: "disabled" } });
    expect(await pad.outcome(disabled.bearer)).toBe("launch_refused");
    await pad.owner.do("user.update", { params: { user: "m2" }, body: { state: "active" } });
    expect(await pad.outcome(disabled.bearer)).toBe("200");

    const deleted = await minter("m3");
    await pad.owner.do("user.delete", { params: { user: "m3" } });
    expect(await pad.outcome(deleted.bearer)).toBe("launch_refused");

    const ending = await minter("m4", new Date(pad.clock.now().getTime() + 2 * MINUTE).toISOString());
    pad.clock.forward(3 * MINUTE);
    expect(await pad.outcome(ending.bearer)).toBe("launch_refused");
  });

  it("asks a minter who lost delivery for nothing more than a refusal, though the right to run stayed", async () => {
    const user = await pad.vault.user("m5", "guest");
    const grant = await pad.owner.do("grant.create", {
      body: { principal: "m5", role: "contributor", environment: "prod" },
    });
    const bearer = await pad.mint(user, "job");
    await pad.owner.do("grant.delete", { params: { id: grant.id } });
    await pad.owner.do("grant.create", { body: { principal: "m5", role: "operator", environment: "prod" } });
    expect(await pad.outcome(bearer)).toBe("launch_refused");
    expect(await pad.outcome(bearer, { runner: pad.host }), "unbound stays unbound").toBe("launch_refused");
  });

  it("takes no runner's credential that has ended, whose service user is disabled, or whose grant is gone", async () => {
    const runner = await pad.vault.service("fading-host", "runner");
    const { id } = await pad.owner.do("grant.create", {
      body: { principal: "fading-host", role: "runner", environment: "prod", namespace: "ops", workload: "job" },
    });
    const bearer = await pad.mint(pad.operator, "job");
    await pad.owner.do("grant.delete", { params: { id } });
    expect(await pad.outcome(bearer, { runner })).toBe("runner_required");
    await pad.owner.do("grant.create", {
      body: { principal: "fading-host", role: "runner", environment: "prod", namespace: "ops" },
    });
    await pad.owner.do("service-user.update", { params: { serviceUser: "fading-host" }, body: { state: "disabled" } });
    expect(await pad.outcome(bearer, { runner })).toBe("runner_required");
    await pad.owner.do("service-user.update", { params: { serviceUser: "fading-host" }, body: { state: "active" } });
    const second = await pad.owner.do("service-token.create", { params: { serviceUser: "fading-host" }, body: {} });
    const held = await pad.owner.do("service-user.get", { params: { serviceUser: "fading-host" } });
    expect(held.tokens.length).toBe(2);
    await pad.owner.do("service-token.delete", { params: { serviceUser: "fading-host", id: second.id } });
    expect(await pad.outcome(bearer, { runner: pad.bearer(second.token) })).toBe("runner_required");
    expect(await pad.outcome(bearer, { runner })).toBe("200");
  });
});
