import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SECOND } from "#base";
import type { Client } from "../harness.ts";
import { LaunchPad } from "./launch-pad.ts";

const KEY = "0123456789abcdef0123456789abcdef";

describe("Exchanging again", () => {
  let pad: LaunchPad;

  beforeAll(async () => {
    pad = await LaunchPad.start();
    await pad.write("PASS", "one");
    await pad.write("OTHER", "o-one");
    await pad.deploy("job", { PASS: { secret: "PASS" }, LEVEL: { value: "info" } });
  });
  afterAll(() => pad.close());

  const replays = async () => (await pad.events({ action: "token.replayed", limit: 50 })).length;

  it("gives the same values and a working lease to who repeats with the same key within 10 s", async () => {
    const bearer = await pad.mint(pad.owner, "job");
    const first = await pad.exchange(bearer, { key: KEY });
    expect(first.status).toBe(200);
    pad.clock.forward(5 * SECOND);
    const second = await pad.exchange(bearer, { key: KEY });
    expect(second.status).toBe(200);
    expect(second.body.variables).toEqual(first.body.variables);
    expect(second.body.injectionId).toBe(first.body.injectionId);
    expect(second.body.lease.expiresAt).toBe(first.body.lease.expiresAt);
    expect(second.body.lease.token).not.toBe(first.body.lease.token);
    expect((await pad.bearer(second.body.lease.token).do("lease.get")).state).toBe("active");
    expect(await pad.bearer(first.body.lease.token).code("lease.get")).toBe("unauthenticated");
    expect(await pad.eventsOf(second)).toMatchObject([
      { action: "exchange.repeated", result: "success", target: { id: first.body.injectionId } },
    ]);
    const third = await pad.exchange(bearer, { key: KEY, format: "shell" });
    expect(third.text).toBe("export PASS='one'\nexport LEVEL='info'\n");
  });

  it("refuses everybody else, and tells the org of both sources", async () => {
    for (const [name, first, later, wait] of [
      ["after 10 s", { key: KEY }, { key: KEY }, 10],
      ["from another address", { key: KEY, from: "192.0.2.1" }, { key: KEY, from: "192.0.2.2" }, 0],
      ["with another key", { key: KEY }, { key: KEY.replace("0", "1") }, 0],
      ["without a key", { key: KEY }, {}, 0],
      ["with a key where there was none", {}, { key: KEY }, 0],
      ["with a key of less than 128 bits", { key: "a".repeat(21) }, { key: "a".repeat(21) }, 0],
    ] as const) {
      const bearer = await pad.mint(pad.owner, "job");
      const before = await replays();
      expect(await pad.outcome(bearer, first), name).toBe("200");
      pad.clock.forward(wait * SECOND);
      const refused = await pad.exchange(bearer, later);
      expect([refused.status, refused.body.code], name).toEqual([401, "token_invalid"]);
      expect(await replays(), name).toBe(before + 1);
      const [event, ...others] = await pad.eventsOf(refused);
      expect(others).toEqual([]);
      expect(event, name).toMatchObject({
        action: "token.replayed",
        result: "refused",
        code: "token_invalid",
        target: { type: "injection" },
        facts: {
          firstAddress: "from" in first ? first.from : "127.0.0.1",
          address: "from" in later ? later.from : "127.0.0.1",
        },
      });
    }
  });

  it("repeats a bound exchange for its own runner only", async () => {
    const other = await pad.vault.service("other-host", "runner");
    await pad.owner.do("grant.create", { body: { principal: "other-host", role: "runner", environment: "prod" } });
    const bearer = await pad.mint(pad.operator, "job");
    expect(await pad.outcome(bearer, { key: KEY, runner: pad.host })).toBe("200");
    expect(await pad.outcome(bearer, { key: KEY, runner: other })).toBe("token_invalid");
    expect(await pad.outcome(bearer, { key: KEY })).toBe("token_invalid");
    expect(await pad.outcome(bearer, { key: KEY, runner: pad.host })).toBe("200");
  });

  it("opens the very versions again that were delivered, whatever was written since", async () => {
    await pad.deploy("both", {
      FIRST: { secret: "PASS@1" },
      NOW: { secret: "PASS" },
      DSN: { template: "${PASS@1}:${PASS}" },
      LATER: { secret: "NOT_YET", required: false },
    });
    await pad.write("PASS", "two");
    const bearer = await pad.mint(pad.owner, "both");
    const first = await pad.receive(bearer, { key: KEY });
    expect(first).toEqual({ FIRST: "one", NOW: "two", DSN: "one:two" });
    await pad.write("PASS", "three");
    await pad.write("NOT_YET", "early");
    expect(await pad.receive(bearer, { key: KEY })).toEqual(first);
  });

  it("gives nothing that came into the scope since, with a manifest of all", async () => {
    await pad.write("A", "1", "dev");
    const bearer = await pad.mint(pad.owner, "default", { environment: "dev" });
    expect(await pad.receive(bearer, { key: KEY })).toEqual({ A: "1" });
    await pad.write("B", "2", "dev");
    await pad.write("A", "3", "dev");
    expect(await pad.receive(bearer, { key: KEY })).toEqual({ A: "1" });
  });

  it("is refused when what was delivered is not there any more, or the launch is not allowed any more", async () => {
    const other = { environment: "prod", namespace: "ops", secret: "OTHER" };
    await pad.deploy("fading", { OTHER: { secret: "OTHER", required: false }, LEVEL: { value: "info" } });
    const launch = async (): Promise<Client> => {
      const bearer = await pad.mint(pad.contributor, "fading");
      expect(await pad.outcome(bearer, { key: KEY })).toBe("200");
      return bearer;
    };
    const workload = { namespace: "ops", workload: "fading" };

    const deleted = await launch();
    await pad.owner.do("secret.delete", { params: other });
    expect(await pad.outcome(deleted, { key: KEY })).toBe("launch_refused");
    await pad.owner.do("secret.restore", { params: other });

    const disabled = await launch();
    await pad.owner.do("workload.update", { params: workload, body: { state: "disabled" } });
    expect(await pad.outcome(disabled, { key: KEY })).toBe("token_invalid");
    await pad.owner.do("workload.update", { params: workload, body: { state: "active" } });
    expect(await pad.outcome(disabled, { key: KEY })).toBe("200");

    const revoked = await pad.exchange(await launch(), { key: "x".repeat(32) });
    expect(revoked.body.code).toBe("token_invalid");
    const ended = await pad.mint(pad.owner, "fading");
    const answer = await pad.exchange(ended, { key: KEY });
    await pad.owner.do("injection.revoke", { params: { id: answer.body.injectionId } });
    expect(await pad.outcome(ended, { key: KEY })).toBe("token_invalid");

    await pad.write("OTHER", "o-two");
    const destroyed = await pad.mint(pad.owner, "fading");
    expect(await pad.receive(destroyed, { key: KEY })).toEqual({ OTHER: "o-two", LEVEL: "info" });
    await pad.write("OTHER", "o-three");
    await pad.owner.do("secret.destroy", { params: other, body: { versions: [2] } });
    expect(await pad.outcome(destroyed, { key: KEY })).toBe("launch_refused");
  });

  it("grants once where many exchange at the same moment without a key (R70)", async () => {
    const bearer = await pad.mint(pad.owner, "job");
    const before = await replays();
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => pad.outcome(bearer)));
    expect(outcomes.filter((one) => one === "200")).toHaveLength(1);
    expect(outcomes.filter((one) => one === "token_invalid")).toHaveLength(29);
    expect(await replays()).toBe(Math.min(50, before + 29));
  });

  it("grants one exchange and repeats of it where many come at once with the key; one lease stands", async () => {
    const bearer = await pad.mint(pad.owner, "job");
    const answers = await Promise.all(Array.from({ length: 8 }, () => pad.exchange(bearer, { key: KEY })));
    const good = answers.filter((answer) => answer.status === 200);
    expect(good.length).toBeGreaterThanOrEqual(1);
    expect(new Set(good.map((answer) => JSON.stringify(answer.body.variables))).size).toBe(1);
    const leases = await Promise.all(good.map((answer) => pad.bearer(answer.body.lease.token).try("lease.get")));
    expect(leases.filter((lease) => lease.status === 200)).toHaveLength(1);
    const id = good[0]?.body.injectionId;
    const events = (await pad.events({ result: "success", limit: 50 })).filter((event) => event.target?.id === id);
    expect(events.filter((event) => event.action === "token.exchange")).toHaveLength(1);
    expect(events.filter((event) => event.action === "exchange.repeated")).toHaveLength(good.length - 1);
  });
});
