/**
 * Signed notes, and the checkpoints that are written as such: the text formats of c2sp.org/signed-note and
 * c2sp.org/tlog-checkpoint, with Ed25519. Line by line, each ended by one newline:
 *
 *     vault.example/org/0        origin: which tree
 *     1002                       size: leaves, decimal
 *     47DEQpj8HBSa+…ZJWZG3hSuFU= root: 32 bytes, base64
 *     key value                  extensions: any number of lines, not empty
 *                                (empty: ends the text)
 *     — vault.example 2kfRx…AQ== em dash, name of the key, base64(key hash (4) ‖ signature (64)); a line for each signature
 *
 * A signature is over the UTF-8 bytes of the text: all lines above the last empty one, with the newline of each.
 *
 * Each thing has one spelling: what is read and written again is the same, byte for byte.
 */
import { noteKeyHash, verifySignature } from "#crypto";
import type { Signer } from "#crypto";

/** The head of a tree: its name, how many leaves it has (at most 2^53 − 1), and its root (32 bytes). */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  readonly extensions: readonly string[];
}

/** A key that is trusted, and the name it signs under. The public key is the 32 bytes of RFC 8032. */
export interface Verifier {
  readonly name: string;
  readonly publicKey: Uint8Array;
}

export interface OpenedNote {
  readonly text: string;
  /** Names of the verifiers that signed, each once, in the order of the note. */
  readonly verifiedBy: readonly string[];
}

const ED25519 = 0x01;
const KEY_BYTES = 32;
const KEY_HASH_BYTES = 4;
const SIGNATURE_BYTES = 64;
const ROOT_BYTES = 32;
/** As many as Go's own reader takes; the format asks for 16 at least. A note must not be a way to keep a verifier busy. */
const MAX_SIGNATURES = 100;

/** What may not stand where. Each looks for one character, so that no text, however long, makes them slow or deep. */
const NOT_IN_KEY_NAME = /[\p{White_Space}\p{Cc}+]/u;
const NOT_IN_LINE = /\p{Cc}/u;
const NOT_IN_TEXT = /[^\P{Cc}\n]/u;
const SIZE = /^(?:0|[1-9][0-9]{0,15})$/;

/** The text of a note that states this tree head. Throws TypeError for what the format cannot say. */
export function formatCheckpoint({ origin, size, root, extensions }: Checkpoint): string {
  if (!Number.isSafeInteger(size) || size < 0) throw new TypeError("a tree has a whole number of leaves");
  if (root.length !== ROOT_BYTES) throw new TypeError("a root has 32 bytes");
  const lines = [origin, String(size), toBase64(root), ...extensions];
  if (!lines.every(isLine)) throw new TypeError("a checkpoint's lines are not empty and have no control characters");
  return lines.map((line) => `${line}\n`).join("");
}

/** The inverse of {@link formatCheckpoint}: `null` for any text that it does not write. Trust it only from a note that opened. */
export function parseCheckpoint(text: string): Checkpoint | null {
  if (!text.endsWith("\n")) return null;
  const [origin, size, encodedRoot, ...extensions] = text.slice(0, -1).split("\n");
  if (origin === undefined || size === undefined || encodedRoot === undefined) return null;
  if (![origin, ...extensions].every(isLine) || !SIZE.test(size) || !Number.isSafeInteger(Number(size))) return null;
  const root = fromBase64(encodedRoot);
  return root?.length === ROOT_BYTES ? { origin, size: Number(size), root, extensions } : null;
}

/**
 * The note of `text` with one signature. The text ends with a newline and has no other control characters; else, and
 * for a signer whose name no note can carry, TypeError: such a note would not open.
 */
export function signNote(text: string, signer: Signer): string {
  if (!isText(text)) throw new TypeError("a note's text ends with a newline, its only control");
  const keyHash = keyHashOf(signer.name, signer.publicKey);
  const signature = signer.sign(Buffer.from(text));
  return `${text}\n\u2014 ${signer.name} ${toBase64(Buffer.concat([keyHash, signature]))}\n`;
}

/**
 * The text of a note and who signed it, or `null` unless it is well formed, at least one verifier signed it, and no
 * signature under a verifier's name and key hash is wrong. Signatures of other keys say nothing and are ignored. Throws
 * TypeError for a verifier that cannot be one.
 */
export function openNote(note: string, verifiers: readonly Verifier[]): OpenedNote | null {
  // The text may hold empty lines: the last one ends it.
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !isText(note)) return null;
  const text = note.slice(0, end + 1);
  const lines = note.slice(end + 2, -1).split("\n");
  if (lines.length > MAX_SIGNATURES) return null;

  const known = verifiers.map((verifier) => ({ ...verifier, keyHash: keyHashOf(verifier.name, verifier.publicKey) }));
  const message = Buffer.from(text);
  const verifiedBy = new Set<string>();
  for (const line of lines) {
    const signed = parseSignatureLine(line);
    if (signed === null) return null;
    for (const { name, keyHash, publicKey } of known) {
      if (name !== signed.name || !keyHash.equals(signed.keyHash)) continue;
      if (signed.signature.length !== SIGNATURE_BYTES) return null;
      if (!verifySignature(publicKey, message, signed.signature)) return null;
      verifiedBy.add(name);
    }
  }
  return verifiedBy.size === 0 ? null : { text, verifiedBy: [...verifiedBy] };
}

/** `name+hash+key`, which is how a key that is to be trusted travels. Throws TypeError for a name no note can carry. */
export function formatVerifierKey(name: string, publicKey: Uint8Array): string {
  const keyHash = keyHashOf(name, publicKey).toString("hex");
  return `${name}+${keyHash}+${toBase64(Buffer.concat([Buffer.of(ED25519), publicKey]))}`;
}

/** The inverse of {@link formatVerifierKey}: `null` for any text that it does not write, other algorithms included. */
export function parseVerifierKey(text: string): Verifier | null {
  // Neither name nor hash holds a plus; the base64 of the key may.
  const [name, keyHash, ...rest] = text.split("+");
  if (name === undefined || !isKeyName(name)) return null;
  const bytes = fromBase64(rest.join("+"));
  if (bytes?.length !== 1 + KEY_BYTES || bytes[0] !== ED25519) return null;
  const publicKey = bytes.subarray(1);
  return keyHashOf(name, publicKey).toString("hex") === keyHash ? { name, publicKey } : null;
}

/** Which key a line is of: short, and no proof of anything. Throws TypeError for a name or a key that cannot be one. */
function keyHashOf(name: string, publicKey: Uint8Array): Buffer {
  if (!isKeyName(name)) throw new TypeError("a key's name has no spaces, no plus and no control characters");
  if (publicKey.length !== KEY_BYTES) throw new TypeError("an Ed25519 public key has 32 bytes");
  return noteKeyHash(name, publicKey);
}

function parseSignatureLine(line: string): { name: string; keyHash: Buffer; signature: Buffer } | null {
  const [dash, name, signature, ...rest] = line.split(" ", 4);
  if (dash !== "\u2014" || name === undefined || signature === undefined || rest.length > 0) return null;
  if (!isKeyName(name)) return null;
  const bytes = fromBase64(signature);
  if (bytes === null || bytes.length <= KEY_HASH_BYTES) return null;
  return { name, keyHash: bytes.subarray(0, KEY_HASH_BYTES), signature: bytes.subarray(KEY_HASH_BYTES) };
}

function isKeyName(name: string): boolean {
  return name !== "" && !NOT_IN_KEY_NAME.test(name) && isWellFormed(name);
}

/** Lines, each with its newline, and no other control character: those of a terminal have no place in a signed text. */
function isText(text: string): boolean {
  return text.endsWith("\n") && !NOT_IN_TEXT.test(text) && isWellFormed(text);
}

function isLine(text: string): boolean {
  return text !== "" && !NOT_IN_LINE.test(text) && isWellFormed(text);
}

/** Half a surrogate pair has no bytes in UTF-8: it would be signed as another character than it is read. */
function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString() === text;
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

/** RFC 4648 section 4 with its padding, the one spelling of these bytes; `null` for any other. */
function fromBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, "base64");
  return toBase64(bytes) === text ? bytes : null;
}
