import { crc32 } from "node:zlib";
import { Redacted, bytesToId, decodeBase32, encodeBase32, idToBytes } from "#base";
import type { Id } from "#base";
import { sha256 } from "./hash.ts";
import { randomBytes } from "./random.ts";

/** Each kind of token, with the prefix of the id inside it: the row that knows the token's digest. */
const ID_PREFIX = {
  /** injection */
  inj: "inj",
  /** service user */
  svc: "crd",
  /** session */
  ses: "ses",
  lease: "lea",
  /** tool use, in the name of a lease */
  tool: "lea",
  /** invoke */
  inv: "crd",
  /** set-up and invitation */
  set: "crd",
} as const;

export type TokenKind = keyof typeof ID_PREFIX;
export type TokenId<K extends TokenKind> = Id<(typeof ID_PREFIX)[K]>;

/** A token as its text tells it. Nothing of it is true until the row of `id` in `org` holds this digest. */
export type ParsedToken<K extends TokenKind = TokenKind> = {
  [Kind in K]: {
    readonly kind: Kind;
    readonly org: Id<"org">;
    /** Sixteen bytes; see {@link tokenId}. */
    readonly id: Buffer;
    /** SHA-256 over the whole text: what is stored. */
    readonly digest: Buffer;
  };
}[K];

/**
 * What every token looks like, as the source of a regular expression for secret scanners. It needs no flags and no
 * anchors: 109 letters after the prefix are enough to be sure.
 */
export const TOKEN_PATTERN = "sp_(?:inj|svc|ses|lease|tool|inv|set)_[0-9a-f][0-9a-hjkmnp-tv-z]{108}";

const WHOLE = new RegExp(`^(?=${TOKEN_PATTERN}$)sp_([a-z]+)_(.+)$`);
const ID_BYTES = 16;
const SECRET_BYTES = 32;
const CHECKED_BYTES = 2 * ID_BYTES + SECRET_BYTES;
const TOKEN_BYTES = CHECKED_BYTES + 4;

/**
 * A new token and the digest by which the vault will know it. The text leaves the vault once and is not kept.
 *
 *     text  = "sp_" kind "_" base32(org id(16) | id(16) | secret(32) | crc32(4))
 *     crc32 = CRC-32 (as zlib's) over kind | org id | id | secret
 *
 * 109 letters after the prefix. The checksum tells a slip of the pen from a stranger; it proves nothing.
 */
export function generateToken<K extends TokenKind>(
  kind: K,
  org: Id<"org">,
  id: TokenId<K>,
): { readonly text: Redacted<string>; readonly digest: Buffer } {
  const checked = Buffer.concat([idToBytes(org), idToBytes(id), randomBytes(SECRET_BYTES)]);
  const text = `sp_${kind}_${encodeBase32(Buffer.concat([checked, checksum(kind, checked)]))}`;
  return { text: new Redacted(text), digest: digestOf(text) };
}

/** The parts of a token, or `null` for any text that is not spelled exactly as {@link generateToken} spells one. */
export function parseToken(text: string): ParsedToken | null {
  const [, kind = "", letters = ""] = WHOLE.exec(text) ?? [];
  if (!isKind(kind)) return null;
  const bytes = decodeBase32(letters, TOKEN_BYTES);
  if (bytes === null) return null;
  const checked = bytes.subarray(0, CHECKED_BYTES);
  if (!checksum(kind, checked).equals(bytes.subarray(CHECKED_BYTES))) return null;
  return {
    kind,
    org: bytesToId("org", checked.subarray(0, ID_BYTES)),
    // A copy, so that who keeps the id does not keep the secret.
    id: Buffer.from(checked.subarray(ID_BYTES, 2 * ID_BYTES)),
    digest: digestOf(text),
  };
}

/** The id inside a token, with the prefix that its kind has. */
export function tokenId<K extends TokenKind>(token: ParsedToken<K>): TokenId<K> {
  return bytesToId(ID_PREFIX[token.kind], token.id);
}

function isKind(text: string): text is TokenKind {
  return Object.hasOwn(ID_PREFIX, text);
}

function digestOf(text: string): Buffer {
  return sha256(Buffer.from(text, "ascii"));
}

function checksum(kind: TokenKind, checked: Uint8Array): Buffer {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(checked, crc32(kind)));
  return sum;
}
