import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MINUTE } from "#base";
import { LaunchPad } from "./launch-pad.ts";

describe("Minting", () => {
  let pad: LaunchPad;

  beforeAll(async () => {
    pad = await LaunchPad.start();
    await pad.write("DB_PASS", "s3cret");
    await pad.deploy("job", { PASS: { secret: "DB_PASS" }, LEVEL: { value: "info" } });
  });
  afterAll(() => pad.close());

  it("binds the token of whoever may run but not take delivery, and of nobody else (R72)", async () => {
    const boundOf = async (who: (typeof pad)["owner"]): Promise<boolean> => (await pad.tryMint(who, "job")).body.bound;
    expect(await boundOf(pad.operator)).toBe(true);
    expect(await boundOf(pad.builder)).toBe(true);
    expect(await boundOf(pad.contributor)).toBe(false);
    expect(await boundOf(pad.owner)).toBe(false);
  });

  it("is refused to who may not run here, and says that the place is not there to who may not know it", async () => {
    expect((await pad.tryMint(pad.host, "job")).body).toMatchObject({
      code: "forbidden",
      missing: { permission: "workload.run", on: "ops/job in prod" },
    });
    const stranger = await pad.vault.user("stranger", "guest");
    expect((await pad.tryMint(stranger, "job")).body.code).toBe("not_found");
    expect((await pad.tryMint(pad.vault.anonymous, "job")).body.code).toBe("unauthenticated");
  });

  it("gives unbound tokens to all who may run where local runs are on, and takes that back with the setting", async () => {
    await pad.owner.do("environment.create", { body: { name: "lab", mode: "restricted" } });
    await pad.owner.do("grant.create", { body: { principal: "otto", role: "operator", environment: "lab" } });
    await pad.deploy("bench", { LEVEL: { value: "debug" } }, "lab");
    const mint = async () => (await pad.tryMint(pad.operator, "bench", { environment: "lab" })).body;
    expect((await mint()).bound).toBe(true);
    await pad.owner.do("environment.update", { params: { environment: "lab" }, body: { localRun: true } });
    const local = await mint();
    expect(local.bound).toBe(false);
    await pad.owner.do("environment.update", { params: { environment: "lab" }, body: { localRun: false } });
    const bearer = pad.bearer(local.items[0]?.token ?? "");
    expect(await pad.outcome(bearer)).toBe("launch_refused");
    await pad.owner.do("environment.update", { params: { environment: "lab" }, body: { localRun: true } });
    expect(await pad.receive(bearer)).toEqual({ LEVEL: "debug" });
  });

  it("makes tokens that live 60 s, bound ones 15 min, and at most 15 min", async () => {
    const lifeOf = async (who: (typeof pad)["owner"], body: { ttlSeconds?: number } = {}): Promise<number> => {
      const before = pad.clock.now().getTime();
      const { expiresAt } = (await pad.tryMint(who, "job", body)).body;
      return Math.round((new Date(expiresAt).getTime() - before) / 1000);
    };
    expect(await lifeOf(pad.owner)).toBe(60);
    expect(await lifeOf(pad.operator)).toBe(900);
    expect(await lifeOf(pad.owner, { ttlSeconds: 1 })).toBe(1);
    expect(await lifeOf(pad.owner, { ttlSeconds: 900 })).toBe(900);
    for (const ttlSeconds of [0, -1, 901, 1.5, 1e9])
      expect((await pad.tryMint(pad.owner, "job", { ttlSeconds })).body.code, String(ttlSeconds)).toBe("invalid_input");
  });

  it("makes up to 1,000 tokens at once, all different, each good once", async () => {
    const answer = await pad.tryMint(pad.owner, "job", { count: 1000, ttlSeconds: 900 });
    const { items } = answer.body;
    expect(items).toHaveLength(1000);
    expect(new Set(items.map((item) => item.token)).size).toBe(1000);
    expect(new Set(items.map((item) => item.injectionId)).size).toBe(1000);
    for (const at of [0, 499, 999]) {
      const bearer = pad.bearer(items[at]?.token ?? "");
      expect(await pad.receive(bearer)).toEqual({ PASS: "s3cret", LEVEL: "info" });
      expect(await pad.outcome(bearer)).toBe("token_invalid");
    }
    const [event, ...others] = await pad.eventsOf(answer);
    expect(others).toEqual([]);
    expect(event).toMatchObject({ action: "token.mint", result: "success", facts: { count: 1000, bound: false } });
    for (const count of [0, 1001, 1.5])
      expect((await pad.tryMint(pad.owner, "job", { count })).body.code, String(count)).toBe("invalid_input");
  });

  it("refuses addresses that are none", async () => {
    for (const cidrs of [["10.0.0.0/33"], ["example.com"], ["10.0.0.1/"], [""], Array(51).fill("10.0.0.1") as string[]])
      expect((await pad.tryMint(pad.owner, "job", { cidrs })).body.code, cidrs[0]).toBe("invalid_input");
  });

  it("refuses what is not deployed there, and what is not there at all", async () => {
    await pad.owner.do("workload.create", { params: { namespace: "ops" }, body: { name: "idle" } });
    expect((await pad.tryMint(pad.owner, "idle")).body.code).toBe("not_deployed");
    expect((await pad.tryMint(pad.owner, "absent")).body.code).toBe("not_found");
    expect((await pad.tryMint(pad.owner, "job", { environment: "nowhere" })).body.code).toBe("not_found");
    const staging = await pad.owner.do("environment.create", { body: { name: "staging" } });
    expect(staging.mode).toBe("restricted");
    expect((await pad.tryMint(pad.owner, "job", { environment: "staging" })).body.code).toBe("not_deployed");
  });

  it("fails at once for a launch that cannot work, and names the variable only to who may list secrets (R73)", async () => {
    await pad.write("DOOMED", "x");
    await pad.deploy("fragile", { KEY: { secret: "DOOMED" }, LEVEL: { value: "info" } });
    await pad.owner.do("secret.delete", { params: { environment: "prod", namespace: "ops", secret: "DOOMED" } });
    const told = await pad.tryMint(pad.builder, "fragile");
    expect(told.body.code).toBe("launch_refused");
    expect(told.body.variables).toEqual([
      { variable: "KEY", reason: "there is no such secret, or it may not be referenced here" },
    ]);
    const untold = await pad.tryMint(pad.operator, "fragile");
    expect(untold.body.code).toBe("launch_refused");
    expect(untold.body.variables).toBeUndefined();
    expect(untold.text).not.toMatch(/KEY|DOOMED/);
    const [event] = await pad.eventsOf(untold);
    expect(event).toMatchObject({ action: "token.mint", result: "refused", code: "launch_refused" });
  });

  it("makes nothing twice under one Idempotency-Key: the repeat is told the id and gets no token", async () => {
    const first = await pad.tryMint(pad.operator, "job", {}, "key-of-a-launch-0001");
    expect(first.status).toBe(201);
    const again = await pad.tryMint(pad.operator, "job", {}, "key-of-a-launch-0001");
    expect(again.status).toBe(409);
    expect(again.body).toMatchObject({ code: "idempotency_reused", id: first.body.items[0]?.injectionId });
    expect(again.text).not.toContain("sp_inj_");
    const [event, ...others] = await pad.eventsOf(again);
    expect(others).toEqual([]);
    expect(event).toMatchObject({ action: "token.mint", code: "idempotency_reused" });
    // Another caller's key is another key.
    expect((await pad.tryMint(pad.builder, "job", {}, "key-of-a-launch-0001")).status).toBe(201);
  });

  it("mints once where the same key comes many times at the same moment", async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => pad.tryMint(pad.operator, "job", {}, "key-of-a-launch-0002")),
    );
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
    expect(answers.filter((answer) => answer.body.code === "idempotency_reused")).toHaveLength(9);
  });

  it("is refused while the workload or the environment is disabled", async () => {
    await pad.owner.do("workload.update", {
      params: { namespace: "ops", workload: "job" },
      body: { state: "disabled" },
    });
    expect((await pad.tryMint(pad.owner, "job")).body.code).toBe("disabled");
    await pad.owner.do("workload.update", { params: { namespace: "ops", workload: "job" }, body: { state: "active" } });
    await pad.owner.do("environment.update", { params: { environment: "prod" }, body: { state: "disabled" } });
    expect((await pad.tryMint(pad.operator, "job")).body.code).toBe("disabled");
    await pad.owner.do("environment.update", { params: { environment: "prod" }, body: { state: "active" } });
    expect((await pad.tryMint(pad.owner, "job")).status).toBe(201);
  });

  it("follows the grant's time: an operator whose grant has ended mints nothing", async () => {
    await pad.vault.user("temp", "guest").then(async (temp) => {
      const endsAt = new Date(pad.clock.now().getTime() + 5 * MINUTE).toISOString();
      await pad.owner.do("grant.create", {
        body: { principal: "temp", role: "operator", environment: "prod", namespace: "ops", endsAt },
      });
      expect((await pad.tryMint(temp, "job")).status).toBe(201);
      pad.clock.forward(6 * MINUTE);
      expect((await pad.tryMint(temp, "job")).body.code).toBe("not_found");
    });
  });

  it("gives no token a second time: neither lists nor lookups nor events hold one", async () => {
    const bearer = await pad.mint(pad.operator, "job", { note: "for the night" });
    const secretPart = (bearer.token ?? "").slice(-40);
    const lists = [
      await pad.owner.try("injection.list", { query: {} }),
      await pad.owner.try("audit.list", { query: { limit: "50" } }),
      await bearer.try("token.lookup"),
    ];
    for (const list of lists) {
      expect(list.status).toBe(200);
      expect(list.text).not.toContain(secretPart);
    }
  });
});
