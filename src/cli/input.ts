import type { Readable } from "node:stream";
import { CliError, usage } from "./error.ts";
import type { TerminalWritable } from "./output.ts";

/** A stream that may be a terminal. */
export type TerminalReadable = Readable & { readonly isTTY?: boolean };

/** What the person types and what is piped in. Questions go to stderr, so that stdout holds nothing but the result. */
export class Input {
  readonly #stdin: TerminalReadable;
  readonly #questions: TerminalWritable;

  constructor(stdin: TerminalReadable, questions: TerminalWritable) {
    this.#stdin = stdin;
    this.#questions = questions;
  }

  /** True where somebody can be asked. */
  get isTerminal(): boolean {
    return this.#stdin.isTTY === true && this.#questions.isTTY === true;
  }

  /** True where reading stdin would wait for typing. */
  get isTyped(): boolean {
    return this.#stdin.isTTY === true;
  }

  /** All of stdin, at most `maxBytes`. */
  async bytes(maxBytes: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let length = 0;
    for await (const part of this.#stdin) {
      const bytes = Buffer.from(part as Uint8Array | string);
      length += bytes.length;
      if (length > maxBytes) throw new CliError("payload_too_large", `stdin holds more than ${String(maxBytes)} bytes`);
      parts.push(bytes);
    }
    return Buffer.concat(parts);
  }

  /** The lines of stdin, without their ends. */
  async lines(): Promise<string[]> {
    return withoutLineEnd(await this.bytes(64 * 1024))
      .toString("utf8")
      .split(/\r?\n/);
  }

  async ask(message: string, initial?: string): Promise<string> {
    const { text } = await this.#prompts(message);
    const answer = await text({
      message,
      ...(initial === undefined ? {} : { defaultValue: initial, placeholder: initial }),
      ...this.#streams(),
    });
    return answered(answer);
  }

  /** Typed without being shown, also not how long it is. */
  async hidden(message: string): Promise<string> {
    const { password } = await this.#prompts(message);
    return answered(await password({ message: `${message} (not shown)`, mask: "", ...this.#streams() }));
  }

  /** A new password, typed twice. */
  async newPassword(): Promise<string> {
    const first = await this.hidden("New password, at least 12 characters");
    const second = await this.hidden("New password, once more");
    if (first !== second) throw usage("The two passwords differ.");
    return first;
  }

  async confirm(message: string): Promise<boolean> {
    const { confirm } = await this.#prompts(message);
    return answered(await confirm({ message, initialValue: false, ...this.#streams() }));
  }

  #streams() {
    // A terminal that does not know its width says 0, and each letter would get a line of its own.
    if (this.#questions.columns === 0) Object.assign(this.#questions, { columns: 80 });
    return { input: this.#stdin, output: this.#questions, withGuide: false };
  }

  async #prompts(message: string) {
    if (!this.isTerminal) throw usage(`There is no terminal to ask at: ${message}`);
    return import("@clack/prompts");
  }
}

/** `bytes` without one final `\n` or `\r\n`. */
export function withoutLineEnd(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}

function answered<T>(answer: T): Exclude<T, symbol> {
  if (typeof answer === "symbol") throw new CliError("interrupted");
  return answer as Exclude<T, symbol>;
}
