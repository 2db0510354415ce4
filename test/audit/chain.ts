import { join } from "node:path";
import type { Database } from "better-sqlite3";
import { createSigner, generateSigningKey } from "#crypto";
import type { Id } from "#base";
import { idToBytes } from "#base";
import { Change } from "#storage";
import type { Facts } from "#storage";
import { Checkpoints, verifyChain } from "#audit";
import type { Verdict } from "#audit";
import { hashEvent, hashPrivate } from "../../src/audit/event.ts";
import { World } from "../storage/composition.ts";
import { sqlitePlace } from "../storage/sqlite-place.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";
import { Turns, asNode } from "./turns.ts";

const Driver = loadDriver();

export interface RawEvent {
  id: Buffer;
  slot: number;
  seq: number;
  public: string;
  private: string | null;
  salt: Buffer | null;
  private_hash: Buffer;
  previous_hash: Buffer;
  hash: Buffer;
  [column: string]: unknown;
}

/** A real chain in a real file, with checkpoints, and somebody who edits the file. */
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
  readonly #db: Database;
  readonly #remove: () => Promise<void>;

  private constructor(world: World, turns: Turns, folder: string, remove: () => Promise<void>) {
    this.world = world;
    this.turns = turns;
    this.folder = folder;
    this.file = join(folder, "checkpoints.log");
    this.checkpoints = this.open();
    this.#db = new Driver(join(folder, "vault.db"));
    this.#db.pragma("foreign_keys = OFF");
    this.#remove = remove;
  }

  static async make(): Promise<Chain> {
    const place = await sqlitePlace();
    const turns = new Turns(place);
    const { world } = await World.found(turns);
    return new Chain(world, turns, place.folder, () => place.remove());
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

  run(sql: string, ...values: unknown[]): void {
    this.#db.prepare(sql).run(...values);
  }

  /** Writes into one event of the org's chain. */
  set(seq: number, columns: Readonly<Record<string, unknown>>): void {
    const names = Object.keys(columns);
    this.run(
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

  event(seq: number): RawEvent {
    return this.#db
      .prepare("SELECT * FROM audit_events WHERE org_id = ? AND slot = ? AND seq = ?")
      .get(this.org, this.slot, seq) as RawEvent;
  }

  /** Everything from `seq` on hashed anew: what somebody can do who knows the format and no key. */
  rehash(seq: number): void {
    const rows = this.#db
      .prepare("SELECT * FROM audit_events WHERE org_id = ? AND slot = ? AND seq >= ? ORDER BY seq")
      .all(this.org, this.slot, seq) as RawEvent[];
    const before = this.#db.prepare(
      "SELECT hash FROM audit_events WHERE org_id = ? AND slot = ? AND seq < ? ORDER BY seq DESC LIMIT 1",
    );
    let previous = (before.pluck().get(this.org, this.slot, seq) as Buffer | undefined) ?? Buffer.alloc(32);
    for (const row of rows) {
      const privateHash =
        row.salt === null || row.private === null ? row.private_hash : hashPrivate(row.salt, row.private);
      const hash = hashEvent(previous, privateHash, row.public);
      this.set(row.seq, { previous_hash: previous, private_hash: privateHash, hash });
      previous = hash;
    }
  }

  /** What is edited meanwhile is put back afterwards. */
  async during(work: () => Promise<void>): Promise<void> {
    const tables = ["audit_events", "audit_checkpoints", "namespaces"];
    const saved = tables.map((table) => [table, this.#db.prepare(`SELECT * FROM ${table}`).all()] as const);
    try {
      await work();
    } finally {
      this.#db.transaction(() => {
        for (const [table, rows] of saved) {
          this.#db.prepare(`DELETE FROM ${table}`).run();
          for (const row of rows as Record<string, unknown>[]) this.insert(table, row);
        }
      })();
    }
  }

  columns(table: string): string[] {
    return this.#db.prepare("SELECT name FROM pragma_table_info(?)").pluck().all(table) as string[];
  }

  rowOf(table: string, id: Buffer): Record<string, unknown> {
    return this.#db.prepare(`SELECT * FROM ${table} WHERE id = ?`).get(id) as Record<string, unknown>;
  }

  insert(table: string, row: Readonly<Record<string, unknown>>): void {
    const names = Object.keys(row);
    this.run(
      `INSERT INTO ${table} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`,
      ...Object.values(row),
    );
  }

  async close(): Promise<void> {
    this.#db.close();
    await this.world.close();
    await this.#remove();
  }
}
