import { VaultError, sourceOf } from "#base";
import type { Redacted } from "#base";
import { sha256 } from "#crypto";
import { DEFAULT_LOAD } from "./load.ts";
import type { LoadSettings } from "./load.ts";
import { Meter } from "./meter.ts";
import type { Rate } from "./meter.ts";

export interface LimitSettings extends LoadSettings {
  /** Requests of one source, whatever they are. */
  readonly requests: Rate;
  /** Requests with one good credential, wherever they come from. */
  readonly credentialRequests: Rate;
  /** Passwords and set-up credentials of one source that were refused; then it waits to show another, also a good one. */
  readonly failures: Rate;
}

export const DEFAULT_LIMITS: LimitSettings = {
  requests: { count: 2_000, seconds: 1 },
  credentialRequests: { count: 1_000, seconds: 1 },
  failures: { count: 20, seconds: 10 },
  ...DEFAULT_LOAD,
};

/**
 * Rates, which come before anything is parsed, in memory and for each process alone. A source is an address, or the /64 of
 * an IPv6 one; the machine's own socket has none and is exempt from all of them.
 */
export class Limits {
  readonly #requests: Meter;
  readonly #credentials: Meter;
  readonly #failures: Meter;

  constructor(settings: Pick<LimitSettings, "requests" | "credentialRequests" | "failures">) {
    this.#requests = new Meter(settings.requests);
    this.#credentials = new Meter(settings.credentialRequests);
    this.#failures = new Meter(settings.failures);
  }

  /** Counts a request. @throws {VaultError} `rate_limited`. */
  async arrive(address: string | null): Promise<void> {
    if (address !== null) refuseFor(await this.#requests.take(sourceOf(address)));
  }

  /**
   * Looks at a credential before the store does, so that a flood with one that was stolen costs next to nothing.
   *
   * @throws {VaultError} `rate_limited` for one that {@link used} has counted too often.
   */
  async mayUse(address: string | null, credential: Redacted<string>): Promise<void> {
    if (address !== null) refuseFor(await this.#credentials.wait(keyOf(credential)));
  }

  /** Counts a credential that proved good. What nobody knows counts for its address alone, and is not remembered. */
  async used(address: string | null, credential: Redacted<string>): Promise<void> {
    if (address !== null) await this.#credentials.take(keyOf(credential));
  }

  /** @throws {VaultError} `rate_limited` for a source whose passwords failed too often. */
  async mayTry(address: string | null): Promise<void> {
    if (address !== null) refuseFor(await this.#failures.wait(sourceOf(address)));
  }

  /**
   * Counts a credential that was refused. Those tried at the same time may exceed the limit by as many as are in flight:
   * counting before would hold up good credentials that arrive together.
   */
  async failed(address: string | null): Promise<void> {
    if (address !== null) await this.#failures.take(sourceOf(address));
  }
}

/** A digest: the token itself is kept nowhere. */
function keyOf(credential: Redacted<string>): string {
  return sha256(Buffer.from(credential.reveal())).toString("base64");
}

function refuseFor(ms: number): void {
  if (ms <= 0) return;
  const retryAfterSeconds = Math.max(1, Math.ceil(ms / 1000));
  throw new VaultError("rate_limited", undefined, { detail: { retryAfterSeconds } });
}
