import { createSecretKey } from "node:crypto";
import { INSTANCE, VaultError, idToBytes } from "#base";
import type { Id } from "#base";
import { KEY_BYTES, open, seal } from "./aead.ts";
import type { SymmetricKey } from "./aead.ts";
import type { Field } from "./fields.ts";

/** What a key is for. `instance` and `mac` of the instance belong to the org INSTANCE, the others to an org. */
export type KeyPurpose = "instance" | "org" | "mac" | "data";

/** What a key is, beside its bytes. All of it but the state is under the wrap's tag. */
export interface KeyIdentity {
  readonly id: Id<"key">;
  readonly org: Id<"org">;
  /** For a data key its environment, else `null`. */
  readonly environment: Id<"env"> | null;
  readonly purpose: KeyPurpose;
  /** Counts the keys of one purpose, org and environment from 1. */
  readonly generation: number;
  /** The key that wraps this one. */
  readonly parent: Id<"key">;
}

/** A key as it is stored. Sealed with the current one, opened with either. */
export interface WrappedKey extends KeyIdentity {
  /** What `seal` makes of the 32 bytes under the parent: 77 bytes. */
  readonly wrapped: Buffer;
  readonly state: "current" | "retired";
}

/** A key in use. */
export interface UnwrappedKey extends KeyIdentity, SymmetricKey {}

/** Which key wraps a key of this purpose in this org; `null` when no such key can be. */
export function parentPurpose(purpose: KeyPurpose, org: Id<"org">): "root" | "instance" | "org" | null {
  const ofInstance = org === INSTANCE;
  switch (purpose) {
    case "instance":
      return ofInstance ? "root" : null;
    case "org":
      return ofInstance ? null : "root";
    case "mac":
      return ofInstance ? "instance" : "org";
    case "data":
      return ofInstance ? null : "org";
  }
}

/** Seals the 32 bytes of a key under its parent. The bytes stay with the caller. */
export function wrapKey(parent: SymmetricKey, identity: KeyIdentity, bytes: Uint8Array): Buffer {
  if (bytes.length !== KEY_BYTES) throw new TypeError("a key has 32 bytes");
  return seal(parent, associated(identity), bytes);
}

/** The inverse of {@link wrapKey}; `integrity_failed` when anything about the key is not what it was. */
export function unwrapKey(
  parent: SymmetricKey,
  { id, org, environment, purpose, generation, parent: parentId, wrapped }: WrappedKey,
): UnwrappedKey {
  const identity: KeyIdentity = { id, org, environment, purpose, generation, parent: parentId };
  if (parentId !== parent.id) throw new VaultError("integrity_failed");
  const bytes = open(parent, associated(identity), wrapped);
  try {
    if (bytes.length !== KEY_BYTES) throw new VaultError("integrity_failed");
    return { ...identity, key: createSecretKey(bytes) };
  } finally {
    bytes.fill(0);
  }
}

/** "wrap", purpose, org, environment or null, id, generation, parent. */
function associated({ id, org, environment, purpose, generation, parent }: KeyIdentity): Field[] {
  return [
    "wrap",
    purpose,
    idToBytes(org),
    environment === null ? null : idToBytes(environment),
    idToBytes(id),
    generation,
    idToBytes(parent),
  ];
}
