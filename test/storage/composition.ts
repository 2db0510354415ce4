import { INSTANCE, VaultError } from "#base";
import type { Clock, Id, IdSource, Outcome, Permit } from "#base";
import { Keyring, createIdSource, randomBytes } from "#crypto";
import { Change, openStore } from "#storage";
import type { Committed, Engine, Facts, NewRow, Scribe, Store, TamperAlarm } from "#storage";
import { writeEvent } from "#audit";
import { Guard, Knowledge, foundOrg, keyRow, keySource, rowIntegrity } from "#access";
import { rootKey } from "../../src/crypto/root.ts";

/** Where a store keeps its rows. Opened again, it holds what was committed. */
export interface StorePlace {
  open(parts: { readonly scribe: Scribe; readonly clock: Clock }): Promise<Engine>;
  remove(): Promise<void>;
}

/** A clock that a test moves. */
export class TestClock implements Clock {
  ms = Date.parse("2030-01-01T00:00:00.000Z");
  /** Added at each question. */
  step = 0;

  now(): Date {
    this.ms += this.step;
    return new Date(this.ms);
  }
}

export const DONE: Outcome = { result: "success" };

/** A store with the real guard and keyring over it, and two orgs. */
export class World {
  readonly engine: Engine;
  readonly store: Store;
  readonly facts: Facts;
  readonly guard: Guard;
  readonly ids: IdSource;
  readonly clock: TestClock;
  readonly rung: Parameters<TamperAlarm>[] = [];
  org!: Id<"org">;
  other!: Id<"org">;
  readonly #keyring: Keyring;

  private constructor(engine: Engine, clock: TestClock, root: Buffer, rootId: Id<"key">) {
    this.engine = engine;
    this.clock = clock;
    this.ids = createIdSource(clock);
    const { store, facts } = openStore(
      engine,
      rowIntegrity(() => this.#keyring),
      (...row) => void this.rung.push(row),
    );
    this.store = store;
    this.facts = facts;
    this.guard = new Guard(new Knowledge(facts, store), store, this.ids);
    this.#keyring = new Keyring(rootKey(rootId, Buffer.from(root)), keySource(facts), this.ids);
  }

  /** A new one in an empty place, and a way to open the same place again. */
  static async found(place: StorePlace): Promise<{ world: World; again: () => Promise<World> }> {
    const clock = new TestClock();
    const root = randomBytes(32);
    const rootId = createIdSource(clock).next("key");
    const open = async (): Promise<World> => new World(await place.open({ scribe, clock }), clock, root, rootId);
    const world = await open();
    const keys = world.#keyring.createInstance();
    const change = new Change();
    for (const key of keys) change.insert("keys", keyRow(key, clock.now()));
    await world.store.commit(world.permit(INSTANCE), change, DONE);
    world.#keyring.adopt(keys);
    world.org = await world.newOrg("acme");
    world.other = await world.newOrg("zenith");
    const again = async (): Promise<World> => {
      const next = await open();
      next.org = world.org;
      next.other = world.other;
      return next;
    };
    return { world, again };
  }

  async newOrg(slug: string): Promise<Id<"org">> {
    const id = this.ids.next("org");
    const change = new Change();
    const tools = { keyring: this.#keyring, ids: this.ids, now: this.clock.now() };
    const keys = await foundOrg(change, { id, slug, owner: this.ids.next("prn") }, tools);
    const permit = this.guard.system("test.found", id);
    await this.store.commit(permit, change, { ...DONE, target: { type: "org", id, name: slug } });
    this.#keyring.adopt(keys);
    // The founding is told in the instance's chain; the org's own begins with this.
    await this.commit(null, id);
    return id;
  }

  /** A permit of the real guard, for an org's rows; its event goes to the same org's chain. */
  permit(org: Id<"org"> = this.org, operation = "test.work"): Permit<null> {
    return this.guard.system(operation, org, org);
  }

  commit(change: Change | null, org: Id<"org"> = this.org): Promise<Committed> {
    return this.store.commit(this.permit(org), change, DONE);
  }

  namespace(name: string, more: Partial<NewRow<"namespaces">> = {}): NewRow<"namespaces"> {
    return {
      id: this.ids.next("nsp"),
      name,
      state: "active",
      description: "",
      createdAt: this.clock.now(),
      ...more,
    };
  }

  principal(name: string, more: Partial<NewRow<"principals">> = {}): NewRow<"principals"> {
    return {
      id: this.ids.next("prn"),
      type: "user",
      name,
      orgRole: "member",
      kind: null,
      instanceAdmin: false,
      state: "active",
      securityVersion: 1,
      description: "",
      createdAt: this.clock.now(),
      lastSignInAt: null,
      ...more,
    };
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

const scribe: Scribe = {
  write: (entry, head, now) => writeEvent(entry as Parameters<typeof writeEvent>[0], head, now),
};

/** The code of what a promise is rejected with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof VaultError) return error.code;
    throw error;
  }
  throw new Error("it was expected to be refused");
}
