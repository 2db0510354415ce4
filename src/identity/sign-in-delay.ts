import { MINUTE, SECOND, VaultError } from "#base";
import type { Clock } from "#base";

const FREE_TRIES = 5;
const LONGEST_MS = MINUTE;
const FORGET_AFTER_MS = 15 * MINUTE;
const MOST_KEPT = 10_000;

/**
 * A growing delay for each name and source together: guessing slows down, and a stranger cannot lock the owner out, whose
 * source is another. Names that do not exist are delayed alike.
 */
export class SignInDelay {
  readonly #clock: Clock;
  readonly #failures = new Map<string, { count: number; last: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws `rate_limited` while the last failure is too near. */
  check(key: string): void {
    const failed = this.#failures.get(key);
    if (failed === undefined || failed.count < FREE_TRIES) return;
    const wait =
      Math.min(SECOND * 2 ** (failed.count - FREE_TRIES), LONGEST_MS) - (this.#clock.now().getTime() - failed.last);
    if (wait > 0)
      throw new VaultError("rate_limited", "Too many failed sign-ins for this name from here.", {
        detail: { retryAfterSeconds: Math.ceil(wait / SECOND) },
      });
  }

  failed(key: string): void {
    const now = this.#clock.now().getTime();
    const before = this.#failures.get(key);
    const count = before !== undefined && now - before.last < FORGET_AFTER_MS ? before.count + 1 : 1;
    this.#failures.delete(key);
    this.#failures.set(key, { count, last: now });
    // The oldest goes first; whoever floods with names forgets only the own.
    for (const oldest of this.#failures.keys()) {
      if (this.#failures.size <= MOST_KEPT) break;
      this.#failures.delete(oldest);
    }
  }

  succeeded(key: string): void {
    this.#failures.delete(key);
  }
}
