import { setImmediate as nextTurn } from "node:timers/promises";
import { INSTANCE, MINUTE, VaultError, isVaultError } from "#base";
import type { Clock, Id } from "#base";
import { equal } from "#crypto";
import type { Signer } from "#crypto";
import { MissedExpectation, above, below } from "#storage";
import type { Facts, Row } from "#storage";
import { CheckpointFile, reasonOf } from "./checkpoint-file.ts";
import { MerkleFrontier, leafHash } from "./merkle.ts";
import { formatCheckpoint, formatVerifierKey, signNote } from "./note.ts";
import type { Verifier } from "./note.ts";
import { KeptNotes, originOf, readNote } from "./kept-notes.ts";
import type { Kept, KeptNote } from "./verdict.ts";

const EVERY_MS = MINUTE;
const EVERY_EVENTS = 1_000;
const PAGE = 1_000;

/** Checkpoints cannot be signed, or not be kept. */
export interface CheckpointFault {
  readonly since: Date;
  /** In words that anybody may read. */
  readonly reason: string;
}

/** Announced by the scribe: this chain has grown in this slot. */
export type Grown = (chain: Id<"org">, slot: number) => void;

/** What the newest checkpoints of a chain cover. */
export interface Covered {
  /** When the newest of them was signed. */
  readonly time: Date;
  /** Events of all slots. */
  readonly size: number;
}

interface Growth {
  readonly chain: Id<"org">;
  readonly slot: number;
  readonly events: number;
}

/**
 * Signs, every minute or every 1,000 events, how long each chain is and what the root of its tree is, and appends it to a
 * file outside the database before it is kept in the database. A database that is older than the file was rolled back.
 *
 * Of several nodes on one database each signs the slot that it writes, into a file of its own; the table is everybody's. What
 * a node that is gone left unsigned, the one that takes its slot over signs.
 */
export class Checkpoints {
  readonly verifier: Verifier;
  readonly #file: CheckpointFile;
  readonly #kept: KeptNotes;
  readonly #facts: Facts;
  readonly #signer: Signer;
  readonly #clock: Clock;
  readonly #grown = new Map<string, Growth>();
  /** How many events the newest checkpoint covers: by chain, of this node's slot. */
  readonly #sizes = new Map<Id<"org">, number>();
  /** The slot whose chains are all signed or in `#grown`; `null` before the start. */
  #slot: number | null = null;
  #signedAt: Date | null = null;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #fault: CheckpointFault | null = null;
  #isBegunAnew = false;
  readonly #onFault: (error: unknown) => void;

  constructor(options: {
    path: string;
    facts: Facts;
    signer: Signer;
    clock: Clock;
    onFault: (error: unknown) => void;
  }) {
    this.#file = new CheckpointFile(options.path);
    this.#facts = options.facts;
    this.#signer = options.signer;
    this.#clock = options.clock;
    this.#onFault = options.onFault;
    this.verifier = { name: options.signer.name, publicKey: options.signer.publicKey };
    this.#kept = new KeptNotes(this.#file, this.verifier);
  }

  /** When every chain that had grown was last signed without a fault; `null` before the first time. */
  get signedAt(): Date | null {
    return this.#signedAt;
  }

  /** How many events the newest checkpoints of this node's slot cover, of all chains. */
  get signedEvents(): number {
    return [...this.#sizes.values()].reduce((sum, size) => sum + size, 0);
  }

  /** C2SP's verifier key: what somebody else needs to check our notes. */
  get verifierKey(): string {
    return formatVerifierKey(this.#signer.name, this.#signer.publicKey);
  }

  /** Why the newest checkpoints are late; `null` when they are not. */
  get fault(): CheckpointFault | null {
    return this.#fault;
  }

  /** At the start the file held nothing, and the database has checkpoints: that it is an old one would not have been seen. */
  get isBegunAnew(): boolean {
    return this.#isBegunAnew;
  }

  /** What the newest checkpoints of a chain's slots cover, or `null` before its first. */
  async newest(chain: Id<"org">): Promise<Covered | null> {
    const slots = await this.#facts.slots();
    const rows = await Promise.all(slots.map((slot) => this.#newest(chain, slot)));
    const newest = rows.filter((row) => row !== null);
    if (newest.length === 0) return null;
    return {
      time: new Date(Math.max(...newest.map((row) => row.time.getTime()))),
      size: newest.reduce((sum, row) => sum + row.size, 0),
    };
  }

  readonly grown: Grown = (chain, slot) => {
    const events = (this.#grown.get(keyOf(chain, slot))?.events ?? 0) + 1;
    this.#grown.set(keyOf(chain, slot), { chain, slot, events });
    if (events === EVERY_EVENTS) setImmediate(() => void this.run());
  };

  /**
   * Holds the database against the file, whatever the slots of its notes, then signs what has grown since in this node's slot.
   *
   * @throws {VaultError} `database_rolled_back` when the file has signed more than the database holds, or something else.
   * `key_file_invalid` when the database's checkpoints were signed by another key.
   */
  async start(): Promise<void> {
    const newest = await this.#kept.newest();
    for (const { chain, note } of newest) await this.#holdAgainst(chain, note);
    await this.#checkKey();
    this.#isBegunAnew = newest.length === 0 && (await this.#hasCheckpoints(this.#facts.slot));
    await this.#takeOver(this.#facts.slot);
    await this.run();
    this.#timer = setInterval(() => void this.run(), EVERY_MS);
    this.#timer.unref();
  }

  /** Signs every chain that has grown. Runs one after the other; a fault is reported and tried again the next time. */
  run(): Promise<void> {
    this.#running = this.#running.then(() => this.#signGrown()).catch(this.#onFault);
    return this.#running;
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.run();
  }

  /** What this node's file holds of one chain. */
  kept(chain: Id<"org">): Promise<Kept> {
    return this.#kept.of(chain);
  }

  async #newest(chain: Id<"org">, slot: number, upTo?: number): Promise<Row<"auditCheckpoints"> | null> {
    const [newest] = await this.#facts.of(chain).list("auditCheckpoints", {
      where: { slot, size: upTo === undefined ? undefined : below(upTo + 1) },
      order: ["slot", "size"],
      descending: true,
      limit: 1,
    });
    return newest ?? null;
  }

  /** A node that is new among several has a new slot, and no file yet: nothing is amiss. */
  async #hasCheckpoints(slot: number): Promise<boolean> {
    for (const chain of await this.#chains()) if ((await this.#newest(chain, slot)) !== null) return true;
    return false;
  }

  async #chains(): Promise<readonly Id<"org">[]> {
    const orgs = await this.#facts.of(INSTANCE).list("orgs");
    return [INSTANCE, ...orgs.map((org) => org.id)];
  }

  /** A node with another key would sign what no other node could tell from a forgery. */
  async #checkKey(): Promise<void> {
    const slots = await this.#facts.slots();
    const rows = await Promise.all(slots.map((slot) => this.#newest(INSTANCE, slot)));
    const newest = rows.filter((row) => row !== null);
    const origin = originOf(this.verifier, INSTANCE);
    if (newest.length === 0 || newest.some(({ note }) => typeof readNote(note, this.verifier, origin) !== "string"))
      return;
    throw new VaultError(
      "key_file_invalid",
      "The checkpoint key is not the one that signed this database's checkpoints",
    );
  }

  /** Whoever had the slot before may have gone before everything in it was signed: each chain is looked at once. */
  async #takeOver(slot: number): Promise<void> {
    for (const chain of await this.#chains()) this.#grown.set(keyOf(chain, slot), { chain, slot, events: 1 });
    this.#sizes.clear();
    this.#slot = slot;
  }

  async #signGrown(): Promise<void> {
    const faults: unknown[] = [];
    const { slot } = this.#facts;
    if (this.#slot !== null && this.#slot !== slot) await this.#takeOver(slot);
    for (const [key, growth] of [...this.#grown]) {
      this.#grown.delete(key);
      // What went into a slot that this node has lost is signed by the node that has taken it over.
      if (growth.slot !== slot) continue;
      try {
        await this.#sign(growth.chain, slot);
      } catch (error) {
        this.#grown.set(key, { ...growth, events: 1 });
        faults.push(error);
      }
    }
    if (faults.length === 0) {
      this.#fault = null;
      this.#signedAt = this.#clock.now();
      return;
    }
    this.#fault = { since: this.#fault?.since ?? this.#clock.now(), reason: reasonOf(faults[0]) };
    throw faults[0];
  }

  async #sign(chain: Id<"org">, slot: number): Promise<void> {
    const frontier = this.#frontierOf(chain, await this.#newest(chain, slot));
    const before = frontier.size;
    await this.#grow(chain, slot, frontier, Number.MAX_SAFE_INTEGER);
    if (frontier.size === before) {
      this.#sizes.set(chain, before);
      return;
    }
    const time = this.#clock.now();
    const root = frontier.root();
    const text = formatCheckpoint({
      origin: `${originOf(this.verifier, chain)}/${String(slot)}`,
      size: frontier.size,
      root,
      extensions: [`time ${time.toISOString()}`],
    });
    const note = signNote(text, this.#signer);
    await this.#file.append({ chain, note });
    await this.#keep(chain, { slot, size: frontier.size, root, frontier: frontier.toBytes(), time, note });
    this.#sizes.set(chain, frontier.size);
  }

  /** Two nodes may sign one slot while it goes from one to the other: the second says what is there already. */
  async #keep(chain: Id<"org">, row: Row<"auditCheckpoints">): Promise<void> {
    try {
      await this.#facts.append(chain, "auditCheckpoints", row);
    } catch (error) {
      if (!(error instanceof MissedExpectation)) throw error;
      const there = await this.#facts.of(chain).get("auditCheckpoints", { slot: row.slot, size: row.size });
      if (there === null || !equal(there.root, row.root)) throw error;
    }
  }

  async #grow(chain: Id<"org">, slot: number, frontier: MerkleFrontier, size: number): Promise<void> {
    const reader = this.#facts.of(chain);
    while (frontier.size < size) {
      const limit = Math.min(PAGE, size - frontier.size);
      const events = await reader.list("auditEvents", {
        where: { slot, seq: above(frontier.size) },
        order: ["slot", "seq"],
        limit,
      });
      for (const event of events) frontier.append(leafHash(event.hash));
      if (events.length < limit) return;
      await nextTurn();
    }
  }

  /** The edge of the tree at a stored checkpoint, if it is the one that was signed; else that of the empty tree. */
  #frontierOf(chain: Id<"org">, row: Row<"auditCheckpoints"> | null): MerkleFrontier {
    const signed = row === null ? null : readNote(row.note, this.verifier, originOf(this.verifier, chain));
    if (row === null || signed === null || typeof signed === "string" || signed.slot !== row.slot)
      return new MerkleFrontier();
    try {
      const frontier = MerkleFrontier.fromBytes(row.frontier);
      if (frontier.size === signed.size && equal(frontier.root(), signed.root)) return frontier;
    } catch (error) {
      if (!isVaultError(error, "integrity_failed")) throw error;
    }
    return new MerkleFrontier();
  }

  async #holdAgainst(chain: Id<"org">, note: KeptNote): Promise<void> {
    const { slot, size } = note;
    const frontier = this.#frontierOf(chain, await this.#newest(chain, slot, size));
    await this.#grow(chain, slot, frontier, size);
    if (frontier.size === size && equal(frontier.root(), note.root)) return;
    const of = (await this.#facts.slots()).length > 1 || slot !== 0 ? ` in slot ${String(slot)}` : "";
    throw new VaultError(
      "database_rolled_back",
      `The checkpoint file ${this.#file.path} has signed ${String(size)} events of ${chain}${of}; the database ${frontier.size < size ? `holds ${String(frontier.size)}` : "holds others"}. It was rolled back or changed.`,
    );
  }
}

function keyOf(chain: Id<"org">, slot: number): string {
  return `${chain}/${String(slot)}`;
}
