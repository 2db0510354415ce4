import { join } from "node:path";
import { createSigner, generateSigningKey } from "#crypto";
import type { Id } from "#base";
import { idToBytes } from "#base";
import { Change } from "#storage";
import type { Facts } from "#storage";
import { Checkpoints, verifyChain } from "#audit";
import type { Verdict } from "#audit";
import { hashEvent, hashPrivate } from "../../src/audit/event.ts";
import { World } from "../storage/composition.ts";
import { storePlace } from "../engine.ts";
import { rawStore } from "../storage/raw-store.ts";
import type { RawRow, RawStore, RawValue } from "../storage/raw-store.ts";
import { Turns, asNode } from "./turns.ts";

export interface RawEvent extends RawRow {
  id: Buffer;
  slot: number;
  seq: number;
  public: string;
  private: string | null;
  salt: Buffer | null;
  private_hash: Buffer;
  previous_hash: Buffer;
  hash: Buffer;
}

/** A real chain in a real store, with checkpoints, and somebody who edits the store. */
export class Chain {
  readonly world: World;
  /** Whose turn it is, where there are several nodes. */
  readonly turns: Turns;
  /** The slot that is looked at and edited, and that `checkpoints` signs. */
  slot = 0;
  readonly folder: string;
  readonly file: string;
  readonly signer = createSigner("sallyport/test", generateSigningKey());
  checkpoints: Checkpoints;
  readonly faults: unknown[] = [];
  readonly #db: RawStore;
  readonly #remove: () => Promise<void>;

  private constructor(world: World, turns: Turns, folder: string, db: RawStore, remove: () => Promise<void>) {
    this.world = world;
    this.turns = turns;
    this.folder = folder;
    this.file = join(folder, "checkpoints.log");
    this.checkpoints = this.open();
    this.#db = db;
    this.#remove = remove;
  }

  static async make(): Promise<Chain> {
    const place = await storePlace();
    const turns = new Turns(place);
    const { world } = await World.found(turns);
    return new Chain(world, turns, place.folder, await rawStore(place.folder, ""), () => place.remove());
  }

  /** As at the start of a process, over the same file and rows. */
  open(facts: Facts = this.world.facts, path: string = this.file): Checkpoints {
    return new Checkpoints({
      path,
      facts,
      signer: this.signer,
      clock: this.world.clock,
      onFault: (error) => void this.faults.push(error),
    });
  }

  /** Another node's checkpoints: it writes and signs this slot, into a file of its own. */
  node(slot: number, path: string = join(this.folder, `checkpoints-${String(slot)}.log`)): Checkpoints {
    return this.open(asNode(this.world.facts, slot), path);
  }

  /** Events of different kinds, each at its own time; the checkpoints hear of them. */
  async grow(count: number, org: Id<"org"> = this.world.org): Promise<void> {
    for (let at = 0; at < count; at += 1) {
      this.world.clock.ms += 1_000;
      const row = this.world.namespace(`grown-${this.world.ids.next("evt")}`);
      await this.world.store.commit(
        this.world.permit(org, `test.${String(at % 3)}`),
        at % 2 === 0 ? new Change().insert("namespaces", row) : null,
        {
          result: at % 5 === 4 ? "refused" : "success",
          ...(at % 5 === 4 ? { code: "forbidden" as const } : {}),
          target: { type: "namespace", id: row.id, name: row.name },
          reason: `reason ${String(at)}`,
        },
      );
      this.checkpoints.grown(org, this.world.facts.slot);
    }
  }

  async verify(org: Id<"org"> = this.world.org): Promise<Verdict> {
    const { facts } = this.world;
    return verifyChain(facts.of(org), await this.checkpoints.kept(org), this.checkpoints.verifier, facts);
  }

  async run(sql: string, ...values: readonly RawValue[]): Promise<void> {
    await this.#db.run(sql, ...values);
  }

  /** Writes into one event of the org's chain. */
  async set(seq: number, columns: Readonly<RawRow>): Promise<void> {
    const names = Object.keys(columns);
    await this.run(
      `UPDATE audit_events SET ${names.map((name) => `${name} = ?`).join(", ")} WHERE org_id = ? AND slot = ? AND seq = ?`,
      ...Object.values(columns),
      this.org,
      this.slot,
      seq,
    );
  }

  get org(): Buffer {
    return idToBytes(this.world.org);
  }

  async event(seq: number): Promise<RawEvent> {
    const [event] = await this.#db.rows<RawEvent>(
      "SELECT * FROM audit_events WHERE org_id = ? AND slot = ? AND seq = ?",
      this.org,
      this.slot,
      seq,
    );
    if (event === undefined) throw new Error(`there is no event ${String(seq)}`);
    return event;
  }

  /** Everything from `seq` on hashed anew: what somebody can do who knows the format and no key. */
  async rehash(seq: number): Promise<void> {
    const rows = await this.#db.rows<RawEvent>(
      "SELECT * FROM audit_events WHERE org_id = ? AND slot = ? AND seq >= ? ORDER BY seq",
      this.org,
      this.slot,
      seq,
    );
    const [before] = await this.#db.rows<RawEvent>(
      "SELECT * FROM audit_events WHERE org_id = ? AND slot = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
      this.org,
      this.slot,
      seq,
    );
    let previous = before?.hash ?? Buffer.alloc(32);
    for (const row of rows) {
      const privateHash =
        row.salt === null || row.private === null ? row.private_hash : hashPrivate(row.salt, row.private);
      const hash = hashEvent(previous, privateHash, row.public);
      await this.set(row.seq, { previous_hash: previous, private_hash: privateHash, hash });
      previous = hash;
    }
  }

  /** What is edited meanwhile is put back afterwards. */
  async during(work: () => Promise<void>): Promise<void> {
    const putBack = await this.#db.keep(["audit_events", "audit_checkpoints", "namespaces"]);
    try {
      await work();
    } finally {
      await putBack();
    }
  }

  async rows(sql: string, ...values: readonly RawValue[]): Promise<RawRow[]> {
    return this.#db.rows(sql, ...values);
  }

  async insert(table: string, row: Readonly<RawRow>): Promise<void> {
    await this.#db.insert(table, row);
  }

  async close(): Promise<void> {
    await this.#db.close();
    await this.world.close();
    await this.#remove();
  }
}
