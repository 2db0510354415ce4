import type { Id } from "#base";
import type { ChainHead, Engine, Entry, Facts, Scribe } from "#storage";
import type { StorePlace } from "../storage/composition.ts";

/**
 * A place whose events go to the slot that the test says, as if several nodes took turns on one database. All else is the
 * real engine's: only where a slot's chain ends is kept here.
 */
export class Turns implements StorePlace {
  slot = 0;
  readonly leased = new Set<number>([0]);
  readonly #place: StorePlace;

  constructor(place: StorePlace) {
    this.#place = place;
  }

  async open({ scribe, clock }: Parameters<StorePlace["open"]>[0]): Promise<Engine> {
    const ends = new Map<string, ChainHead>();
    const inSlot: Scribe = {
      write: (entry, _, now) => {
        const of = `${(entry as Entry).permit.event.chain}/${String(this.slot)}`;
        const end = ends.get(of) ?? { slot: this.slot, seq: 0, hash: Buffer.alloc(32) };
        const row = scribe.write(entry, end, now);
        ends.set(of, { slot: this.slot, seq: row.seq, hash: row.hash });
        return row;
      },
    };
    const engine = await this.#place.open({ scribe: inSlot, clock });
    const slotNow = (): number => this.slot;
    return {
      kind: engine.kind,
      get slot() {
        return slotNow();
      },
      nodes: () => Promise.resolve([]),
      slots: () => Promise.resolve([...this.leased].sort((one, other) => one - other)),
      rows: (...args) => engine.rows(...args),
      commit: (job) => engine.commit(job),
      now: () => engine.now(),
      health: () => engine.health(),
      bytes: () => engine.bytes(),
      close: () => engine.close(),
    };
  }

  /** From now on this slot is written, by a node that takes its turn. */
  take(slot: number): void {
    this.leased.add(slot);
    this.slot = slot;
  }

  remove(): Promise<void> {
    return this.#place.remove();
  }
}

/** The same facts for a node that writes this slot, whoever's turn it is. */
export function asNode(facts: Facts, slot: number): Facts {
  return {
    slot,
    slots: () => facts.slots(),
    of: (org: Id<"org">) => facts.of(org),
    touch: (...args) => facts.touch(...args),
    count: (...args) => facts.count(...args),
    append: (...args) => facts.append(...args),
    prune: (...args) => facts.prune(...args),
  };
}
