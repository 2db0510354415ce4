import { setImmediate as nextTurn } from "node:timers/promises";
import { INSTANCE, MINUTE, VaultError, isVaultError } from "#base";
import type { Clock, Id } from "#base";
import { equal } from "#crypto";
import type { Signer } from "#crypto";
import { above } from "#storage";
import type { Facts, Row } from "#storage";
import { CheckpointFile, reasonOf } from "./checkpoint-file.ts";
import { MerkleFrontier, leafHash } from "./merkle.ts";
import { formatCheckpoint, formatVerifierKey, signNote } from "./note.ts";
import type { Verifier } from "./note.ts";
import { readNote } from "./verify.ts";
import type { Fault, Kept, KeptNote } from "./verdict.ts";

const EVERY_MS = MINUTE;
const EVERY_EVENTS = 1_000;
const PAGE = 1_000;

/** Checkpoints cannot be signed, or not be kept. */
export interface CheckpointFault {
  readonly since: Date;
  /** In words that anybody may read. */
  readonly reason: string;
}

/** Announced by the scribe: this chain has grown. */
export type Grown = (chain: Id<"org">) => void;

/**
 * Signs, every minute or every 1,000 events, how long each chain is and what the root of its tree is, and appends it to a
 * file outside the database before it is kept in the database. A database that is older than the file was rolled back.
 */
export class Checkpoints {
  readonly verifier: Verifier;
  readonly #file: CheckpointFile;
  readonly #facts: Facts;
  readonly #signer: Signer;
  readonly #clock: Clock;
  readonly #grown = new Map<Id<"org">, number>();
  readonly #sizes = new Map<Id<"org">, number>();
  #signedAt: Date | null = null;
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #fault: CheckpointFault | null = null;
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
  }

  /** When every chain that had grown was last signed without a fault; `null` before the first time. */
  get signedAt(): Date | null {
    return this.#signedAt;
  }

  /** How many events the newest checkpoints cover, of all chains. */
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

  /** The newest checkpoint of a chain, or `null` before its first. */
  async newest(chain: Id<"org">): Promise<Row<"auditCheckpoints"> | null> {
    const query = { where: { slot: 0 }, order: ["size"] as const, descending: true, limit: 1 };
    const [newest] = await this.#facts.of(chain).list("auditCheckpoints", query);
    return newest ?? null;
  }

  readonly grown: Grown = (chain) => {
    const events = (this.#grown.get(chain) ?? 0) + 1;
    this.#grown.set(chain, events);
    if (events === EVERY_EVENTS) setImmediate(() => void this.run());
  };

  /**
   * Holds the database against the file, then signs what has grown since.
   *
   * @throws {VaultError} `database_rolled_back` when the file has signed more than the database holds, or something else.
   */
  async start(): Promise<void> {
    for (const [chain, note] of await this.#newestNotes()) await this.#holdAgainst(chain, note);
    const orgs = await this.#facts.of(INSTANCE).list("orgs");
    for (const chain of [INSTANCE, ...orgs.map((org) => org.id)]) this.#grown.set(chain, 1);
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

  /** What the file holds of one chain. A line that is not as it was written is a fault and not just left out. */
  async kept(chain: Id<"org">): Promise<Kept> {
    const notes: KeptNote[] = [];
    const faults: Fault[] = [];
    for await (const { number, line } of this.#file.lines()) {
      const where = `line ${String(number)} of the checkpoint file`;
      // The note says of which chain it is, too. A line that can be no chain's is everybody's concern.
      if (!line?.note.startsWith(`${this.#origin(line.chain)}\n`))
        faults.push({ where, what: "is no checkpoint of ours" });
      else if (line.chain === chain) {
        const note = this.#ours(chain, line.note);
        if (note === null) faults.push({ where, what: "its signature is not ours" });
        else notes.push(note);
      }
    }
    return { chain, origin: this.#origin(chain), notes, faults };
  }

  /** Named by the signing key and the chain, so that a note of another vault's chain is never taken for one of ours. */
  #origin(chain: Id<"org">): string {
    return `${this.#signer.name}/${chain}/0`;
  }

  async #signGrown(): Promise<void> {
    const faults: unknown[] = [];
    for (const chain of [...this.#grown.keys()]) {
      this.#grown.delete(chain);
      try {
        await this.#sign(chain);
      } catch (error) {
        this.#grown.set(chain, 1);
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

  async #sign(chain: Id<"org">): Promise<void> {
    const frontier = this.#frontierOf(chain, await this.newest(chain));
    const before = frontier.size;
    await this.#grow(chain, frontier, Number.MAX_SAFE_INTEGER);
    if (frontier.size === before) {
      this.#sizes.set(chain, before);
      return;
    }
    const time = this.#clock.now();
    const root = frontier.root();
    const text = formatCheckpoint({
      origin: this.#origin(chain),
      size: frontier.size,
      root,
      extensions: [`time ${time.toISOString()}`],
    });
    const note = signNote(text, this.#signer);
    await this.#file.append({ chain, note });
    await this.#facts.append(chain, "auditCheckpoints", {
      slot: 0,
      size: frontier.size,
      root,
      frontier: frontier.toBytes(),
      time,
      note,
    });
    this.#sizes.set(chain, frontier.size);
  }

  async #grow(chain: Id<"org">, frontier: MerkleFrontier, size: number): Promise<void> {
    const reader = this.#facts.of(chain);
    while (frontier.size < size) {
      const limit = Math.min(PAGE, size - frontier.size);
      const events = await reader.list("auditEvents", {
        where: { slot: 0, seq: above(frontier.size) },
        order: ["slot", "seq"],
        limit,
      });
      for (const event of events) frontier.append(leafHash(event.hash));
      if (events.length < limit) return;
      await nextTurn();
    }
  }

  /** The newest note of each chain in the file. Only the last line of each is verified, unless it fails. */
  async #newestNotes(): Promise<ReadonlyMap<Id<"org">, KeptNote>> {
    const last = new Map<Id<"org">, string>();
    let lines = 0;
    for await (const { line } of this.#file.lines()) {
      lines += 1;
      if (line !== null) last.set(line.chain, line.note);
    }
    const newest = new Map<Id<"org">, KeptNote>();
    for (const [chain, text] of last) {
      const note = this.#ours(chain, text) ?? (await this.kept(chain)).notes.at(-1);
      if (note !== undefined) newest.set(chain, note);
    }
    if (lines > 0 && newest.size === 0) {
      throw new VaultError(
        "database_rolled_back",
        `Nothing in the checkpoint file ${this.#file.path} was signed by this vault's checkpoint key, so it cannot tell how old the database is.`,
      );
    }
    return newest;
  }

  /** The note, if we signed it and it is of this chain. */
  #ours(chain: Id<"org">, text: string): KeptNote | null {
    const note = readNote(text, this.verifier);
    return note?.origin === this.#origin(chain) ? note : null;
  }

  /** The edge of the tree at a stored checkpoint, if it is the one that was signed; else that of the empty tree. */
  #frontierOf(chain: Id<"org">, row: Row<"auditCheckpoints"> | null): MerkleFrontier {
    const signed = row === null ? null : this.#ours(chain, row.note);
    if (row === null || signed === null) return new MerkleFrontier();
    try {
      const frontier = MerkleFrontier.fromBytes(row.frontier);
      if (frontier.size === signed.size && equal(frontier.root(), signed.root)) return frontier;
    } catch (error) {
      if (!isVaultError(error, "integrity_failed")) throw error;
    }
    return new MerkleFrontier();
  }

  async #holdAgainst(chain: Id<"org">, note: KeptNote): Promise<void> {
    const known = this.#frontierOf(chain, await this.newest(chain));
    const frontier = known.size > note.size ? new MerkleFrontier() : known;
    await this.#grow(chain, frontier, note.size);
    if (frontier.size === note.size && equal(frontier.root(), note.root)) return;
    throw new VaultError(
      "database_rolled_back",
      `The checkpoint file ${this.#file.path} has signed ${String(note.size)} events of ${chain}; the database ${frontier.size < note.size ? `holds ${String(frontier.size)}` : "holds others"}. It was rolled back or changed.`,
    );
  }
}
