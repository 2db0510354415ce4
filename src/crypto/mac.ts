import { createHmac } from "node:crypto";
import type { Id } from "#base";
import type { SymmetricKey } from "./aead.ts";
import { equal } from "./equal.ts";

/** A key that proves rows: HMAC-SHA-256 (RFC 2104, FIPS 198-1), tags of 32 bytes. */
export interface MacKey {
  readonly id: Id<"key">;
  sign(message: Uint8Array): Buffer;
  /** Constant time; a tag that is not 32 bytes long is false. */
  verify(message: Uint8Array, tag: Uint8Array): boolean;
}

export function createMacKey({ id, key }: SymmetricKey): MacKey {
  const sign = (message: Uint8Array) => createHmac("sha256", key).update(message).digest();
  return { id, sign, verify: (message, tag) => equal(sign(message), tag) };
}
