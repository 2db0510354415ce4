/**
 * The writer slots that the events of a chain may stand in, and how a fault names what stands in one of them: without a word
 * of slots where there is only one.
 */
export class Slots {
  readonly #numbers = new Set<number>();

  constructor(numbers: readonly number[]) {
    this.add(numbers);
  }

  add(numbers: readonly number[]): void {
    for (const number of numbers) this.#numbers.add(number);
  }

  get numbers(): readonly number[] {
    return [...this.#numbers].sort((one, other) => one - other);
  }

  event(slot: number, seq: number): string {
    return `event ${String(seq)}${this.#of(slot)}`;
  }

  checkpoint(slot: number, size: number): string {
    return `checkpoint of ${String(size)} events${this.#of(slot)}`;
  }

  #of(slot: number): string {
    return this.#numbers.size > 1 ? ` of slot ${String(slot)}` : "";
  }
}
