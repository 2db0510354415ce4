import { isVaultError } from "#base";
import type { Id } from "#base";
import { below, noneOf } from "#storage";
import type { Reader } from "#storage";
import { RowLedger } from "./row-ledger.ts";
import { SlotWalk } from "./slot-walk.ts";
import type { Step } from "./slot-walk.ts";
import type { Slots } from "./slots.ts";
import type { KeptNote } from "./verdict.ts";

/** The last that a date can tell; later ones, and what is no time at all, are nobody's bound. */
const LAST_TIME = 8_640_000_000_000_000;

/** How far a walk goes: to what is of this time, and in this slot to this event of it. */
interface Bound {
  readonly time: number;
  readonly slot: number;
  readonly seq: number;
}

const NO_BOUND: Bound = { time: Infinity, slot: 0, seq: 0 };

/** What a walk goes over. */
export interface WalkParts {
  readonly chain: Id<"org">;
  readonly reader: Reader;
  /** The slots that were leased until now; they are asked for again with each stretch. */
  readonly leased: () => Promise<readonly number[]>;
  readonly fault: (where: string, what: string) => void;
}

/**
 * All slots of a chain at once, in the order (time, slot, seq), in which no event comes before one that its writer knew of.
 */
export class Walk {
  readonly slots: Slots;
  readonly ledger: RowLedger;
  readonly #parts: WalkParts;
  readonly #walks = new Map<number, SlotWalk>();
  #until: Bound = NO_BOUND;
  #taken = 0;

  /** The slots are those that notes were signed of, too: a lease that is gone takes no events with it. */
  constructor(parts: WalkParts, slots: Slots, notes: readonly KeptNote[]) {
    this.#parts = parts;
    this.slots = slots;
    this.ledger = new RowLedger(slots);
    this.slots.add(notes.map((note) => note.slot));
    for (const slot of this.slots.numbers)
      this.#open(
        slot,
        notes.filter((note) => note.slot === slot),
      );
  }

  /** How many events were taken, of all slots. */
  get taken(): number {
    return this.#taken;
  }

  get size(): number {
    return [...this.#walks.values()].reduce((sum, walk) => sum + walk.size, 0);
  }

  /**
   * To the newest event that there is when it begins.
   *
   * Not beyond it: slots are read one after the other, and what is committed meanwhile would be seen in one of them and what it
   * builds on be missed in another. Whoever begins once the newest event can be seen writes a later time than that, or stands
   * after it in its own slot; so up to it no event builds on one that is committed only now.
   */
  async onwards(): Promise<void> {
    const { reader, leased } = this.#parts;
    this.#until = await newestOf(reader);
    // In this order: whoever wrote one of these events had leased its slot before.
    this.slots.add(await leased());
    for (const slot of this.slots.numbers) this.#open(slot, []);
    const going = new Set(this.#walks.values());
    for (;;) {
      let first: { readonly walk: SlotWalk; readonly step: Step } | null = null;
      for (const walk of going) {
        const step = await walk.next(reader);
        if (step === null || isPast(this.#until, step)) going.delete(walk);
        else if (first === null || isBefore(step, walk, first)) first = { walk, step };
      }
      if (first === null) return;
      const { walk, step } = first;
      walk.take(step);
      this.#taken += 1;
      if (step.part !== null)
        this.ledger.take(step.part, { slot: walk.slot, seq: step.event.seq, ordinal: this.#taken });
    }
  }

  /** What checkpoints cover must be there, and nothing beside what was walked over. */
  async end(): Promise<void> {
    for (const walk of this.#walks.values()) walk.end();
    const { reader, fault } = this.#parts;
    const slots = this.slots.numbers;
    // What is newer may be of a slot that was leased meanwhile.
    const time = this.#until.time === Infinity ? undefined : below(new Date(Math.max(0, this.#until.time + 1)));
    let beside = await reader.count("auditEvents", { slot: noneOf(slots), time });
    for (const slot of slots) beside += await reader.count("auditEvents", { slot, seq: below(1) });
    if (beside > 0) fault("the log", `${String(beside)} events stand outside the chain`);
  }

  #open(slot: number, notes: readonly KeptNote[]): void {
    if (this.#walks.has(slot)) return;
    const { chain, fault } = this.#parts;
    this.#walks.set(slot, new SlotWalk({ chain, slot, slots: this.slots }, notes, fault));
  }
}

function isBefore(step: Step, { slot }: SlotWalk, first: { readonly walk: SlotWalk; readonly step: Step }): boolean {
  return step.at < first.step.at || (step.at === first.step.at && slot < first.walk.slot);
}

function isPast(until: Bound, { event }: Step): boolean {
  const time = event.time.getTime();
  return time > until.time || (time === until.time && event.slot === until.slot && event.seq > until.seq);
}

/** The newest event of any slot; no bound where it cannot be read, which its own slot will say. */
async function newestOf(reader: Reader): Promise<Bound> {
  try {
    const [newest] = await reader.list("auditEvents", { order: ["time", "slot", "seq"], descending: true, limit: 1 });
    if (newest === undefined) return { ...NO_BOUND, time: -Infinity };
    const { time, slot, seq } = newest;
    return time.getTime() < LAST_TIME ? { time: time.getTime(), slot, seq } : NO_BOUND;
  } catch (error) {
    if (!isVaultError(error, "integrity_failed")) throw error;
    return NO_BOUND;
  }
}
