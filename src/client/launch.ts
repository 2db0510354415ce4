import type { Redacted } from "#base";
import type { Client } from "./client.ts";
import { SallyportError } from "./error.ts";
import type { Delivery } from "./exchange.ts";
import { keepLease } from "./lease-keeper.ts";
import type { LeaseKeeper } from "./lease-keeper.ts";

/**
 * A launch: the variables that it was given, and the lease that it holds until it ends. It shows no value unless it is
 * asked for one: not when it is logged, inspected or written as JSON.
 */
export class Launch {
  readonly injectionId: string;
  /** `namespace/workload`. */
  readonly workload: string;
  readonly environment: string;
  readonly manifestVersion: number;
  readonly #variables: ReadonlyMap<string, Redacted<Buffer>>;
  readonly #lease: LeaseKeeper;
  readonly #onEnd: () => void;
  #end: Promise<void> | null = null;

  /** `onEnd` is called once, when the end begins. */
  constructor(client: Client, delivery: Delivery, warn: (text: string) => void, onEnd: () => void = () => {}) {
    const { injectionId, workload, environment, manifestVersion } = delivery.answer;
    this.injectionId = injectionId;
    this.workload = workload;
    this.environment = environment;
    this.manifestVersion = manifestVersion;
    this.#variables = delivery.variables;
    this.#onEnd = onEnd;
    this.#lease = keepLease(client, delivery.lease, warn);
  }

  /** The names of its variables, in the order of the alphabet. */
  get names(): readonly string[] {
    return [...this.#variables.keys()].sort();
  }

  /** When its lease ends unless it is renewed, which happens by itself. */
  get leaseEndsAt(): Date {
    return this.#lease.endsAt;
  }

  /** The value of a variable as text. Errors: `unknown_variable`; `not_text` where it is not UTF-8. */
  secret(name: string): string {
    const text = textOf(this.#bytes(name));
    if (text === null) throw new SallyportError("not_text", name);
    return text;
  }

  /** The value of a variable, a copy of its bytes. Errors: `unknown_variable`. */
  secretBytes(name: string): Uint8Array {
    return Uint8Array.from(this.#bytes(name));
  }

  /**
   * All variables as an environment has them.
   *
   * Errors: `not_an_environment`, naming the variables, where a value is not UTF-8 or holds a NUL byte: a process's
   * environment is text that ends in NUL, and half a value is worse than none.
   */
  env(): Record<string, string> {
    const fit: [string, string][] = [];
    const unfit: { variable: string; reason: string }[] = [];
    for (const variable of this.names) {
      const text = textOf(this.#bytes(variable));
      if (text?.includes("\0") === false) fit.push([variable, text]);
      else unfit.push({ variable, reason: "its value is not UTF-8 text without NUL bytes" });
    }
    if (unfit.length > 0) {
      const names = unfit.map(({ variable }) => variable).join(", ");
      throw new SallyportError("not_an_environment", names, { detail: { variables: unfit } });
    }
    return Object.fromEntries(fit);
  }

  /** Puts all variables into an environment, over what is there. All or none. Errors: as {@link env}. */
  apply(environment: Record<string, string | undefined>): void {
    Object.assign(environment, this.env());
  }

  /**
   * Ends the lease, with the exit code if there is one. It takes at most two seconds, never fails, and takes no value back.
   * A second call waits for the first.
   */
  end(exitCode?: number): Promise<void> {
    if (this.#end === null) {
      this.#onEnd();
      // As the system has it: of a greater or a negative number the last eight bits.
      this.#end = this.#lease.end(exitCode === undefined ? undefined : exitCode & 0xff);
    }
    return this.#end;
  }

  /** `await using launch = …` ends it with its scope. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.end();
  }

  #bytes(name: string): Buffer {
    const value = this.#variables.get(name);
    // The names that there are stay out of it: messages are logged.
    if (value === undefined) {
      throw new SallyportError(
        "unknown_variable",
        `${name} (${this.workload} in ${this.environment}, manifest version ${String(this.manifestVersion)})`,
      );
    }
    return value.reveal();
  }
}

function textOf(bytes: Buffer): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
