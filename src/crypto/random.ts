import { randomBytes as systemRandomBytes } from "node:crypto";
import { makeId } from "#base";
import type { Clock, Id, IdPrefix, IdSource } from "#base";

/** `count` bytes that nobody can guess, from the operating system's generator. */
export function randomBytes(count: number): Buffer {
  return systemRandomBytes(count);
}

const COUNTER_MAX = 0xfff;
const COUNTER_START_MASK = 0x7ff;

/**
 * Ids in the order of their making: each is greater than all that this source made before, also within one millisecond
 * and when the clock runs back.
 *
 * The twelve bits after the version (`rand_a`) are a counter that starts anywhere in its lower half with each millisecond
 * (RFC 9562 section 6.2, method 1); the 62 bits after the variant are random in every id. Where the counter is full, the
 * id takes the next millisecond early.
 */
export function createIdSource(clock: Clock): IdSource {
  let timeMs = -1;
  let counter = 0;
  return {
    next<P extends IdPrefix>(prefix: P): Id<P> {
      const random = randomBytes(10);
      const nowMs = clock.now().getTime();
      if (nowMs <= timeMs && counter < COUNTER_MAX) {
        counter += 1;
      } else {
        timeMs = Math.max(nowMs, timeMs + 1);
        counter = random.readUInt16BE() & COUNTER_START_MASK;
      }
      random.writeUInt16BE(counter);
      return makeId(prefix, timeMs, random);
    },
  };
}
