import { join } from "node:path";
import { INSTANCE } from "#base";
import type { Id } from "#base";
import { Keyring, createIdSource, fileRootKey } from "#crypto";
import { openSqlite, openStore } from "#storage";
import type { Engine, Facts, TamperAlarm } from "#storage";
import { keySource, rowIntegrity } from "#access";
import type { Client, TestVault } from "../harness.ts";
import { openPostgresPlace } from "./postgres-place.ts";
import { databaseOf } from "../engine.ts";

/** The rows of a stopped vault, read through the real store with the vault's own key file. */
export async function readStopped(
  folder: string,
): Promise<{ facts: Facts; engine: Engine; rung: Parameters<TamperAlarm>[]; org(slug: string): Promise<Id<"org">> }> {
  const clock = { now: () => new Date() };
  const scribe = {
    write(): never {
      throw new Error("nothing is committed");
    },
  };
  const database = await databaseOf(folder);
  const engine =
    database === null
      ? await openSqlite({ folder: join(folder, "data"), scribe, clock })
      : await openPostgresPlace(database)({ scribe, clock });
  const rung: Parameters<TamperAlarm>[] = [];
  const { facts } = openStore(
    engine,
    rowIntegrity(() => keyring),
    (...row) => void rung.push(row),
  );
  const root = await fileRootKey(join(folder, "keys", "root.key")).load();
  const keyring: Keyring = new Keyring(root, keySource(facts), createIdSource(clock));
  return {
    facts,
    engine,
    rung,
    async org(slug) {
      const row = await facts.of(INSTANCE).get("orgs", { slug });
      if (row === null) throw new Error(`there is no org ${slug}`);
      return row.id;
    },
  };
}

export interface Life {
  readonly runner: Client;
  readonly guest: Client;
  /** Minted and not used; minted, revoked; minted, exchanged. Bound to nobody. */
  readonly tokens: { readonly unused: string; readonly revoked: string; readonly used: string };
}

export const SCOPE = { environment: "dev", namespace: "default" } as const;

/** Gives a vault at least two rows of every table that is under a MAC, in two orgs. */
export async function live(vault: TestVault): Promise<Life> {
  const { owner } = vault;
  const guest = await vault.user("gus", "guest");
  const runner = await vault.service("robot", "runner");
  await owner.do("namespace.create", { body: { name: "payments" } });
  for (const [environment, secret, value] of [
    ["dev", "ALPHA", "value-of-alpha"],
    ["dev", "BETA", "value-of-beta"],
    ["prod", "ALPHA", "value-of-prod-alpha"],
    ["prod", "BETA", "value-of-prod-beta"],
  ] as const)
    await owner.do("secret.write", { params: { ...SCOPE, environment, secret }, body: { value } });
  for (const role of ["viewer", "builder"])
    await owner.do("grant.create", { body: { principal: "gus", role, environment: "dev" } });
  const workload = { namespace: "default", workload: "job" };
  await owner.do("workload.create", { params: { namespace: "default" }, body: { name: "job" } });
  for (const level of ["info", "debug"])
    await owner.do("manifest.save", {
      params: workload,
      body: { variables: { A: { secret: "ALPHA" }, B: { secret: "BETA" }, LEVEL: { value: level } } },
    });
  await owner.do("deployment.set", { params: { ...workload, environment: "dev" }, body: {} });
  await owner.do("deployment.set", { params: { ...workload, environment: "prod" }, body: { version: 1 } });
  const minted = await owner.do("token.mint", {
    params: workload,
    body: { environment: "dev", ttlSeconds: 60, count: 4 },
  });
  const [unused, revoked, used, another] = minted.items;
  if (unused === undefined || revoked === undefined || used === undefined || another === undefined)
    throw new Error("four were asked for");
  for (const one of [used, another]) await vault.anonymous.as(one.token).do("token.exchange", { query: {} });
  await owner.do("injection.revoke", { params: { id: revoked.injectionId } });
  await vault.org("second");
  return { runner, guest, tokens: { unused: unused.token, revoked: revoked.token, used: used.token } };
}
