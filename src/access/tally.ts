import { MINUTE, sourceOf } from "#base";
import type { Call, Id } from "#base";
import type { Guard } from "./guard.ts";

/** Why a credential was no good. Words of ours, in the event as its reason code. */
export type UnknownReason =
  | "no_credential"
  | "unknown_credential"
  | "sign_in_failed"
  | "token_unknown"
  | "unknown_route"
  | "malformed"
  | "rate_limited"
  | "overloaded"
  | "failed";

const MOST_LINES = 50;

interface Count {
  readonly chain: Id<"org">;
  readonly operation: string;
  readonly reason: UnknownReason;
  readonly source: string | null;
  readonly principal: Id<"prn"> | null;
  count: number;
}

/**
 * Requests whose credential nobody knows: counted into one event per source, reason and minute, so that a stranger can
 * neither stay unseen nor fill the disk.
 */
export class Tally {
  readonly #guard: Guard;
  readonly #counts = new Map<string, Count>();
  #timer: NodeJS.Timeout | null = null;

  constructor(guard: Guard) {
    this.#guard = guard;
  }

  start(onFault: (error: unknown) => void): void {
    this.#timer = setInterval(() => void this.flush().catch(onFault), MINUTE);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.flush();
  }

  /** Counts the call. `chain` is the org's where one is known to be meant, with the principal that was tried. */
  count(call: Call, reason: UnknownReason, chain: Id<"org">, principal: Id<"prn"> | null = null): void {
    call.markCounted();
    // A flood from many sources fills neither the log nor the memory: beyond the first lines of a minute they share one.
    const source = this.#counts.size < MOST_LINES ? call.address && sourceOf(call.address) : "others";
    const key = JSON.stringify([chain, reason, source, principal]);
    const known = this.#counts.get(key);
    if (known === undefined)
      this.#counts.set(key, { chain, operation: call.operation, reason, source, principal, count: 1 });
    else known.count += 1;
  }

  async flush(): Promise<void> {
    const counts = [...this.#counts.values()];
    this.#counts.clear();
    await Promise.all(
      counts.map(({ chain, reason, source, principal, count }) => {
        const permit = this.#guard.system("unknown.counted", chain, chain);
        return this.#guard.settle(permit, {
          result: "refused",
          code: "unauthenticated",
          facts: { reason, source, count },
          ...(principal === null ? {} : { target: { type: "principal", id: principal, name: null } }),
        });
      }),
    );
  }
}
