import { randomInt } from "node:crypto";
import { Redacted, VaultError } from "#base";
import { randomBytes } from "./random.ts";

export type GeneratedKind = "hex" | "base64url" | "alnum" | "passphrase";

interface Generator {
  readonly unit: string;
  readonly usual: number;
  /** Fewer can be found by trying. */
  readonly fewest: number;
  readonly make: (length: number) => string | Promise<string>;
}

const ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Floors: 128 bits for what machines read; 77 bits, seven words of eleven bits, for what people type. */
const GENERATORS: Readonly<Record<GeneratedKind, Generator>> = {
  hex: { unit: "bytes", usual: 32, fewest: 16, make: (length) => randomBytes(length).toString("hex") },
  base64url: { unit: "bytes", usual: 32, fewest: 16, make: (length) => randomBytes(length).toString("base64url") },
  // 62 letters hold 5.95 bits each.
  alnum: { unit: "characters", usual: 32, fewest: 22, make: (length) => chosen(length, ALNUM).join("") },
  passphrase: { unit: "words", usual: 8, fewest: 7, make: async (length) => chosen(length, await words()).join("-") },
};

/**
 * A random value as UTF-8. `length` counts random bytes for `hex` and `base64url`, characters for `alnum`, words of the
 * English list of BIP 39 for `passphrase`.
 *
 * @throws {VaultError} `invalid_input` for a length that somebody could guess.
 */
export async function generateValue(kind: GeneratedKind, length?: number): Promise<Redacted<Buffer>> {
  const { unit, usual, fewest, make } = GENERATORS[kind];
  const count = length ?? usual;
  if (count < fewest) {
    const message = `too short to be safe: ${kind} takes at least ${String(fewest)} ${unit}`;
    throw new VaultError("invalid_input", undefined, { detail: { faults: [{ field: "length", message }] } });
  }
  return new Redacted(Buffer.from(await make(count)));
}

/** Each as likely as any other, whatever their number. */
function chosen(count: number, from: string | readonly string[]): string[] {
  return Array.from({ length: count }, () => from[randomInt(from.length)] ?? "");
}

/** Loaded when first asked for: most vaults never do, and the list is long. */
async function words(): Promise<readonly string[]> {
  return (await import("@scure/bip39/wordlists/english.js")).wordlist;
}
