import { VaultError, sourceOf } from "#base";

const MOST_AT_ONCE = 16;

/**
 * How many passwords one source may have checked at a time: a check costs tens of milliseconds and 64 MiB, and the queue of
 * checks is everybody's.
 */
export class Crowd {
  readonly #inside = new Map<string, number>();

  /** Takes a place; the answer gives it back. Throws `rate_limited`. The machine's own socket has no source and no limit. */
  enter(address: string | null): () => void {
    if (address === null) return () => undefined;
    const source = sourceOf(address);
    const inside = this.#inside.get(source) ?? 0;
    if (inside >= MOST_AT_ONCE) {
      throw new VaultError("rate_limited", "Too many sign-ins at once from here.", {
        detail: { retryAfterSeconds: 1 },
      });
    }
    this.#inside.set(source, inside + 1);
    return () => {
      const left = (this.#inside.get(source) ?? 1) - 1;
      if (left === 0) this.#inside.delete(source);
      else this.#inside.set(source, left);
    };
  }
}
