import { randomBytes, sha256 } from "#crypto";
import type { RateLimiterRes } from "rate-limiter-flexible";
import { RateLimiterMemory } from "rate-limiter-flexible";

/** How much of something one source or one credential may do in a while. */
export interface Rate {
  readonly count: number;
  readonly seconds: number;
}

/** Keys that are counted each for itself. */
const MOST_KEYS = 20_000;
/** Counts that the keys beyond share. */
const SHARED_COUNTS = 4_096;

/**
 * Counts by key, in bounded memory: whoever comes from millions of addresses must not grow it. The keys that come first
 * have a count each. While there are too many, those that come later share some, by a keyed hash, so that nobody can
 * choose with whom. A shared count fills only when thousands of times the rate arrive together.
 */
export class Meter {
  readonly #count: number;
  readonly #windowMs: number;
  readonly #own: RateLimiterMemory;
  readonly #shared: RateLimiterMemory;
  readonly #seed = randomBytes(16);
  /** Keys that began a count in this window and the one before: no fewer than there are, as a count lasts for one window. */
  #window = 0;
  #begun = 0;
  #begunBefore = 0;

  constructor({ count, seconds }: Rate) {
    this.#count = count;
    this.#windowMs = seconds * 1000;
    this.#own = new RateLimiterMemory({ points: count, duration: seconds });
    this.#shared = new RateLimiterMemory({ points: count, duration: seconds });
  }

  /** Counts one; the time in ms until the next is taken, or 0 when this one is. */
  async take(key: string): Promise<number> {
    const counted = await this.#add(key);
    return counted.consumedPoints > this.#count ? waitOf(counted) : 0;
  }

  /** The time in ms until one more is taken, 0 when it is now. Counts nothing, and keeps nothing of an unknown key. */
  async wait(key: string): Promise<number> {
    const counted = (await this.#own.get(key)) ?? (this.#isFull() ? await this.#shared.get(this.#shareOf(key)) : null);
    return counted !== null && counted.consumedPoints >= this.#count ? waitOf(counted) : 0;
  }

  async #add(key: string): Promise<RateLimiterRes> {
    if (this.#isFull() && (await this.#own.get(key)) === null) return this.#shared.penalty(this.#shareOf(key));
    const counted = await this.#own.penalty(key);
    if (counted.isFirstInDuration) this.#begun++;
    return counted;
  }

  #isFull(): boolean {
    const window = Math.floor(Date.now() / this.#windowMs);
    if (window !== this.#window) {
      this.#begunBefore = window === this.#window + 1 ? this.#begun : 0;
      this.#begun = 0;
      this.#window = window;
    }
    return this.#begun + this.#begunBefore >= MOST_KEYS;
  }

  #shareOf(key: string): string {
    return String(sha256(this.#seed, Buffer.from(key)).readUInt32BE() % SHARED_COUNTS);
  }
}

/** A count that has just ended holds nobody up. */
function waitOf({ msBeforeNext }: RateLimiterRes): number {
  return Math.max(0, msBeforeNext);
}
