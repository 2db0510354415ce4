import { VaultError, sourceOf } from "#base";
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";

/** How much of something one source may do in a while. */
export interface Rate {
  readonly count: number;
  readonly seconds: number;
}

export interface LimitSettings {
  /** Requests of one source, whatever they are. */
  readonly requests: Rate;
  /** Passwords and set-up credentials of one source that were refused; then it waits to show another, also a good one. */
  readonly failures: Rate;
  /** Operations at work at the same time, over all sources. */
  readonly maxInFlight: number;
}

export const DEFAULT_LIMITS: LimitSettings = {
  requests: { count: 2_000, seconds: 1 },
  failures: { count: 20, seconds: 10 },
  maxInFlight: 1_000,
};

/**
 * Limits that come before anything is parsed, in memory and for each process alone. A source is an address, or the /64 of
 * an IPv6 one; the machine's own socket has none and is exempt from all of them.
 */
export class Limits {
  readonly #requests: RateLimiterMemory;
  readonly #failures: RateLimiterMemory;
  readonly #failureCount: number;
  readonly #maxInFlight: number;
  #inFlight = 0;

  constructor(settings: LimitSettings) {
    this.#requests = limiter(settings.requests);
    this.#failures = limiter(settings.failures);
    this.#failureCount = settings.failures.count;
    this.#maxInFlight = settings.maxInFlight;
  }

  /** Counts a request. @throws {VaultError} `rate_limited`. */
  async arrive(address: string | null): Promise<void> {
    if (address === null) return;
    try {
      await this.#requests.consume(sourceOf(address));
    } catch (refusal) {
      throw refusal instanceof RateLimiterRes ? limited(refusal) : refusal;
    }
  }

  /** @throws {VaultError} `rate_limited` for a source whose credentials failed too often. */
  async mayTry(address: string | null): Promise<void> {
    const failures = address === null ? null : await this.#failures.get(sourceOf(address));
    if (failures !== null && failures.msBeforeNext > 0 && failures.consumedPoints >= this.#failureCount)
      throw limited(failures);
  }

  /**
   * Counts a credential that was refused. Those tried at the same time may exceed the limit by as many as are in flight:
   * counting before would hold up good credentials that arrive together.
   */
  async failed(address: string | null): Promise<void> {
    if (address !== null) await this.#failures.penalty(sourceOf(address));
  }

  /** Takes a place among the operations at work; the answer gives it back. @throws {VaultError} `overloaded`. */
  enter(): () => void {
    if (this.#inFlight >= this.#maxInFlight) throw new VaultError("overloaded");
    this.#inFlight++;
    return () => {
      this.#inFlight--;
    };
  }
}

function limiter({ count, seconds }: Rate): RateLimiterMemory {
  return new RateLimiterMemory({ points: count, duration: seconds });
}

function limited({ msBeforeNext }: RateLimiterRes): VaultError {
  const retryAfterSeconds = Math.max(1, Math.ceil(msBeforeNext / 1000));
  return new VaultError("rate_limited", undefined, { detail: { retryAfterSeconds } });
}
