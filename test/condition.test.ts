import { mkdir, mkdtemp, readFile, rename, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DAY, HOUR, MINUTE, SECOND } from "#base";
import type { Clock } from "#base";
import { PASSWORD, send, startVault } from "./harness.ts";
import type { TestVault } from "./harness.ts";

/** A machine whose clock somebody sets, and on which time may pass faster than here. */
class Machine implements Clock {
  #setMs = 0;
  #passedMs = 0;

  now(): Date {
    return new Date(Date.now() + this.#setMs + this.#passedMs);
  }

  readonly elapsedMs = (): number => performance.now() + this.#passedMs;

  set(byMs: number): void {
    this.#setMs += byMs;
  }

  passes(ms: number): void {
    this.#passedMs += ms;
  }
}

let folder: string;
let vault: TestVault;
let machine: Machine;
let extra: Record<string, string>;
const start = async (): Promise<void> => {
  vault = await startVault({ folder, overrides: { clock: machine }, settings: extra });
};
const again = async (): Promise<void> => {
  await vault.vault.close();
  await start();
};
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-condition-"));
  machine = new Machine();
  extra = {};
  await start();
  const scope = { environment: "dev", namespace: "default" };
  await vault.owner.do("secret.write", { params: { ...scope, secret: "VALUE" }, body: { value: "v" } });
});
afterEach(async () => {
  await vault.vault.close();
  await rm(folder, { recursive: true, force: true });
});

const mint = async (ttlSeconds = 60): Promise<{ token: string; expiresAt: string }> => {
  const params = { namespace: "default", workload: "default" };
  const { items, expiresAt } = await vault.owner.do("token.mint", { params, body: { environment: "dev", ttlSeconds } });
  return { token: items[0]?.token ?? "", expiresAt };
};
const exchange = (token: string) => vault.anonymous.as(token).try("token.exchange", { query: {} });
const ready = async (): Promise<{ status: number; checks: Readonly<Record<string, string>> }> => {
  const { status, body } = await send(vault.url, { method: "GET", path: "/readyz" });
  return { status, checks: (body as { checks: Record<string, string> }).checks };
};
const warnings = async (): Promise<readonly string[]> => (await vault.owner.do("status.get")).warnings;
const dateOf = async (): Promise<number> =>
  Date.parse(String((await send(vault.url, { method: "GET", path: "/healthz" })).headers.date));
const logged = (what: string): readonly string[] =>
  vault.log.filter((line) => (line.fields as { what?: string }).what === what).map((line) => line.level);

describe("a clock that is set back a day", () => {
  it("lets nothing live longer than twice its time, and is said in the log once and in the status", async () => {
    const before = await mint();
    const session = await vault.owner.do("session.create", {
      body: { org: "main", login: "owner", password: PASSWORD },
    });
    machine.set(-DAY);

    // Everything goes on, on the vault's own time.
    expect((await ready()).status).toBe(200);
    expect((await exchange(before.token)).status).toBe(200);
    const minted = await mint();
    const late = await mint();
    const lease = (await exchange(minted.token)).body as unknown as { lease: { token: string; expiresAt: string } };
    expect(Date.parse(minted.expiresAt)).toBeGreaterThanOrEqual(Date.parse(before.expiresAt));
    // What ends is measured by the same clock as what the answer is dated with.
    const left = Date.parse(minted.expiresAt) - (await dateOf());
    expect(left).toBeGreaterThan(20 * SECOND);
    expect(left).toBeLessThanOrEqual(61 * SECOND);

    const told = (await warnings()).filter((one) => one.includes("clock"));
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^The machine's clock is 24 hours behind the last event\. /);
    await expect.poll(() => logged("clock"), { timeout: 15_000 }).toEqual(["warn"]);

    machine.passes(2 * MINUTE + SECOND);
    expect((await exchange(late.token)).body.code).toBe("token_invalid");
    // A session ends by idling for 30 minutes, a lease after an hour: here after twice that at the latest.
    machine.passes(HOUR);
    expect(await vault.anonymous.as(session.token).code("whoami.get")).toBe("unauthenticated");
    machine.passes(HOUR + SECOND);
    expect((await vault.anonymous.as(lease.lease.token).try("lease.get")).body).not.toMatchObject({ state: "active" });
    expect(logged("clock")).toEqual(["warn"]);
  });

  it("does not shut a person out whose sign-ins failed before it", async () => {
    const code = async (password: string): Promise<string> => {
      const { body } = await vault.anonymous.try("session.create", {
        body: { org: "main", login: "owner", password },
      });
      return "code" in body ? body.code : "in";
    };
    for (let at = 0; at < 5; at += 1) expect(await code("wrong password here")).toBe("sign_in_failed");
    expect(await code(PASSWORD)).toBe("rate_limited");
    machine.set(-DAY);
    machine.passes(4 * SECOND);
    expect(await code(PASSWORD)).toBe("in");
  });

  it("survives a restart with every event in order, and is over when the clock is right again", async () => {
    machine.set(-DAY);
    await mint();
    await again();
    expect((await warnings()).some((one) => one.includes("24 hours behind"))).toBe(true);
    expect(logged("clock")).toEqual(["warn"]);
    const { token } = await mint();
    expect((await exchange(token)).status).toBe(200);
    const key = { headers: { "idempotency-key": "a-key-of-before-the-clock" } };
    await vault.owner.do("namespace.create", { ...key, body: { name: "once" } });
    expect(await vault.owner.code("namespace.create", { ...key, body: { name: "twice" } })).toBe("idempotency_reused");
    expect(await vault.owner.do("audit.verify")).toMatchObject({ intact: true, faults: [] });

    machine.set(DAY);
    await expect.poll(() => logged("clock"), { timeout: 15_000 }).toEqual(["warn", "info"]);
    expect((await warnings()).filter((one) => one.includes("clock"))).toEqual([]);
    const { items } = await vault.owner.do("audit.list", { query: { limit: "200" } });
    const times = items.map((event) => Date.parse(event.time)).reverse();
    expect(times.length).toBeGreaterThan(5);
    for (const [at, time] of times.entries()) expect(time).toBeGreaterThanOrEqual(times[at - 1] ?? 0);
  });
});

describe("a clock that was set forward a day and back", () => {
  it("leaves nothing valid for longer: what was minted meanwhile ends after twice its time, what was minted before is over", async () => {
    const before = await mint(900);
    machine.set(DAY);
    // The owner's session idled for a day, as far as the vault can tell.
    expect(await vault.owner.code("whoami.get")).toBe("unauthenticated");
    const owner = vault.anonymous.as(
      (await vault.anonymous.do("session.create", { body: { org: "main", login: "owner", password: PASSWORD } })).token,
    );
    const params = { namespace: "default", workload: "default" };
    const minted = await owner.do("token.mint", { params, body: { environment: "dev", ttlSeconds: 60, count: 2 } });
    machine.set(-DAY);
    expect((await exchange(before.token)).body.code).toBe("token_invalid");
    expect((await exchange(minted.items[0]?.token ?? "")).status).toBe(200);
    machine.passes(2 * MINUTE + SECOND);
    expect((await exchange(minted.items[1]?.token ?? "")).body.code).toBe("token_invalid");
    machine.passes(2 * DAY);
    expect((await ready()).status).toBe(200);
    expect(Math.abs((await dateOf()) - machine.now().getTime())).toBeLessThan(10 * SECOND);
  });
});

describe("a checkpoint file that is not there at a start", () => {
  const told = async (): Promise<readonly string[]> =>
    (await warnings()).filter((one) => one.startsWith("The checkpoint file was not there at the start"));

  it.each([
    ["gone", (file: string) => rm(file)],
    ["empty", (file: string) => truncate(file)],
  ])("is warned of when it is %s and the database has checkpoints, until the next start", async (_, spoil) => {
    const file = join(folder, "checkpoints.log");
    extra = { checkpoints: file };
    // Neither the first start of a vault nor the file of an ordinary one is warned of.
    expect([await told(), logged("checkpointFile")]).toEqual([[], []]);
    await again();
    await again();
    expect([await told(), logged("checkpointFile")]).toEqual([[], []]);

    await vault.vault.close();
    await spoil(file);
    await start();
    expect(await told()).toHaveLength(1);
    expect(logged("checkpointFile")).toEqual(["warn"]);
    // It says so, and does its work.
    const { token } = await mint();
    expect((await exchange(token)).status).toBe(200);
    expect((await ready()).status).toBe(200);

    await again();
    expect([await told(), logged("checkpointFile")]).toEqual([[], []]);
  });
});

describe("a checkpoint file that cannot be written", () => {
  it("stops nothing, is said by /readyz and in the status, and is made good when it can", async () => {
    const place = join(folder, "elsewhere");
    await mkdir(place);
    const file = join(place, "checkpoints.log");
    extra = { checkpoints: file };
    await again();
    await mint();
    await again();
    expect((await ready()).checks).toMatchObject({ checkpoints: "ok" });
    const lines = async (): Promise<number> => (await readFile(file, "utf8")).trimEnd().split("\n").length;
    const kept = await lines();

    await rename(place, `${place}-away`);
    await mint();
    // The next checkpoint is signed at the end of a minute at most: stopping signs one, and so does a start.
    await again();
    const { status, checks } = await ready();
    expect(status).toBe(200);
    expect(checks).toEqual({
      seal: "unsealed",
      store: "ok",
      audit: "ok",
      checkpoints: "late: the folder of the checkpoint file is gone",
    });
    expect((await warnings()).filter((one) => one.startsWith("No checkpoint was written since "))).toHaveLength(1);
    expect(logged("checkpoints")).toEqual(["warn"]);
    const { token } = await mint();
    expect((await exchange(token)).status).toBe(200);

    await rename(`${place}-away`, place);
    expect(await lines()).toBe(kept);
    await again();
    expect((await ready()).checks).toMatchObject({ checkpoints: "ok" });
    expect(await lines()).toBeGreaterThan(kept);
    // The newest checkpoint covers what no other does.
    const verdict = await vault.owner.do("audit.verify");
    expect(verdict).toMatchObject({ intact: true, faults: [] });
    const state = await vault.owner.do("status.get");
    expect(state.audit.checkpointedEvents).toBeGreaterThan(0);
    expect(state.warnings.filter((one) => one.includes("heckpoint"))).toEqual([]);
  });
});
