import { VaultError } from "#base";

/** What associated data and MACs are made of. A number is a safe integer; `null` is not the empty string. */
export type Field = string | number | Uint8Array | null;

const TYPE = { none: 0, text: 1, integer: 2, bytes: 3 } as const;
const HALF_PAIR = /\p{Surrogate}/u;
const WORD = 2 ** 32;

/**
 * The fields as one run of bytes that no other list of fields has.
 *
 *     list  = count(4) field*
 *     field = 0x00 length(4)=0               null
 *           | 0x01 length(4) UTF-8           string
 *           | 0x02 length(4)=8 integer(8)    number, two's complement
 *           | 0x03 length(4) bytes           Uint8Array
 *
 * All integers are big-endian. Throws `invalid_input` for a string that UTF-8 cannot hold (half a surrogate pair: two of
 * them would become the same bytes), TypeError for a number that is not a safe integer.
 */
export function frame(fields: readonly Field[]): Buffer {
  const count = Buffer.allocUnsafe(4);
  count.writeUInt32BE(fields.length);
  const parts: Uint8Array[] = [count];
  for (const field of fields) {
    const [type, content] = encode(field);
    const head = Buffer.allocUnsafe(5);
    head.writeUInt8(type);
    head.writeUInt32BE(content.length, 1);
    parts.push(head, content);
  }
  return Buffer.concat(parts);
}

function encode(field: Field): readonly [number, Uint8Array] {
  if (field === null) return [TYPE.none, Buffer.alloc(0)];
  if (typeof field === "string") return [TYPE.text, encodeText(field)];
  if (typeof field === "number") return [TYPE.integer, encodeInteger(field)];
  return [TYPE.bytes, field];
}

function encodeText(text: string): Buffer {
  if (HALF_PAIR.test(text)) throw new VaultError("invalid_input", "A text holds half a surrogate pair");
  return Buffer.from(text, "utf8");
}

function encodeInteger(value: number): Buffer {
  if (!Number.isSafeInteger(value)) throw new TypeError("a number in a frame is a safe integer");
  const high = Math.floor(value / WORD);
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeInt32BE(high);
  bytes.writeUInt32BE(value - high * WORD, 4);
  return bytes;
}
