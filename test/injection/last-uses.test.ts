import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MINUTE } from "#base";
import type { Id } from "#base";
import type { Facts } from "#storage";
import { LastUses } from "#injection";
import { startVault } from "../harness.ts";
import { LaunchPad, MovableClock } from "./launch-pad.ts";

const SECRET = "sec_00000000000000000000000001" as Id<"sec">;
const OTHER = "sec_00000000000000000000000002" as Id<"sec">;
const ORG = "org_00000000000000000000000001" as Id<"org">;
const place = (workload: string) => ({ workload: { id: workload }, environment: { id: "env" } }) as never;

describe("the note of a last use", () => {
  const clock = new MovableClock();
  const written: { secret: unknown; at: Date; workload: unknown }[] = [];
  let broken = false;
  const facts = {
    touch: (_org: unknown, _table: unknown, where: { id: unknown }, set: { lastUsedAt: Date; lastUsedBy: unknown }) => {
      if (broken) return Promise.reject(new Error("the disk is full"));
      written.push({ secret: where.id, at: set.lastUsedAt, workload: set.lastUsedBy });
      return Promise.resolve();
    },
  } as unknown as Facts;
  const uses = new LastUses(facts, clock);

  it("is written once a minute for each secret, the latest use of it, and at the end whatever waits", async () => {
    uses.note(ORG, place("first"), [SECRET, OTHER], clock.now());
    uses.note(ORG, place("second"), [SECRET], clock.now());
    await uses.flush();
    expect(written.map((one) => [one.secret, one.workload])).toEqual([
      [SECRET, "second"],
      [OTHER, "first"],
    ]);
    uses.note(ORG, place("third"), [SECRET], clock.now());
    await uses.flush();
    await uses.flush();
    expect(written).toHaveLength(2);
    clock.forward(MINUTE);
    await uses.flush();
    expect(written.slice(2).map((one) => one.workload)).toEqual(["third"]);
    uses.note(ORG, place("fourth"), [SECRET], clock.now());
    await uses.stop();
    expect(written.slice(3).map((one) => one.workload)).toEqual(["fourth"]);
  });

  it("that could not be written is tried again, and nothing is lost", async () => {
    clock.forward(MINUTE);
    written.length = 0;
    broken = true;
    uses.note(ORG, place("kept"), [SECRET, OTHER], clock.now());
    await expect(uses.flush()).rejects.toThrow("the disk is full");
    expect(written).toEqual([]);
    broken = false;
    await uses.flush();
    expect(written.map((one) => one.workload)).toEqual(["kept", "kept"]);
    await uses.flush();
    expect(written).toHaveLength(2);
  });
});

describe("an exchange", () => {
  let pad: LaunchPad;
  beforeAll(async () => {
    pad = await LaunchPad.start();
  });
  afterAll(() => pad.close());

  it("is noted in what is seen of each secret that it delivered, without an event of its own", async () => {
    await pad.write("DB", "value");
    await pad.write("UNUSED", "value");
    await pad.deploy("app", { DB: { secret: "DB" } });
    const at = { environment: "prod", namespace: "ops" };
    expect((await pad.owner.do("secret.get", { params: { ...at, secret: "DB" } })).lastUsed).toBeNull();
    await pad.receive(await pad.mint(pad.contributor, "app"));
    await expect
      .poll(async () => (await pad.owner.do("secret.get", { params: { ...at, secret: "DB" } })).lastUsed, {
        timeout: 30_000,
        interval: 250,
      })
      .toMatchObject({ workload: "ops/app", environment: "prod" });
    expect((await pad.owner.do("secret.get", { params: { ...at, secret: "UNUSED" } })).lastUsed).toBeNull();
    const { items } = await pad.owner.do("secret.search", { query: { usedAfter: "2000-01-01T00:00:00Z" } });
    expect(items.map((one) => one.name)).toEqual(["DB"]);
    expect((await pad.owner.do("secret.search", { query: { usedBefore: "2000-01-01T00:00:00Z" } })).items).toHaveLength(
      1,
    );
    expect((await pad.owner.do("audit.verify")).intact).toBe(true);
    const about = await pad.events({ action: "token.exchange" });
    const after = (await pad.events({ limit: 100 })).filter((event) => event.seq > (about[0]?.seq ?? 0));
    expect(new Set(after.map((event) => event.action))).toEqual(
      new Set(["secret.get", "secret.search", "audit.verify", "audit.list"]),
    );
  });

  it("is told with the workload only to who may view it, and with another environment neither", async () => {
    await pad.owner.do("environment.create", { body: { name: "shared", mode: "open" } });
    await pad.write("COMMON", "value", "shared");
    await pad.deploy("app", { COMMON: { secret: "shared/ops/COMMON" } });
    await pad.deploy("hidden", { COMMON: { secret: "shared/ops/COMMON" } });
    const params = { environment: "shared", namespace: "ops", secret: "COMMON" };
    await pad.receive(await pad.mint(pad.owner, "app"));
    await expect
      .poll(async () => (await pad.owner.do("secret.get", { params })).lastUsed, { timeout: 30_000, interval: 250 })
      .toMatchObject({ workload: "ops/app", environment: "prod" });
    const lister = await pad.vault.user("lister", "guest");
    await pad.owner.do("grant.create", { body: { principal: "lister", role: "builder", environment: "shared" } });
    expect((await lister.do("secret.get", { params })).lastUsed).toMatchObject({ workload: null, environment: null });
    const there = await pad.vault.user("there", "guest");
    for (const environment of ["shared", "prod"])
      await pad.owner.do("grant.create", { body: { principal: "there", role: "builder", environment } });
    expect((await there.do("secret.get", { params })).lastUsed).toMatchObject({ workload: "ops/app" });
    await pad.owner.do("workload.update", {
      params: { namespace: "ops", workload: "app" },
      body: { access: "explicit" },
    });
    expect((await there.do("secret.get", { params })).lastUsed).toMatchObject({ workload: null, environment: null });
    expect((await pad.owner.do("secret.uses", { params })).lastUsed).toMatchObject({ workload: "ops/app" });
    expect((await there.do("secret.uses", { params })).lastUsed).toMatchObject({ workload: null });
  });

  it("is noted before the vault closes", async () => {
    const vault = await startVault();
    const params = { environment: "dev", namespace: "default", secret: "LAST" };
    await vault.owner.do("secret.write", { params, body: { value: "x" } });
    const minted = await vault.owner.do("token.mint", {
      params: { namespace: "default", workload: "default" },
      body: { environment: "dev" },
    });
    await vault.anonymous.as(minted.items[0]?.token ?? "").do("token.exchange", { query: {} });
    await vault.vault.close();
    const again = await startVault({ folder: vault.folder });
    expect((await again.owner.do("secret.get", { params })).lastUsed).toMatchObject({
      workload: "default/default",
      environment: "dev",
    });
    await again.close();
    await rm(vault.folder, { recursive: true, force: true });
  });
});
