import { setImmediate as nextTurn } from "node:timers/promises";
import { isVaultError } from "#base";
import type { Id } from "#base";
import { equal } from "#crypto";
import { above } from "#storage";
import type { Reader, Row } from "#storage";
import { hashEvent, hashPrivate, indexed } from "./event.ts";
import type { PublicPart } from "./event.ts";
import { MerkleFrontier, leafHash } from "./merkle.ts";
import type { Slots } from "./slots.ts";
import type { KeptNote } from "./verdict.ts";

const PAGE = 1_000;

/** An event as it stands in the log. */
export interface Step {
  readonly event: Row<"auditEvents">;
  /** `null` where it cannot be read. */
  readonly part: PublicPart | null;
  /** Epoch milliseconds by which it is put among the events of other slots: what was hashed, if that is a time. */
  readonly at: number;
}

/** From event to event of one slot, with all that the next one has to follow from. Holds one page of them. */
export class SlotWalk {
  readonly slot: number;
  readonly #chain: Id<"org">;
  readonly #slots: Slots;
  readonly #fault: (where: string, what: string) => void;
  readonly #roots = new Map<number, Buffer[]>();
  readonly #frontier = new MerkleFrontier();
  #page: readonly Row<"auditEvents">[] = [];
  #taken = 0;
  #next: Step | null = null;
  #previous: Buffer = Buffer.alloc(32);
  #time = 0;
  #seq = 0;

  constructor(
    { chain, slot, slots }: { readonly chain: Id<"org">; readonly slot: number; readonly slots: Slots },
    notes: readonly KeptNote[],
    fault: (where: string, what: string) => void,
  ) {
    this.slot = slot;
    this.#chain = chain;
    this.#slots = slots;
    this.#fault = fault;
    for (const { size, root } of notes) this.#roots.set(size, [...(this.#roots.get(size) ?? []), root]);
  }

  get size(): number {
    return this.#frontier.size;
  }

  /** The next event, without a step; `null` when there is none yet. */
  async next(reader: Reader): Promise<Step | null> {
    if (this.#next !== null) return this.#next;
    if (this.#taken === this.#page.length) {
      this.#page = await this.#read(reader);
      this.#taken = 0;
      // A log is long, and others are waiting.
      await nextTurn();
    }
    const event = this.#page[this.#taken];
    if (event === undefined) return null;
    const part = parsePublic(event.public);
    const [said, column] = [Date.parse(part?.time ?? ""), event.time.getTime()];
    this.#next = { event, part, at: Number.isNaN(said) ? (Number.isNaN(column) ? this.#time : column) : said };
    return this.#next;
  }

  /** Steps on to the event that {@link next} gave, and says what is wrong with it. */
  take({ event, part }: Step): void {
    const where = this.#slots.event(this.slot, event.seq);
    if (event.seq !== this.#seq + 1)
      this.#fault(where, `the ${String(event.seq - this.#seq - 1)} events before it are missing`);
    for (const what of faultsOf(event, part, this.#chain, this.#previous, this.#time)) this.#fault(where, what);
    this.#next = null;
    this.#taken += 1;
    this.#previous = event.hash;
    this.#time = event.time.getTime();
    this.#seq = event.seq;
    this.#frontier.append(leafHash(event.hash));
    for (const root of this.#roots.get(this.size) ?? []) {
      if (!equal(root, this.#frontier.root()))
        this.#fault(this.#slots.checkpoint(this.slot, this.size), "the events are not those that were signed");
    }
  }

  /** What checkpoints cover must be there. */
  end(): void {
    for (const size of this.#roots.keys()) {
      if (size > this.size)
        this.#fault(this.#slots.checkpoint(this.slot, size), `only ${String(this.size)} events are left`);
    }
  }

  async #read(reader: Reader): Promise<readonly Row<"auditEvents">[]> {
    const after = (limit: number) =>
      reader.list("auditEvents", { where: { slot: this.slot, seq: above(this.#seq) }, order: ["slot", "seq"], limit });
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
        this.#fault(this.#slots.event(this.slot, this.#seq), "it, or one soon after it, cannot be read");
      }
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
