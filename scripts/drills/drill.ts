/** How much of a drill is done: `small` in every test run, `full` by `npm run drills`. */
export type Size = "small" | "full";

export interface Report {
  /** How many cases were tried; what a case is, the drill's `what` says. */
  readonly n: number;
  /** What was not as it must be, in words without secrets. */
  readonly failures: readonly string[];
  /** Numbers worth knowing. */
  readonly said: Readonly<Record<string, number | string>>;
}

/** Something that must hold under attack, load or accident, tried on a real vault. */
export interface Drill {
  readonly name: string;
  readonly what: string;
  run(size: Size): Promise<Report>;
}

/** Collects failures, and does not let one that repeats fill the screen. */
export class Findings {
  readonly #failures: string[] = [];
  readonly #most = 50;
  #more = 0;
  #n = 0;

  /** A case; `failure` when it is not as it must be. */
  tried(failure: string | null): void {
    this.#n += 1;
    if (failure !== null) this.fail(failure);
  }

  must(holds: boolean, failure: string): void {
    this.tried(holds ? null : failure);
  }

  fail(failure: string): void {
    if (this.#failures.length < this.#most) this.#failures.push(failure);
    else this.#more += 1;
  }

  report(said: Report["said"], n: number = this.#n): Report {
    const more = this.#more === 0 ? [] : [`and ${String(this.#more)} more`];
    return { n, failures: [...this.#failures, ...more], said };
  }
}

/** A whole number from 0 to below `end`. */
export function random(end: number): number {
  return Math.floor(Math.random() * end);
}

export function shuffle<T>(all: readonly T[]): T[] {
  const mixed = [...all];
  for (let at = mixed.length - 1; at > 0; at -= 1) {
    const other = random(at + 1);
    [mixed[at], mixed[other]] = [mixed[other] as T, mixed[at] as T];
  }
  return mixed;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
