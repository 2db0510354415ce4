/**
 * Crockford's base32 in lower case, without check symbol or padding: the one alphabet of ids and tokens. It has no
 * punctuation, so a double click selects the whole word, and no i, l, o, u.
 */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const VALUES = new Map(Array.from(ALPHABET, (letter, value) => [letter, value] as const));

/** Big-endian bytes as base32, padded on the left with zero bits to a whole number of letters. */
export function encodeBase32(bytes: Uint8Array): string {
  let out = "";
  let carry = 0;
  let bits = (5 - ((bytes.length * 8) % 5)) % 5;
  for (const byte of bytes) {
    carry = (carry << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += ALPHABET.charAt((carry >>> bits) & 31);
    }
    carry &= (1 << bits) - 1;
  }
  return out;
}

/**
 * The inverse of {@link encodeBase32}: `null` unless `text` is exactly how `length` bytes are written (right number of
 * letters, no letter outside the alphabet, the padding bits zero), so that each value has one spelling.
 */
export function decodeBase32(text: string, length: number): Buffer | null {
  if (text.length !== Math.ceil((length * 8) / 5)) return null;
  const out = Buffer.alloc(length);
  let carry = 0;
  let bits = 0;
  let at = 0;
  let padding = (5 - ((length * 8) % 5)) % 5;
  for (const letter of text) {
    const value = VALUES.get(letter);
    if (value === undefined) return null;
    carry = (carry << 5) | value;
    bits += 5;
    if (padding > 0) {
      bits -= padding;
      if (carry >>> bits !== 0) return null;
      padding = 0;
    }
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (carry >>> bits) & 255;
      carry &= (1 << bits) - 1;
    }
  }
  return out;
}
