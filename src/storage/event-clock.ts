import type { Clock } from "#base";

/** How much slower than real time the vault's time goes while the machine's clock is behind it. */
const SLOWER = 2;

/**
 * The vault's time: the machine's clock, but never before the last committed event.
 *
 * When the clock was set back (or had run ahead and was put right), time does not stand still until the clock has caught up,
 * or a token of a minute would be good for a day. It goes on at half speed, by a clock that nobody sets, so what ends after
 * a time ends after twice that time at the latest, and the machine's clock catches up.
 */
export class EventClock {
  readonly #clock: Clock;
  /** The time of the newest event that was not already told by this reckoning, and when that was. */
  #event = -Infinity;
  #eventAt = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  now(): Date {
    return new Date(Math.max(this.#clock.now().getTime(), this.#reckoned()));
  }

  /** What the machine's clock says, whatever was committed. */
  machine(): Date {
    return this.#clock.now();
  }

  /** How far the machine's clock is behind, in ms; 0 as a rule. */
  get behindMs(): number {
    return Math.max(0, this.#reckoned() - this.#clock.now().getTime());
  }

  /** Says that an event of this time (epoch ms) is committed. */
  notBefore(ms: number): void {
    // Not from an event that was timed by the reckoning itself: under load it would lose the half it has not counted yet.
    if (ms <= this.#reckoned()) return;
    this.#event = ms;
    this.#eventAt = this.#elapsed();
  }

  #reckoned(): number {
    return this.#event + Math.floor((this.#elapsed() - this.#eventAt) / SLOWER);
  }

  #elapsed(): number {
    return this.#clock.elapsedMs?.() ?? 0;
  }
}
