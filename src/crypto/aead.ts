import { createCipheriv, createDecipheriv, createSecretKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { VaultError, bytesToId, idToBytes } from "#base";
import type { Id } from "#base";
import { frame } from "./fields.ts";
import type { Field } from "./fields.ts";
import { randomBytes } from "./random.ts";

/** A key of 32 bytes with its name. The bytes are inside the KeyObject and are not printed by anything. */
export interface SymmetricKey {
  readonly id: Id<"key">;
  readonly key: KeyObject;
}

export const KEY_BYTES = 32;

const CIPHER = "aes-256-gcm";
const VERSION = 1;
const KEY_ID_AT = 1;
const NONCE_AT = 17;
const TEXT_AT = 29;
const NONCE_BYTES = TEXT_AT - NONCE_AT;
const TAG_BYTES = 16;

/** The key of these 32 bytes. They are copied: the caller fills its own with zeros. */
export function symmetricKey(id: Id<"key">, bytes: Uint8Array): SymmetricKey {
  if (bytes.length !== KEY_BYTES) throw new TypeError("a key has 32 bytes");
  return { id, key: createSecretKey(bytes) };
}

/**
 * AES-256-GCM (NIST SP 800-38D) with a random nonce:
 *
 *     version(1)=1 | key id(16) | nonce(12) | ciphertext(as long as the plaintext) | tag(16)
 *
 * The tag also covers `frame([version, key id, ...associated])`, which is not stored.
 */
export function seal(key: SymmetricKey, associated: readonly Field[], plaintext: Uint8Array): Buffer {
  return insecureSealWithNonce(key, randomBytes(NONCE_BYTES), associatedBytes(key.id, associated), plaintext);
}

/**
 * The inverse of {@link seal}. Every failure (bytes changed or cut, another key, other associated data, an unknown
 * version) is the same `integrity_failed`; no plaintext leaves before the tag is verified.
 */
export function open(key: SymmetricKey, associated: readonly Field[], sealed: Uint8Array): Buffer {
  return openWithAssociatedBytes(key, associatedBytes(key.id, associated), sealed);
}

/** Which key these bytes say they were sealed with; `null` when they are too short or of an unknown version. */
export function sealedKeyId(sealed: Uint8Array): Id<"key"> | null {
  if (sealed.length < TEXT_AT + TAG_BYTES || sealed[0] !== VERSION) return null;
  return bytesToId("key", sealed.subarray(KEY_ID_AT, NONCE_AT));
}

/**
 * {@link seal} with the nonce and the bytes of the associated data given; not for use outside this file but for known
 * answers. A nonce used twice under one key gives the key's secrets away.
 */
export function insecureSealWithNonce(
  key: SymmetricKey,
  nonce: Uint8Array,
  associated: Uint8Array,
  plaintext: Uint8Array,
): Buffer {
  const cipher = createCipheriv(CIPHER, key.key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associated);
  const ciphertext = cipher.update(plaintext);
  cipher.final();
  return Buffer.concat([Uint8Array.of(VERSION), idToBytes(key.id), nonce, ciphertext, cipher.getAuthTag()]);
}

/** {@link open} with the bytes of the associated data given. */
export function openWithAssociatedBytes(key: SymmetricKey, associated: Uint8Array, sealed: Uint8Array): Buffer {
  if (sealedKeyId(sealed) !== key.id) throw new VaultError("integrity_failed");
  const tagAt = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv(CIPHER, key.key, sealed.subarray(NONCE_AT, TEXT_AT), { authTagLength: TAG_BYTES });
  decipher.setAAD(associated);
  decipher.setAuthTag(sealed.subarray(tagAt));
  const plaintext = decipher.update(sealed.subarray(TEXT_AT, tagAt));
  try {
    decipher.final();
  } catch {
    plaintext.fill(0);
    throw new VaultError("integrity_failed");
  }
  return plaintext;
}

function associatedBytes(key: Id<"key">, associated: readonly Field[]): Buffer {
  return frame([VERSION, idToBytes(key), ...associated]);
}
