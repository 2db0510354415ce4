import { decodeBase32, encodeBase32 } from "./base32.ts";

/** What an id can name, with what stands before its underscore. */
export const ID_PREFIXES = {
  org: "org",
  environment: "env",
  namespace: "nsp",
  principal: "prn",
  credential: "crd",
  session: "ses",
  grant: "grt",
  secret: "sec",
  workload: "wkl",
  manifest: "man",
  deployment: "dep",
  injection: "inj",
  lease: "lea",
  key: "key",
  event: "evt",
  checkpoint: "chk",
} as const;
export type IdPrefix = (typeof ID_PREFIXES)[keyof typeof ID_PREFIXES];

declare const brand: unique symbol;

/**
 * A TypeID: `prefix_` and 26 letters, a UUIDv7 in lower-case base32 (TypeID specification 0.3; RFC 9562 section 5.7).
 * Sixteen bytes in storage. Ids sort by the time of their making. An id is never a secret.
 */
export type Id<P extends IdPrefix> = `${P}_${string}` & { readonly [brand]: P };

/** Where new ids come from. Injected, so that a test can say what they are. */
export interface IdSource {
  next<P extends IdPrefix>(prefix: P): Id<P>;
}

const ID_BYTES = 16;

/** The pseudo-org that owns the instance's own rows and its audit chain: the nil UUID, which no org can have. */
export const INSTANCE: Id<"org"> = bytesToId("org", Buffer.alloc(ID_BYTES));

/** A UUIDv7 from the time (epoch milliseconds) and ten random bytes, of which 74 bits are used. */
export function makeId<P extends IdPrefix>(prefix: P, timeMs: number, random: Uint8Array): Id<P> {
  const bytes = Buffer.alloc(ID_BYTES);
  bytes.writeUIntBE(timeMs, 0, 6);
  bytes.set(random.subarray(0, 10), 6);
  bytes[6] = 0x70 | ((bytes[6] ?? 0) & 0x0f);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  return bytesToId(prefix, bytes);
}

/** `text` as an id of this prefix, or `null` when it is not one. */
export function parseId<P extends IdPrefix>(prefix: P, text: string): Id<P> | null {
  return isId(prefix, text) ? text : null;
}

export function isId<P extends IdPrefix>(prefix: P, text: string): text is Id<P> {
  return text.startsWith(`${prefix}_`) && decodeBase32(text.slice(prefix.length + 1), ID_BYTES) !== null;
}

/** When an id was made, by the clock of whoever made it. The nil id has no time: 1970. */
export function timeOfId(id: Id<IdPrefix>): Date {
  return new Date(idToBytes(id).readUIntBE(0, 6));
}

/** The sixteen bytes of an id, for storage and for associated data. */
export function idToBytes<P extends IdPrefix>(id: Id<P>): Buffer {
  const bytes = decodeBase32(id.slice(id.indexOf("_") + 1), ID_BYTES);
  if (bytes === null) throw new TypeError("not an id");
  return bytes;
}

/** The id of these sixteen bytes. */
export function bytesToId<P extends IdPrefix>(prefix: P, bytes: Uint8Array): Id<P> {
  if (bytes.length !== ID_BYTES) throw new TypeError("an id has sixteen bytes");
  return `${prefix}_${encodeBase32(bytes)}` as Id<P>;
}
