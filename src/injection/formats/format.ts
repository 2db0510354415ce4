import { isUtf8 } from "node:buffer";

export interface Entry {
  readonly name: string;
  readonly value: Buffer;
}

/** Why this variable cannot be carried, in words that hold nothing of its value; `null` if nothing is against it. */
export type Rule = (entry: Entry) => string | null;

/** What a Kubernetes Secret is called, and where. Both are Kubernetes' names (RFC 1123), which need no quotes. */
export interface SecretManifest {
  readonly name: string;
  /** `null`: where `kubectl` is told to apply it. */
  readonly namespace: string | null;
}

/** A text form of a set of variables. What it cannot carry exactly is refused by name, never approximated. */
export interface Format {
  /** The first that holds is told. */
  readonly cannot: readonly Rule[];
  /** What cannot be carried because of what else there is. */
  readonly cannotTogether?: (entries: readonly Entry[]) => readonly { variable: string; reason: string }[];
  /** The whole text, of variables that nothing is against. */
  readonly write: (entries: readonly Entry[], manifest: SecretManifest) => Buffer;
}

/** The text of one line after another. */
export function lines(line: (name: string, text: string) => string, empty = ""): Format["write"] {
  return (entries) => {
    const text = entries.map(({ name, value }) => `${line(name, value.toString())}\n`).join("");
    return Buffer.from(text === "" ? empty : text);
  };
}

export const notText: Rule = ({ value }) => (isUtf8(value) ? null : "its value is not UTF-8 text");

export const nul: Rule = ({ value }) => (value.includes(0) ? "its value holds a NUL byte" : null);
