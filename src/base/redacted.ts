const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/**
 * Plaintext in transit through the program. It prints, logs and serialises as `[redacted]`; `reveal()` is the one way in,
 * and rare enough to grep for.
 */
export class Redacted<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  reveal(): T {
    return this.#value;
  }

  /** The wrapped value through `change`, still wrapped. */
  map<U>(change: (value: T) => U): Redacted<U> {
    return new Redacted(change(this.#value));
  }

  toString(): string {
    return "[redacted]";
  }

  toJSON(): string {
    return "[redacted]";
  }

  [INSPECT](): string {
    return "[redacted]";
  }
}
