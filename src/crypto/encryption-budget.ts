const BLOCK = 1024;

/**
 * The encryptions that this process may still do under one key. They are reserved in blocks, and a block is used only
 * after the reservation is durable: a crash forgets encryptions that were not done and never one that was.
 */
export class EncryptionBudget {
  readonly #reserve: (count: number) => Promise<void>;
  #left = 0;
  #reserving: Promise<void> | null = null;

  /** `reserve` adds to the key's stored count and resolves when that is durable. */
  constructor(reserve: (count: number) => Promise<void>) {
    this.#reserve = reserve;
  }

  /** Takes one encryption; throws what `reserve` throws, and then none was taken. */
  async take(): Promise<void> {
    while (this.#left === 0) {
      this.#reserving ??= this.#refill().finally(() => {
        this.#reserving = null;
      });
      await this.#reserving;
    }
    this.#left -= 1;
  }

  async #refill(): Promise<void> {
    await this.#reserve(BLOCK);
    this.#left += BLOCK;
  }
}
