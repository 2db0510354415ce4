import { VaultError } from "#base";

/**
 * Lets a bounded number of jobs run at a time and a bounded number wait, in the order of their coming; whoever comes
 * then is told `overloaded`.
 */
export class Gate {
  readonly #concurrency: number;
  readonly #queue: number;
  readonly #retryAfterSeconds: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limits: { readonly concurrency: number; readonly queue: number; readonly retryAfterSeconds: number }) {
    this.#concurrency = limits.concurrency;
    this.#queue = limits.queue;
    this.#retryAfterSeconds = limits.retryAfterSeconds;
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    await this.#enter();
    try {
      return await job();
    } finally {
      this.#leave();
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < this.#concurrency) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= this.#queue) {
      throw new VaultError("overloaded", undefined, { detail: { retryAfterSeconds: this.#retryAfterSeconds } });
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** The place goes to who waits longest, without becoming free in between. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next();
  }
}
