import { isVaultError } from "#base";
import { isLost } from "./reason.ts";

/** While the server is away, how long after one attempt the next is made. */
const AGAIN_MS = 250;

/**
 * Whether the server can be reached, as whoever tried last has found it. What one has learnt the others need not: while it is
 * away, one at a time looks for it, and all others hear at once that it is.
 */
export class Reach {
  /** Why it could not be reached. */
  #away: { readonly why: unknown } | null = null;
  #isTrying = false;
  #nextAt = 0;
  #silentAt = -Infinity;

  /** @throws What `connect` throws; or, without trying, what the last attempt threw. */
  async attempt<T>(connect: () => Promise<T>): Promise<T> {
    const isProbe = this.#away !== null;
    if (this.#away !== null) {
      if (this.#isTrying || performance.now() < this.#nextAt) throw this.#away.why;
      this.#isTrying = true;
    }
    try {
      const connected = await connect();
      this.#away = null;
      return connected;
    } catch (error) {
      // That all connections are busy, here or there, is no reason to leave those that work alone.
      if (!isVaultError(error) && isLost(error)) this.#away = { why: error };
      this.#nextAt = performance.now() + AGAIN_MS;
      throw error;
    } finally {
      if (isProbe) this.#isTrying = false;
    }
  }

  /** A connection did not answer in time. Those that were made before most likely do not either. */
  silent(): void {
    this.#silentAt = performance.now();
  }

  /** Whether a connection of this time (`performance.now()`) may be used. */
  isTrusted(madeAt: number): boolean {
    return madeAt > this.#silentAt;
  }
}
