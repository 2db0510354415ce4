import type { OperationId } from "#contract";
import type { Cli } from "./cli.ts";
import type { CliCode } from "./error.ts";
import type { Given } from "./given.ts";

/** One command: what its help says, what it takes, and what it does. */
export interface Command {
  readonly name: string;
  /** One sentence without a full stop. */
  readonly summary: string;
  /** What else there is to know. */
  readonly about?: string;
  /** In their order; `<required>`, `[optional]`, `[many...]`. */
  readonly arguments?: readonly (readonly [syntax: string, meaning: string])[];
  readonly options?: readonly Option[];
  /** Whole command lines. */
  readonly examples: readonly string[];
  /** The operations of the catalog that it calls. */
  readonly uses: readonly OperationId[];
  /** What to do where more arguments were given than it takes, if there is something to say. */
  readonly noMore?: string;
  /** Everything after its first argument belongs to another program. */
  readonly passThrough?: true;
  /** The exit code of every failure of its own, where that is one. */
  readonly failsWith?: number;
  /** What to do where the vault answers with one of these codes and the code's own remedy is not the word here. */
  readonly remedies?: Readonly<Partial<Record<CliCode, string>>>;
  /** The options of the API's fields that have another name in this command alone. */
  readonly optionOf?: Readonly<Record<string, string>>;
  /** The exit code, 0 if none is returned. */
  run(cli: Cli, given: Given): Promise<number> | Promise<void>;
}

/** Commands about one thing. */
export interface Noun {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly Command[];
}

export interface Option {
  /** `-n, --namespace <name>` takes a text, `--all` is said or not. */
  readonly flags: string;
  readonly meaning: string;
  readonly choices?: readonly string[];
  /** May be given more than once. */
  readonly many?: true;
  readonly required?: true;
  /** What holds when it is not given, for the help; the command itself applies it. */
  readonly otherwise?: string;
  /** The heading under which the help lists it. */
  readonly group?: string;
}
