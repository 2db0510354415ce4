import { setImmediate as nextTurn } from "node:timers/promises";
import { isVaultError } from "#base";
import type { Id } from "#base";
import { equal } from "#crypto";
import { above } from "#storage";
import type { Reader, Row } from "#storage";
import { hashEvent, hashPrivate, indexed } from "./event.ts";
import type { PublicPart } from "./event.ts";
import { MerkleFrontier, leafHash } from "./merkle.ts";
import { RowLedger } from "./row-ledger.ts";
import type { KeptNote } from "./verdict.ts";

/** A node of one machine has one slot. */
export const SLOT = 0;
const PAGE = 1_000;

/** From event to event, with all that the next one has to follow from. */
export class Walk {
  readonly ledger = new RowLedger();
  readonly #chain: Id<"org">;
  readonly #fault: (where: string, what: string) => void;
  readonly #roots = new Map<number, Buffer[]>();
  readonly #frontier = new MerkleFrontier();
  #previous: Buffer = Buffer.alloc(32);
  #time = 0;
  #seq = 0;

  constructor(chain: Id<"org">, notes: readonly KeptNote[], fault: (where: string, what: string) => void) {
    this.#chain = chain;
    this.#fault = fault;
    for (const { size, root } of notes) this.#roots.set(size, [...(this.#roots.get(size) ?? []), root]);
  }

  get seq(): number {
    return this.#seq;
  }

  get size(): number {
    return this.#frontier.size;
  }

  /** To the newest event there is. */
  async onwards(reader: Reader): Promise<void> {
    for (;;) {
      const events = await this.#page(reader);
      for (const event of events) this.#take(event);
      if (events.length === 0) return;
      // A log is long, and others are waiting.
      await nextTurn();
    }
  }

  /** What checkpoints cover must be there. */
  end(): void {
    for (const size of this.#roots.keys()) {
      if (size > this.size)
        this.#fault(`checkpoint of ${String(size)} events`, `only ${String(this.size)} events are left`);
    }
  }

  async #page(reader: Reader): Promise<readonly Row<"auditEvents">[]> {
    const after = (limit: number) =>
      reader.list("auditEvents", { where: { slot: SLOT, seq: above(this.#seq) }, order: ["slot", "seq"], limit });
    try {
      return await after(PAGE);
    } catch (error) {
      if (!isVaultError(error, "integrity_failed")) throw error;
    }
    // One of them cannot even be read: go one by one, and over it.
    for (;;) {
      try {
        return await after(1);
      } catch (error) {
        if (!isVaultError(error, "integrity_failed")) throw error;
        this.#seq += 1;
        this.#fault(`event ${String(this.#seq)}`, "it, or one soon after it, cannot be read");
      }
    }
  }

  #take(event: Row<"auditEvents">): void {
    const where = `event ${String(event.seq)}`;
    if (event.seq !== this.#seq + 1)
      this.#fault(where, `the ${String(event.seq - this.#seq - 1)} events before it are missing`);
    const part = parsePublic(event.public);
    for (const what of faultsOf(event, part, this.#chain, this.#previous, this.#time)) this.#fault(where, what);
    if (part !== null) this.ledger.take(part);
    this.#previous = event.hash;
    this.#time = event.time.getTime();
    this.#seq = event.seq;
    this.#frontier.append(leafHash(event.hash));
    for (const root of this.#roots.get(this.size) ?? []) {
      if (!equal(root, this.#frontier.root()))
        this.#fault(`checkpoint of ${String(this.size)} events`, "the events are not those that were signed");
    }
  }
}

/** What is wrong with one event, given the hash and time of the one before it. */
export function faultsOf(
  event: Row<"auditEvents">,
  part: PublicPart | null,
  chain: Id<"org">,
  previous: Buffer,
  time: number,
): string[] {
  const found: string[] = [];
  if (!equal(event.previousHash, previous)) found.push("does not follow from the event before it");
  if (!equal(hashEvent(event.previousHash, event.privateHash, event.public), event.hash))
    found.push("its hash is not of its content");
  if (event.private === null || event.salt === null) found.push("its private part is missing");
  else if (!equal(hashPrivate(event.salt, event.private), event.privateHash))
    found.push("its private part is not the one that was hashed");
  if (event.time.getTime() < time) found.push("is older than the event before it");
  if (part === null) return [...found, "its public part cannot be read"];
  const said = { ...indexed(part), id: part.id, slot: part.slot, seq: part.seq };
  const columns = event as unknown as Readonly<Record<string, unknown>>;
  for (const [name, value] of Object.entries(said)) {
    if (columns[name] !== value) found.push(`its column ${name} is not what the event says`);
  }
  if (Date.parse(part.time) !== event.time.getTime()) found.push("its column time is not what the event says");
  if (part.chain !== chain) found.push("is of another chain");
  return found;
}

/** The public part as it was written; `null` when it cannot be read. */
export function parsePublic(text: string): PublicPart | null {
  try {
    const part = JSON.parse(text) as Omit<PublicPart, "v"> & { readonly v: unknown };
    const isDigest = (row: unknown): boolean =>
      Array.isArray(row) && row.length === 4 && typeof row[0] === "string" && typeof row[1] === "string";
    return part.v === 1 && "type" in part.actor && Array.isArray(part.rows) && part.rows.every(isDigest)
      ? { ...part, v: 1 }
      : null;
  } catch {
    return null;
  }
}
