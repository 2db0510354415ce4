import { NotAsItShouldBe } from "./failure.ts";
import { indent } from "./stage.ts";
import type { Ran, Stage } from "./stage.ts";
import { HIDDEN, TOKEN } from "./values.ts";

/** What a command has to come to. */
export interface Expected {
  /** 0 unless said. */
  readonly exit?: number;
  /** Each of these stands in what it prints. */
  readonly says?: readonly (string | RegExp)[];
  /** And none of these. */
  readonly never?: readonly (string | RegExp)[];
  /** Show only so many lines of what it prints. */
  readonly lines?: number;
}

const WIDTH = 118;

/** Prints the steps, runs their commands, and stops at the first that is not as it should be. */
export class Teller {
  readonly #stage: Stage;
  readonly #print: (line: string) => void;
  #steps = 0;

  constructor(stage: Stage, print: (line: string) => void) {
    this.#stage = stage;
    this.#print = print;
  }

  get steps(): number {
    return this.#steps;
  }

  /** A heading, and in one line why this happens. */
  step(title: string, why: string): void {
    this.#steps += 1;
    this.#print("");
    this.#print(`${String(this.#steps).padStart(2)}. ${title}`);
    this.#print(`    (${why})`);
  }

  /** One command of one person. */
  async does(person: string, command: string, expected: Expected = {}): Promise<Ran> {
    this.#print(`  ${person}$ ${command}`);
    const ran = await this.#stage.run(person, command);
    this.result(command, ran, expected);
    return ran;
  }

  /** Shows what came of something, and holds it against what should have. */
  result(what: string, ran: Ran, expected: Expected): void {
    const leak = leaked(ran.shown);
    const masked = mask(ran.shown);
    const lines = masked.split("\n");
    const shown = lines.slice(0, expected.lines ?? lines.length).map(clip);
    if (masked !== "" && shown.length > 0) this.#print(indent(shown.join("\n")));
    const wrong = (why: string) =>
      new NotAsItShouldBe(
        `Step ${String(this.#steps)} is not as it should be.\n  ${what}\n  ${why}\n${indent(masked)}`,
      );
    const exit = expected.exit ?? 0;
    if (leak !== null) throw wrong(`It printed ${leak}.`);
    if (ran.exitCode !== exit)
      throw wrong(`It exited with ${String(ran.exitCode)} and not with ${String(exit)}. It printed:`);
    for (const text of expected.says ?? [])
      if (!holds(ran.shown, text)) throw wrong(`It did not say ${String(text)}, but:`);
    for (const text of expected.never ?? []) if (holds(ran.shown, text)) throw wrong(`It said ${String(text)}:`);
    if (exit !== 0) this.#print(`    [exit code ${String(exit)}]`);
  }
}

function holds(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === "string" ? text.includes(wanted) : wanted.test(text);
}

function leaked(text: string): string | null {
  if (HIDDEN.some((value) => text.includes(value))) return "a secret's value or a password";
  return text.search(TOKEN) >= 0 ? "a token" : null;
}

function mask(text: string): string {
  return HIDDEN.reduce((all, value) => all.replaceAll(value, "[hidden]"), text.replace(TOKEN, "[hidden]"));
}

function clip(line: string): string {
  return line.length <= WIDTH ? line : `${line.slice(0, WIDTH - 1)}…`;
}
