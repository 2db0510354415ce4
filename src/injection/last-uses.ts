import { MINUTE, SECOND } from "#base";
import type { Clock, Id } from "#base";
import type { Facts } from "#storage";
import type { LaunchPlace } from "#access";

const FLUSH_MS = 5 * SECOND;
/** One secret's last use is written at most once in this time. */
const QUIET_MS = MINUTE;
const WRITES_AT_ONCE = 50;
/** More are forgotten until the next launch: what is only told must not fill the memory. */
const MOST_WAITING = 100_000;

interface Use {
  readonly org: Id<"org">;
  readonly secret: Id<"sec">;
  readonly at: Date;
  readonly workload: Id<"wkl">;
  readonly environment: Id<"env">;
}

/**
 * When each secret was last delivered, and to whom: kept in memory, written a little later and without an event, so that
 * no exchange waits for it or fails with it. The audit log has every delivery; this is the short answer to "does anything
 * still use it", and a crash may cost its last seconds.
 */
export class LastUses {
  readonly #facts: Facts;
  readonly #clock: Clock;
  readonly #waiting = new Map<Id<"sec">, Use>();
  /** When a use of each was last written. */
  readonly #written = new Map<Id<"sec">, number>();
  #timer: NodeJS.Timeout | null = null;
  #flushing: Promise<void> = Promise.resolve();

  constructor(facts: Facts, clock: Clock) {
    this.#facts = facts;
    this.#clock = clock;
  }

  start(onFault: (error: unknown) => void): void {
    this.#timer = setInterval(() => void this.flush().catch(onFault), FLUSH_MS);
    this.#timer.unref();
  }

  /** Writes what waits, whenever it was written last. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#flushing.catch(() => undefined);
    await this.#write([...this.#waiting.values()]);
  }

  /** Never throws and never waits. */
  note(
    org: Id<"org">,
    { workload, environment }: Pick<LaunchPlace, "workload" | "environment">,
    secrets: readonly Id<"sec">[],
    at: Date,
  ): void {
    for (const secret of secrets) {
      if (this.#waiting.size >= MOST_WAITING && !this.#waiting.has(secret)) continue;
      this.#waiting.set(secret, { org, secret, at, workload: workload.id, environment: environment.id });
    }
  }

  /** Writes what was not written within the last minute; the rest waits. Throws what the store throws: all of it waits. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing
      .catch(() => undefined)
      .then(() => {
        const now = this.#clock.now().getTime();
        const due = [...this.#waiting.values()].filter(
          ({ secret }) => now - (this.#written.get(secret) ?? -Infinity) >= QUIET_MS,
        );
        return this.#write(due);
      });
    return this.#flushing;
  }

  /** A few at a time, so that exchanges do not queue behind them. */
  async #write(uses: readonly Use[]): Promise<void> {
    for (let from = 0; from < uses.length; from += WRITES_AT_ONCE) {
      const writes = uses.slice(from, from + WRITES_AT_ONCE).map((use) => this.#one(use));
      const failed = (await Promise.allSettled(writes)).find((outcome) => outcome.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    }
  }

  async #one(use: Use): Promise<void> {
    const { org, secret, at, workload, environment } = use;
    const set = { lastUsedAt: at, lastUsedBy: workload, lastUsedIn: environment };
    await this.#facts.touch(org, "secrets", { id: secret }, set);
    this.#remember(secret);
    // A later one may have come meanwhile.
    if (this.#waiting.get(secret) === use) this.#waiting.delete(secret);
  }

  /** Beyond the most that are remembered, what was written longest ago may be written again a little early. */
  #remember(secret: Id<"sec">): void {
    this.#written.delete(secret);
    this.#written.set(secret, this.#clock.now().getTime());
    const [oldest] = this.#written.keys();
    if (this.#written.size > MOST_WAITING && oldest !== undefined) this.#written.delete(oldest);
  }
}
