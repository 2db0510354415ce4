import { bytesToId, idToBytes } from "#base";
import type { Id, IdPrefix } from "#base";

/** What a driver takes and gives. Integers stay below 2^53; ids and digests are bytes; JSON is text. */
export type Raw = string | number | bigint | Buffer | null;

/** One column: its type in the program, and how it is written. */
export interface Column<T> {
  encode(value: T): Raw;
  decode(raw: Raw): T;
}

/** Whether a text holds U+0000, which PostgreSQL keeps in no text: so no row of either engine has one. */
export function holdsNul(raw: unknown): boolean {
  return typeof raw === "string" && raw.includes("\0");
}

function bytesOf(raw: Raw): Buffer {
  if (Buffer.isBuffer(raw)) return raw;
  throw new TypeError("the store holds another type than declared");
}

export const id = <P extends IdPrefix>(prefix: P): Column<Id<P>> => ({
  encode: idToBytes,
  decode: (raw) => bytesToId(prefix, bytesOf(raw)),
});
export const bytes: Column<Buffer> = { encode: (value) => value, decode: bytesOf };
/** Text, of a closed set where the type says so: the row's MAC vouches for what is read back. */
export const text = <T extends string = string>(): Column<T> => ({
  encode: (value) => value,
  decode: (raw) => String(raw) as T,
});
export const int: Column<number> = { encode: (value) => value, decode: Number };
export const bool: Column<boolean> = { encode: (value) => (value ? 1 : 0), decode: (raw) => Number(raw) === 1 };
/** Epoch milliseconds on disk. */
export const time: Column<Date> = { encode: (value) => value.getTime(), decode: (raw) => new Date(Number(raw)) };
export const json = <T>(): Column<T> => ({
  encode: (value) => JSON.stringify(value),
  decode: (raw) => JSON.parse(String(raw)) as T,
});
export const nullable = <T>(column: Column<T>): Column<T | null> => ({
  encode: (value) => (value === null ? null : column.encode(value)),
  decode: (raw) => (raw === null ? null : column.decode(raw)),
});
