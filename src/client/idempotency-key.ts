/** 128 bits: enough for the vault to take a repetition for the same request. */
const KEY_BYTES = 16;

/**
 * A key that nobody else has: random, from the platform's own source, so that a program which only uses the client does not
 * load the room of cryptography.
 */
export function newIdempotencyKey(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(KEY_BYTES))).toString("hex");
}
