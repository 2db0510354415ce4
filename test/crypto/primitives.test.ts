import { describe, expect, test } from "vitest";
import { idToBytes } from "#base";
import { createIdSource, equal, randomBytes, sha256 } from "#crypto";

describe("equal", () => {
  test("is true for the same bytes and false for others, also of another length", () => {
    expect(equal(Buffer.from("abc"), Uint8Array.of(97, 98, 99))).toBe(true);
    expect(equal(Buffer.alloc(0), Buffer.alloc(0))).toBe(true);
    expect(equal(Buffer.from("abc"), Buffer.from("abd"))).toBe(false);
    expect(equal(Buffer.from("abc"), Buffer.from("abcd"))).toBe(false);
    expect(equal(Buffer.from("abc"), Buffer.alloc(0))).toBe(false);
  });
});

describe("sha256", () => {
  test("agrees with FIPS 180-4 and reads its parts as one", () => {
    const known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    expect(sha256(Buffer.from("abc")).toString("hex")).toBe(known);
    expect(sha256(Buffer.from("a"), Buffer.alloc(0), Buffer.from("bc")).toString("hex")).toBe(known);
  });
});

describe("randomBytes", () => {
  test("gives as many as asked for, and others each time", () => {
    expect(randomBytes(32)).toHaveLength(32);
    expect(randomBytes(32).equals(randomBytes(32))).toBe(false);
  });
});

describe("An id source", () => {
  const start = 1_700_000_000_000;

  test("makes strictly increasing ids while the clock stands, runs and runs back", () => {
    let now = start;
    const ids = createIdSource({ now: () => new Date(now) });
    const made: string[] = [];
    for (const step of [0, 1, -5, 1_000, -60_000]) {
      now += step;
      for (let n = 0; n < 5_000; n += 1) made.push(ids.next("evt"));
    }
    for (const [at, id] of made.entries()) {
      if (at > 0 && id <= (made[at - 1] ?? "")) expect.fail(`id ${at} is not greater than the one before`);
    }
    expect(new Set(made).size).toBe(25_000);
  });

  test("makes UUIDs of version 7 that begin with the time and end in 62 random bits", () => {
    const ids = createIdSource({ now: () => new Date(start) });
    const made = Array.from({ length: 100 }, () => idToBytes(ids.next("key")));
    for (const bytes of made) {
      expect(bytes.readUIntBE(0, 6)).toBe(start);
      expect((bytes[6] ?? 0) >> 4).toBe(7);
      expect((bytes[8] ?? 0) >> 6).toBe(2);
    }
    expect(new Set(made.map((bytes) => bytes.subarray(9).toString("hex"))).size).toBe(100);
  });

  test("runs ahead of a standing clock by no more than the ids ask for", () => {
    const ids = createIdSource({ now: () => new Date(start) });
    let last: Buffer = Buffer.alloc(16);
    for (let n = 0; n < 20_000; n += 1) last = idToBytes(ids.next("key"));
    expect(last.readUIntBE(0, 6) - start).toBeLessThanOrEqual(10);
  });
});
