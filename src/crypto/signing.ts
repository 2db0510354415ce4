import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { sha256 } from "./hash.ts";
import { randomBytes } from "./random.ts";

/** Signs checkpoints: Ed25519 (RFC 8032), with the name and key hash of a C2SP signed note. */
export interface Signer {
  /** As it stands in a note: not empty, no white space, no `+`. */
  readonly name: string;
  /** 32 bytes, as RFC 8032 writes them. */
  readonly publicKey: Buffer;
  /** See {@link noteKeyHash}. */
  readonly keyHash: Buffer;
  /** 64 bytes. */
  sign(message: Uint8Array): Buffer;
}

export const SEED_BYTES = 32;
const PUBLIC_KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const NOTE_ALGORITHM_ED25519 = 0x01;
const NOTE_NAME = /^[^\s+]+$/u;

/** RFC 8410: what stands before the 32 bytes of a seed in PKCS #8, and of a public key in SubjectPublicKeyInfo. */
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");

/** A new seed of 32 bytes: the whole private key. */
export function generateSigningKey(): Buffer {
  return randomBytes(SEED_BYTES);
}

/** The signer of a seed. The seed is copied: the caller fills its own with zeros. */
export function createSigner(name: string, seed: Uint8Array): Signer {
  if (!NOTE_NAME.test(name)) throw new TypeError("a signer's name is not empty and has no white space and no +");
  if (seed.length !== SEED_BYTES) throw new TypeError("an Ed25519 seed has 32 bytes");
  const encoded = Buffer.concat([PKCS8_HEAD, seed]);
  const key = createPrivateKey({ key: encoded, format: "der", type: "pkcs8" });
  encoded.fill(0);
  const publicKey = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(SPKI_HEAD.length);
  return { name, publicKey, keyHash: noteKeyHash(name, publicKey), sign: (message) => sign(null, message, key) };
}

/** The four bytes that name a key in a C2SP signed note: SHA-256(name | 0x0A | 0x01 | public key), cut. */
export function noteKeyHash(name: string, publicKey: Uint8Array): Buffer {
  return sha256(Buffer.from(name, "utf8"), Uint8Array.of(0x0a, NOTE_ALGORITHM_ED25519), publicKey).subarray(0, 4);
}

/** Whether this is the signature of the message by that key. False, never an error, for bytes that are neither. */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== PUBLIC_KEY_BYTES || signature.length !== SIGNATURE_BYTES) return false;
  const key = parsePublicKey(publicKey);
  return key !== null && verify(null, message, key, signature);
}

function parsePublicKey(publicKey: Uint8Array): KeyObject | null {
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_HEAD, publicKey]), format: "der", type: "spki" });
  } catch {
    return null;
  }
}
