import type { Id, IdSource } from "#base";
import { KEY_BYTES } from "./aead.ts";
import { createKeyFile, readKeyFile } from "./key-file.ts";
import { encodeKeyText, parseKeyText } from "./key-text.ts";
import { randomBytes } from "./random.ts";

/** The key above all others. Whoever loads it sees to it that it is zeroed; the keyring does so when it takes it. */
export interface RootKey {
  readonly id: Id<"key">;
  /** 32 bytes. */
  readonly bytes: Buffer;
  zero(): void;
}

/**
 * A seal: where the root key comes from at an unseal. A source asks whatever it needs (a passphrase, shares, a program)
 * when it loads, so that each kind fits behind this.
 */
export interface RootKeySource {
  readonly kind: "file";
  /** Throws what its kind throws: a file `key_file_missing`, `key_file_unsafe`, `key_file_invalid`. */
  load(): Promise<RootKey>;
}

/** The root key in a file that only the vault's user can read. */
export function fileRootKey(path: string): RootKeySource {
  return {
    kind: "file",
    async load() {
      const { id, secret } = parseKeyText("root", path, await readKeyFile(path));
      return rootKey(id, secret);
    },
  };
}

/** Makes a new root key and its file (`already_exists` where there is one). The key's id; the key is loaded from the file. */
export async function createRootKeyFile(path: string, ids: IdSource): Promise<Id<"key">> {
  const id = ids.next("key");
  const bytes = randomBytes(KEY_BYTES);
  try {
    await createKeyFile(path, encodeKeyText("root", id, bytes));
  } finally {
    bytes.fill(0);
  }
  return id;
}

/** The root key of these bytes, which are not copied. */
export function rootKey(id: Id<"key">, bytes: Buffer): RootKey {
  if (bytes.length !== KEY_BYTES) throw new TypeError("a root key has 32 bytes");
  return { id, bytes, zero: () => void bytes.fill(0) };
}
