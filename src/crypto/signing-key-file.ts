import type { Id, IdSource } from "#base";
import { createKeyFile, readKeyFile } from "./key-file.ts";
import { encodeKeyText, parseKeyText } from "./key-text.ts";
import { createSigner, generateSigningKey } from "./signing.ts";
import type { Signer } from "./signing.ts";

/** Makes a new checkpoint signing key and its file (`already_exists` where there is one). The key's id. */
export async function createSigningKeyFile(path: string, ids: IdSource): Promise<Id<"key">> {
  const id = ids.next("key");
  const seed = generateSigningKey();
  try {
    await createKeyFile(path, encodeKeyText("checkpoint", id, seed));
  } finally {
    seed.fill(0);
  }
  return id;
}

/**
 * The signer whose seed is in the file, under the name its notes shall carry, which may be made of the key's id. Errors as
 * those of `readKeyFile`.
 */
export async function loadSigner(
  path: string,
  name: string | ((id: Id<"key">) => string),
): Promise<Signer & { readonly id: Id<"key"> }> {
  const { id, secret } = parseKeyText("checkpoint", path, await readKeyFile(path));
  try {
    return { id, ...createSigner(typeof name === "string" ? name : name(id), secret) };
  } finally {
    secret.fill(0);
  }
}
