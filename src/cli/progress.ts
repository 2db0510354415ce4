import { SECOND } from "#base";
import type { TerminalWritable } from "./output.ts";

const EVERY_MS = 5 * SECOND;
const REDRAWN_MS = 100;

/** How far a step is, in words. */
export interface Step {
  readonly name: string;
  readonly what: string;
  readonly done: number;
  readonly of: number;
}

/**
 * How far something long has come, on stderr: at a terminal in one line that changes, else a line every five seconds and one
 * at the end of each step. Programs (`--json`) are told nothing.
 */
export class ProgressLine {
  readonly #stream: TerminalWritable;
  readonly #isSilent: boolean;
  #shownAt = -Infinity;
  #last: Step | null = null;
  #isOpen = false;

  constructor(stream: TerminalWritable, isSilent: boolean) {
    this.#stream = stream;
    this.#isSilent = isSilent;
  }

  readonly show = (step: Step): void => {
    if (this.#isSilent) return;
    const isNew = this.#last?.name !== step.name;
    if (isNew) this.end();
    this.#last = step;
    const now = performance.now();
    const every = this.#stream.isTTY === true ? REDRAWN_MS : EVERY_MS;
    if (this.#stream.isTTY !== true && isNew) this.#shownAt = now;
    if (step.done < step.of && now - this.#shownAt < every) return;
    this.#shownAt = now;
    this.#draw(step);
  };

  /** Leaves the last line as it stands. */
  end(): void {
    if (this.#last !== null && this.#stream.isTTY === true && this.#isOpen) {
      this.#draw(this.#last);
      this.#stream.write("\n");
    }
    this.#isOpen = false;
    this.#last = null;
  }

  #draw(step: Step): void {
    const text = `${step.name}: ${count(step.done)} of ${count(step.of)}`;
    const isOver = step.done >= step.of;
    if (this.#stream.isTTY !== true) {
      this.#stream.write(`${text}${isOver ? "" : ` (${step.what})`}\n`);
      return;
    }
    // Erases what a longer line before has left (ECMA-48, EL).
    this.#stream.write(`\r${text}${isOver ? "" : ` (${step.what})`}\u001b[K`);
    this.#isOpen = true;
  }
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}
