import { VaultError, decodeBase32, encodeBase32, parseId } from "#base";
import type { Id } from "#base";
import { equal } from "./equal.ts";
import { sha256 } from "./hash.ts";

/** What a key file is for; the first word in it. */
export const KEY_FILE_LABEL = { root: "sallyport-root-key-v1", checkpoint: "sallyport-checkpoint-key-v1" } as const;
export type KeyFileKind = keyof typeof KEY_FILE_LABEL;

const SECRET_BYTES = 32;
const CHECKSUM_BYTES = 8;

/**
 * A key as the one line of its file:
 *
 *     sallyport-root-key-v1 key_01j…(26) <32 bytes, 52 letters> <checksum, 13 letters>\n
 *
 * Both are in the base32 of ids. The checksum is the first 8 bytes of SHA-256 over all that stands before the blank in
 * front of it; it tells damage, it proves nothing.
 */
export function encodeKeyText(kind: KeyFileKind, id: Id<"key">, secret: Uint8Array): string {
  if (secret.length !== SECRET_BYTES) throw new TypeError("a key has 32 bytes");
  const checked = `${KEY_FILE_LABEL[kind]} ${id} ${encodeBase32(secret)}`;
  return `${checked} ${encodeBase32(checksum(checked))}\n`;
}

/**
 * The key in the text of a file; white space at its end may differ. Throws `key_file_invalid` with what is wrong and never
 * with what stands there.
 */
export function parseKeyText(kind: KeyFileKind, path: string, text: string): { id: Id<"key">; secret: Buffer } {
  const invalid = (why: string) =>
    new VaultError("key_file_invalid", `${path} ${why}. Put back the ${kind} key file that belongs to this database`);
  const words = text.trimEnd().split(" ");
  const label = words[0] ?? "";
  if (label !== KEY_FILE_LABEL[kind]) {
    const other = Object.values(KEY_FILE_LABEL).find((known) => known === label);
    if (other !== undefined) throw invalid(`holds another kind of key (${other})`);
    throw invalid(`is not a ${kind} key file of this version: it does not begin with ${KEY_FILE_LABEL[kind]}`);
  }
  const [, idText = "", secretText = "", checksumText = ""] = words;
  const id = parseId("key", idText);
  const secret = decodeBase32(secretText, SECRET_BYTES);
  const stored = decodeBase32(checksumText, CHECKSUM_BYTES);
  if (words.length !== 4 || id === null || secret === null || stored === null) throw invalid("is damaged or cut short");
  if (!equal(stored, checksum(words.slice(0, 3).join(" ")))) throw invalid("is damaged: its checksum is wrong");
  if (secret.every((byte) => byte === secret[0])) throw invalid("holds no key: all its bytes are the same");
  return { id, secret };
}

function checksum(text: string): Buffer {
  return sha256(Buffer.from(text, "ascii")).subarray(0, CHECKSUM_BYTES);
}
