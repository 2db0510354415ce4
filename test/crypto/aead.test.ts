import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesToId, idToBytes } from "#base";
import { createIdSource, open, randomBytes, seal, sealedKeyId, symmetricKey } from "#crypto";
import type { Field } from "#crypto";

const ids = createIdSource({ now: () => new Date(1_700_000_000_000) });
const key = symmetricKey(ids.next("key"), randomBytes(32));
const about: Field[] = ["value", Buffer.alloc(16, 7), "DB_URL", 3];
const integrityFailed = expect.objectContaining({
  code: "integrity_failed",
  message: "A stored row does not prove itself",
  detail: {},
});

describe("Sealed bytes", () => {
  test("open to what was sealed, whatever it is", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (plaintext) => {
        expect(open(key, about, seal(key, about, plaintext)).equals(plaintext)).toBe(true);
      }),
    );
    const large = randomBytes(64 * 1024);
    expect(open(key, about, seal(key, about, large)).equals(large)).toBe(true);
  });

  test("are version, key id, nonce, ciphertext and tag, with another nonce each time", () => {
    const [one, two] = [seal(key, about, Buffer.from("hello")), seal(key, about, Buffer.from("hello"))];
    expect(one).toHaveLength(1 + 16 + 12 + 5 + 16);
    expect(one[0]).toBe(1);
    expect(one.subarray(1, 17).equals(idToBytes(key.id))).toBe(true);
    expect(one.subarray(17, 29).equals(two.subarray(17, 29))).toBe(false);
    expect(one.includes("hello")).toBe(false);
    expect(sealedKeyId(one)).toBe(key.id);
  });

  test("of version 1 that were stored long ago still open", () => {
    const old = symmetricKey(
      bytesToId("key", Buffer.from("018bcfe568007abc8def0123456789ab", "hex")),
      Buffer.alloc(32, 0x42),
    );
    const stored = [
      "01",
      "018bcfe568007abc8def0123456789ab",
      "c8570d0e631244fdd0501df4",
      "5ad685b09fc090",
      "10dad629f27eec60aedf7429342b8d7f",
    ];
    expect(open(old, ["value", "DB_URL", 3], Buffer.from(stored.join(""), "hex")).toString()).toBe("hunter2");
  });

  test("do not open with any one bit flipped, in any byte", () => {
    const sealed = seal(key, about, Buffer.from("a value of some length"));
    let tried = 0;
    for (let at = 0; at < sealed.length; at += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const flipped = Buffer.from(sealed);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
        expect(() => open(key, about, flipped)).toThrow(integrityFailed);
        tried += 1;
      }
    }
    expect(tried).toBe(sealed.length * 8);
  });

  test("do not open cut at either end, lengthened or empty", () => {
    const sealed = seal(key, about, Buffer.from("a value"));
    for (let cut = 1; cut <= sealed.length; cut += 1) {
      expect(() => open(key, about, sealed.subarray(0, sealed.length - cut))).toThrow(integrityFailed);
      expect(() => open(key, about, sealed.subarray(cut))).toThrow(integrityFailed);
    }
    expect(() => open(key, about, Buffer.concat([sealed, Buffer.alloc(1)]))).toThrow(integrityFailed);
    expect(sealedKeyId(sealed.subarray(0, 44))).toBeNull();
    expect(sealedKeyId(Buffer.concat([Uint8Array.of(2), sealed.subarray(1)]))).toBeNull();
  });

  test("do not open with a shortened tag", () => {
    const sealed = seal(key, about, Buffer.alloc(0));
    for (const length of [4, 8, 12, 15]) {
      expect(() => open(key, about, sealed.subarray(0, 29 + length))).toThrow(integrityFailed);
    }
  });

  test("do not open under other associated data", () => {
    const sealed = seal(key, about, Buffer.from("a value"));
    const others: Field[][] = [
      [],
      about.slice(0, -1),
      [...about, null],
      ["wrap", ...about.slice(1)],
      [...about.slice(0, -1), 4],
      [...about.slice(0, -1), "3"],
    ];
    for (const other of others) expect(() => open(key, other, sealed)).toThrow(integrityFailed);
  });

  test("do not open with another key, nor with the same bytes under another id", () => {
    const bytes = randomBytes(32);
    const mine = symmetricKey(ids.next("key"), bytes);
    const namesake = symmetricKey(mine.id, randomBytes(32));
    const double = symmetricKey(ids.next("key"), bytes);
    const sealed = seal(mine, about, Buffer.from("a value"));
    for (const other of [key, namesake, double]) expect(() => open(other, about, sealed)).toThrow(integrityFailed);
    const relabelled = Buffer.concat([sealed.subarray(0, 1), idToBytes(double.id), sealed.subarray(17)]);
    expect(() => open(double, about, relabelled)).toThrow(integrityFailed);
  });

  test("take a key of 32 bytes and no other", () => {
    for (const length of [0, 16, 24, 31, 33])
      expect(() => symmetricKey(key.id, Buffer.alloc(length))).toThrow(TypeError);
  });

  test("come of a key that prints nothing of itself", () => {
    const bytes = randomBytes(32);
    const printed = JSON.stringify(symmetricKey(key.id, bytes));
    expect(printed).not.toContain(bytes.toString("hex"));
    expect(printed).not.toContain(bytes.toString("base64"));
  });
});
