/** Chance that comes again with its seed (mulberry32): whatever is drawn from it is drawn in the same order. */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** The chance of the `nth` case of a seed, whatever came before it. */
  static of(seed: number, nth: number): Chance {
    return new Chance(Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(nth + 1, 0xc2b2ae35));
  }

  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** Whether it happens, `share` of the time. */
  is(share: number): boolean {
    return this.next() < share;
  }

  /** A whole number from 0 to below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  /** One of them. There must be one. */
  of<T>(all: readonly T[]): T {
    const at = this.below(all.length);
    if (at >= all.length) throw new RangeError("nothing to choose from");
    return all[at] as T;
  }

  shuffled<T>(all: readonly T[]): T[] {
    return all
      .map((one) => [this.next(), one] as const)
      .sort(([a], [b]) => a - b)
      .map(([, one]) => one);
  }
}
