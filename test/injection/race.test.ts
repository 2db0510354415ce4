import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LaunchPad } from "./launch-pad.ts";
import type { Event } from "./launch-pad.ts";

/**
 * The order of events in the chain is the order of commits. So what an exchange delivered can be held against what had been
 * written, granted or allowed before it: anything else would be a value or a right that was over already.
 */
describe("An exchange and changes at the same moment", () => {
  let pad: LaunchPad;

  beforeAll(async () => {
    pad = await LaunchPad.start();
    await pad.write("HOT", "0");
    await pad.deploy("job", { HOT: { secret: "HOT" }, AGAIN: { template: "<${HOT}>" } });
  });
  afterAll(() => pad.close());

  async function eventsAfter(seq: number): Promise<Event[]> {
    const all: Event[] = [];
    for (let after: string | undefined; ;) {
      const page = await pad.owner.do("audit.list", {
        query: { limit: "500", ...(after === undefined ? {} : { after }) },
      });
      all.push(...page.items.filter((event) => event.seq > seq));
      if (page.next === null || (page.items.at(-1)?.seq ?? 0) <= seq)
        return all.sort((one, other) => one.seq - other.seq);
      after = page.next;
    }
  }
  const newest = async (): Promise<number> => (await pad.events({ limit: 1 }))[0]?.seq ?? 0;

  it("never delivers a value after a newer one was acknowledged, and never two versions of one secret", async () => {
    const start = await newest();
    const minted = await pad.tryMint(pad.owner, "job", { count: 150, ttlSeconds: 900 });
    const valueOf = new Map<number, string>();
    let acknowledged = 0;
    let done = false;
    const writer = async (name: string): Promise<void> => {
      for (let count = 1; !done; count += 1) {
        const value = `${name}${String(count)}`;
        const params = { environment: "prod", namespace: "ops", secret: "HOT" };
        const answer = await pad.owner.try("secret.write", { params, body: { value } });
        if (answer.status !== 200) continue;
        valueOf.set(answer.body.version, value);
        acknowledged = Math.max(acknowledged, answer.body.version);
      }
    };
    const delivered = new Map<string, { value: string; atLeast: number }>();
    const queue = [...minted.body.items];
    const exchanger = async (): Promise<void> => {
      for (let item = queue.pop(); item !== undefined; item = queue.pop()) {
        const atLeast = acknowledged;
        const bearer = pad.bearer(item.token);
        let answer = await pad.exchange(bearer);
        // Changes come faster than it can compute: it says so, and the token is as good as new.
        for (let tries = 0; answer.status === 503 && tries < 50; tries += 1) answer = await pad.exchange(bearer);
        expect(answer.status, answer.text).toBe(200);
        const value = answer.body.variables.HOT?.value ?? "";
        expect(answer.body.variables.AGAIN?.value).toBe(`<${value}>`);
        delivered.set(answer.body.injectionId, { value, atLeast });
      }
    };
    const writing = ["a", "b", "c", "d"].map(writer);
    await Promise.all(Array.from({ length: 6 }, exchanger));
    done = true;
    await Promise.all(writing);
    expect(delivered.size).toBe(150);
    expect(valueOf.size).toBeGreaterThan(10);

    let current = 0;
    let exchanges = 0;
    for (const event of await eventsAfter(start)) {
      if (event.result !== "success") continue;
      if (event.action === "secret.write") current = Number(event.facts?.version);
      if (event.action !== "token.exchange" || current === 0) continue;
      exchanges += 1;
      const { value, atLeast } = delivered.get(event.target?.id ?? "") ?? { value: "", atLeast: 0 };
      expect(event.secrets?.map((one) => one.version)).toEqual([current]);
      expect(value).toBe(valueOf.get(current));
      expect(current).toBeGreaterThanOrEqual(atLeast);
    }
    expect(exchanges).toBeGreaterThan(100);
  });

  it("never grants after the minter's grant was taken away, nor after the policy or the workload closed", async () => {
    const user = await pad.vault.user("mina", "guest");
    await pad.owner.do("namespace.create", { body: { name: "vaulted" } });
    await pad.write("SHARED", "s", "prod", "vaulted");
    const secret = { environment: "prod", namespace: "vaulted", secret: "SHARED" };
    const policy = (namespaces: string[]) => pad.owner.do("secret.policy", { params: secret, body: { namespaces } });
    await policy(["ops"]);
    await pad.deploy("guarded", { S: { secret: "vaulted/SHARED" } });
    const workload = { namespace: "ops", workload: "guarded" };
    const state = (one: "active" | "disabled") =>
      pad.owner.do("workload.update", { params: workload, body: { state: one } });
    const grant = () =>
      pad.owner.do("grant.create", { body: { principal: "mina", role: "contributor", environment: "prod" } });

    for (const [closing, close, open] of [
      ["grant.delete", null, null],
      ["secret.policy", () => policy([]), () => policy(["ops"])],
      ["workload.update", () => state("disabled"), () => state("active")],
    ] as const) {
      const { id } = await grant();
      const minted = await pad.tryMint(user, "guarded", { count: 40, ttlSeconds: 900 });
      expect(minted.status).toBe(201);
      const start = await newest();
      // Some before it closes, some after, and most while it does.
      const waiting = [...minted.body.items];
      const outcomes: string[] = [];
      let shut: Promise<unknown> | null = null;
      const exchanger = async () => {
        for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
          if (waiting.length < 8) await shut;
          outcomes.push(await pad.outcome(pad.bearer(item.token)));
          if (outcomes.length >= 4)
            shut ??= close === null ? pad.owner.do("grant.delete", { params: { id } }) : close();
        }
      };
      await Promise.all(Array.from({ length: 4 }, exchanger));
      expect(new Set(outcomes), closing).toEqual(new Set(["200", "launch_refused"]));
      const events = await eventsAfter(start);
      const closed = events.find((event) => event.action === closing)?.seq ?? 0;
      expect(closed).toBeGreaterThan(start);
      const granted = events.filter((event) => event.action === "token.exchange" && event.result === "success");
      expect(granted.length).toBe(outcomes.filter((one) => one === "200").length);
      for (const event of granted) expect(event.seq, closing).toBeLessThan(closed);
      await open?.();
      if (close !== null) await pad.owner.do("grant.delete", { params: { id } });
    }
  });

  it("revokes a launch whose token is being exchanged at this moment: afterwards there is nothing alive", async () => {
    for (let round = 0; round < 20; round += 1) {
      const minted = await pad.tryMint(pad.owner, "job");
      const [item] = minted.body.items;
      const bearer = pad.bearer(item?.token ?? "");
      const [answer, revoked] = await Promise.all([
        pad.exchange(bearer),
        pad.owner.try("injection.revoke", { params: { id: item?.injectionId as never } }),
      ]);
      expect(revoked.status).toBe(200);
      if (answer.status === 200)
        expect((await pad.bearer(answer.body.lease.token).do("lease.get")).state).toBe("revoked");
      expect(await pad.outcome(bearer)).toBe("token_invalid");
    }
  });
});
