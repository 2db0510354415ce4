/**
 * What sharing a transaction gives: commits a second of one org, with up to 128 in a transaction and with one, for events alone and
 * for what an exchange commits, against the same on SQLite. Everything is flushed. The floor is one row of a plain table,
 * committed alone, one after the other, on the same server.
 */
import { parseArgs } from "node:util";
import { HOUR } from "#base";
import type { Id } from "#base";
import { randomBytes } from "#crypto";
import { Change, openPostgres, readAddress } from "#storage";
import type { NewRow, Row } from "#storage";
import { newLease } from "../../src/injection/lease.ts";
import { createRoles, createVaultDatabase } from "../../test/postgres/roles.ts";
import { PostgresServer } from "../../test/postgres/server.ts";
import { DONE, World } from "../../test/storage/composition.ts";
import type { StorePlace } from "../../test/storage/composition.ts";
import { sqlitePlace } from "../../test/storage/sqlite-place.ts";

const { values: given } = parseArgs({ options: { seconds: { type: "string", default: "3" } } });
const SECONDS = Number(given.seconds);
const server = await PostgresServer.start({ durable: true });
const AT_ONCE = [1, 16, 64] as const;
const WARM_UP = 64;
const IN_STOCK = 200;

async function measure(store: string, place: StorePlace, floor: number): Promise<void> {
  const { world } = await World.found(place);
  const exchanges = await Exchanges.prepare(world);
  for (const [what, one] of [
    ["events", () => world.commit(null)],
    ["exchanges", () => exchanges.one()],
  ] as const) {
    for (const atOnce of AT_ONCE) {
      if (what === "exchanges") await exchanges.stock();
      const { n, seconds } = await load(one, atOnce, what === "exchanges" ? () => exchanges.stock() : null);
      const rate = n / seconds;
      const cells = [store, what, atOnce, n, Math.round(rate), (rate / floor).toFixed(2)];
      console.log(`| ${cells.join(" | ")} |`);
    }
  }
  await world.close();
  await place.remove();
}

/** As many as there is time for; what `refill` takes is not counted. */
async function load(
  one: () => Promise<unknown>,
  atOnce: number,
  refill: (() => Promise<void>) | null,
): Promise<{ n: number; seconds: number }> {
  await Promise.all(Array.from({ length: Math.min(atOnce, WARM_UP) }, one));
  let n = 0;
  let ms = 0;
  while (ms < SECONDS * 1_000) {
    await refill?.();
    const began = performance.now();
    let left = IN_STOCK;
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (; left > 0; n += 1) {
          left -= 1;
          await one();
        }
      }),
    );
    ms += performance.now() - began;
  }
  return { n, seconds: ms / 1_000 };
}

interface Where {
  readonly workloadId: Id<"wkl">;
  readonly namespaceId: Id<"nsp">;
  readonly environmentId: Id<"env">;
}

/** What the store is asked for when a token is exchanged: the rows are those of the product. */
class Exchanges {
  readonly #world: World;
  readonly #place: Where;
  readonly #epoch: number;
  readonly #stock: Row<"injections">[] = [];

  private constructor(world: World, place: Where, epoch: number) {
    this.#world = world;
    this.#place = place;
    this.#epoch = epoch;
  }

  static async prepare(world: World): Promise<Exchanges> {
    const namespace = world.namespace("bench");
    const now = world.clock.now();
    const environment: NewRow<"environments"> = {
      id: world.ids.next("env"),
      name: "bench",
      mode: "open",
      localRun: false,
      state: "active",
      description: "",
      createdAt: now,
      deletedAt: null,
    };
    const workload: NewRow<"workloads"> = {
      id: world.ids.next("wkl"),
      namespaceId: namespace.id,
      name: "bench",
      state: "active",
      access: "inherit",
      allowedVariables: [],
      description: "",
      createdAt: now,
      createdBy: world.ids.next("prn"),
    };
    await world.commit(
      new Change()
        .insert("namespaces", namespace)
        .insert("environments", environment)
        .insert("workloads", workload)
        .raiseEpoch(),
    );
    const epoch = await world.facts.of(world.org).get("epochs", { name: "access" });
    const place = { workloadId: workload.id, namespaceId: namespace.id, environmentId: environment.id };
    return new Exchanges(world, place, epoch?.epoch ?? 0);
  }

  /** So many tokens that those who exchange at the same time find one. */
  async stock(): Promise<void> {
    const { ids, clock } = this.#world;
    const now = clock.now();
    const change = new Change();
    for (let at = 0; at < IN_STOCK + WARM_UP; at += 1)
      change.insert("injections", {
        id: ids.next("inj"),
        ...this.#place,
        manifestVersion: 1,
        deploymentId: null,
        digest: randomBytes(32),
        state: "minted",
        bound: false,
        cidrs: [],
        note: "",
        mintedBy: ids.next("prn"),
        mintedAt: now,
        expiresAt: new Date(now.getTime() + HOUR),
      });
    await this.#world.commit(change);
    const where = { state: "minted" } as const;
    this.#stock.splice(0, Infinity, ...(await this.#world.facts.of(this.#world.org).list("injections", { where })));
  }

  async one(): Promise<void> {
    const { ids, clock, org, store } = this.#world;
    const injection = this.#stock.pop();
    if (injection === undefined) throw new Error("no token is left");
    const now = clock.now();
    const lease = newLease(ids, org, injection.id, now).row;
    const change = new Change()
      .expectEpoch(this.#epoch)
      .replace("injections", injection, { state: "exchanged" })
      .insert("exchanges", {
        injectionId: injection.id,
        at: now,
        address: null,
        runnerId: null,
        leaseId: lease.id,
        repeatDigest: null,
        delivered: [],
      })
      .insert("leases", lease);
    await store.commit(this.#world.permit(), change, DONE);
  }
}

/** In a database of its own. */
async function postgresPlace(batch: number): Promise<StorePlace> {
  const database = await createVaultDatabase(server.facts());
  return {
    open: (parts) =>
      openPostgres({
        address: readAddress(database.url),
        owner: readAddress(database.ownerUrl),
        node: "bench",
        batch,
        ...parts,
      }),
    remove: () => database.remove(),
  };
}

async function plainCommits(): Promise<number> {
  const client = await server.superuser();
  await client.query("CREATE TABLE floor (n bigint PRIMARY KEY)");
  let n = 0;
  const began = performance.now();
  while (performance.now() - began < SECONDS * 1_000) await client.query("INSERT INTO floor VALUES ($1)", [n++]);
  const seconds = (performance.now() - began) / 1_000;
  await client.end();
  return n / seconds;
}

try {
  await createRoles(server);
  const floor = await plainCommits();
  console.log(`floor: ${String(Math.round(floor))} plain commits a second, one after the other (PostgreSQL, fsync on)`);
  console.log("| store | what | at a time | n | commits a second | of the floor |");
  console.log("|---|---|---|---|---|---|");
  await measure("PostgreSQL, ≤ 128 a transaction", await postgresPlace(128), floor);
  await measure("PostgreSQL, 1 a transaction", await postgresPlace(1), floor);
  await measure("SQLite", await sqlitePlace(), floor);
} finally {
  await server.remove();
}
