import { timingSafeEqual } from "node:crypto";

/** Whether two runs of bytes are the same, in a time that depends on their lengths only. Different lengths are not. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
