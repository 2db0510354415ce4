import { open } from "node:fs/promises";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { INSTANCE, MINUTE, VaultError } from "#base";
import type { Clock, Id } from "#base";
import { equal } from "#crypto";
import type { Signer } from "#crypto";
import { above } from "#storage";
import type { Facts } from "#storage";
import { MerkleFrontier, leafHash } from "./merkle.ts";
import { formatCheckpoint, formatVerifierKey, signNote } from "./note.ts";
import type { Verifier } from "./note.ts";
import { readNote } from "./verify.ts";
import type { KeptNote } from "./verify.ts";

const EVERY_MS = MINUTE;
const EVERY_EVENTS = 1_000;
const PAGE = 1_000;

/** Announced by the scribe: this chain has grown. */
export type Grown = (chain: Id<"org">) => void;

/**
 * Signs, every minute or every 1,000 events, how long each chain is and what the root of its tree is, and appends it to a
 * file outside the database before it is kept in the database. A database that is older than the file was rolled back.
 *
 * The file has one JSON object a line: `{"chain":"org_…","note":"…"}`, the note in C2SP's signed-note form.
 */
export class Checkpoints {
  readonly path: string;
  readonly verifier: Verifier;
  readonly #facts: Facts;
  readonly #signer: Signer;
  readonly #clock: Clock;
  readonly #grown = new Map<Id<"org">, number>();
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> = Promise.resolve();
  #last: { readonly at: Date; readonly events: number } | null = null;
  readonly #onFault: (error: unknown) => void;

  constructor(options: {
    path: string;
    facts: Facts;
    signer: Signer;
    clock: Clock;
    onFault: (error: unknown) => void;
  }) {
    this.path = options.path;
    this.#facts = options.facts;
    this.#signer = options.signer;
    this.#clock = options.clock;
    this.#onFault = options.onFault;
    this.verifier = { name: options.signer.name, publicKey: options.signer.publicKey };
  }

  /** C2SP's verifier key: what somebody else needs to check our notes. */
  get verifierKey(): string {
    return formatVerifierKey(this.#signer.name, this.#signer.publicKey);
  }

  /** The newest checkpoint of this process, or `null` before the first. */
  get last(): { readonly at: Date; readonly events: number } | null {
    return this.#last;
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

  /** The notes that the file holds for one chain, those of ours. */
  async kept(chain: Id<"org">): Promise<readonly KeptNote[]> {
    const notes: KeptNote[] = [];
    for await (const line of this.#lines()) {
      if (line.chain === chain && line.note !== null) notes.push(line.note);
    }
    return notes;
  }

  /** Named by instance and chain, so that a note of another vault's chain is never taken for one of ours. */
  #origin(chain: Id<"org">): string {
    return `${this.#signer.name}/${chain}/0`;
  }

  async #signGrown(): Promise<void> {
    const chains = [...this.#grown.keys()];
    for (const chain of chains) {
      this.#grown.delete(chain);
      try {
        await this.#sign(chain);
      } catch (error) {
        this.#grown.set(chain, 1);
        throw error;
      }
    }
  }

  async #sign(chain: Id<"org">): Promise<void> {
    const reader = this.#facts.of(chain);
    const [newest] = await reader.list("auditCheckpoints", {
      where: { slot: 0 },
      order: ["size"],
      descending: true,
      limit: 1,
    });
    const frontier = newest === undefined ? new MerkleFrontier() : MerkleFrontier.fromBytes(newest.frontier);
    const before = frontier.size;
    await this.#grow(chain, frontier, Number.MAX_SAFE_INTEGER);
    if (frontier.size === before) return;
    const time = this.#clock.now();
    const root = frontier.root();
    const text = formatCheckpoint({
      origin: this.#origin(chain),
      size: frontier.size,
      root,
      extensions: [`time ${time.toISOString()}`],
    });
    const note = signNote(text, this.#signer);
    await this.#append(`${JSON.stringify({ chain, note })}\n`);
    await this.#facts.append(chain, "auditCheckpoints", {
      slot: 0,
      size: frontier.size,
      root,
      frontier: frontier.toBytes(),
      time,
      note,
    });
    this.#last = { at: time, events: frontier.size };
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
    }
  }

  async #append(line: string): Promise<void> {
    const file = await open(this.path, "a", 0o600);
    try {
      await file.appendFile(line);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #newestNotes(): Promise<ReadonlyMap<Id<"org">, KeptNote>> {
    const newest = new Map<Id<"org">, KeptNote>();
    for await (const { chain, note } of this.#lines()) if (note !== null) newest.set(chain, note);
    return newest;
  }

  async #holdAgainst(chain: Id<"org">, note: KeptNote): Promise<void> {
    const [start] = await this.#facts
      .of(chain)
      .list("auditCheckpoints", { where: { slot: 0 }, order: ["size"], descending: true, limit: 1 });
    const frontier =
      start === undefined || start.size > note.size ? new MerkleFrontier() : MerkleFrontier.fromBytes(start.frontier);
    await this.#grow(chain, frontier, note.size);
    if (frontier.size === note.size && equal(frontier.root(), note.root)) return;
    throw new VaultError(
      "database_rolled_back",
      `The checkpoint file ${this.path} has signed ${String(note.size)} events of ${chain}; the database ${frontier.size < note.size ? `holds ${String(frontier.size)}` : "holds others"}. It was rolled back or changed.`,
    );
  }

  /** Every line that can be read. A line cut short by a crash is no checkpoint: it was never acknowledged. */
  async *#lines(): AsyncGenerator<{ readonly chain: Id<"org">; readonly note: KeptNote | null }> {
    const stream = createReadStream(this.path, "utf8");
    try {
      for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) {
        const parsed = parseLine(line);
        if (parsed === null) continue;
        const note = readNote(parsed.note, this.verifier);
        yield { chain: parsed.chain, note: note?.origin === this.#origin(parsed.chain) ? note : null };
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT")
        throw new VaultError("store_unavailable", `The checkpoint file ${this.path} cannot be read.`, { cause: error });
    } finally {
      stream.destroy();
    }
  }
}

function parseLine(line: string): { readonly chain: Id<"org">; readonly note: string } | null {
  try {
    return JSON.parse(line) as { chain: Id<"org">; note: string };
  } catch {
    return null;
  }
}
