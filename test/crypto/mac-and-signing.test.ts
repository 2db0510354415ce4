import { describe, expect, test } from "vitest";
import {
  createIdSource,
  createSigner,
  generateSigningKey,
  noteKeyHash,
  randomBytes,
  symmetricKey,
  verifySignature,
} from "#crypto";
import { createMacKey } from "../../src/crypto/mac.ts";

const ids = createIdSource({ now: () => new Date(1_700_000_000_000) });

describe("A MAC key", () => {
  const mac = createMacKey(symmetricKey(ids.next("key"), randomBytes(32)));
  const message = Buffer.from("principal, owner");

  test("verifies its own tags of 32 bytes", () => {
    expect(mac.sign(message)).toHaveLength(32);
    expect(mac.verify(message, mac.sign(message))).toBe(true);
  });

  test("verifies no other message, no other key's tag, no flipped bit and no part of a tag", () => {
    const tag = mac.sign(message);
    expect(mac.verify(Buffer.from("principal, ownes"), tag)).toBe(false);
    expect(createMacKey(symmetricKey(mac.id, randomBytes(32))).verify(message, tag)).toBe(false);
    for (let at = 0; at < tag.length; at += 1) {
      const flipped = Buffer.from(tag);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      expect(mac.verify(message, flipped)).toBe(false);
      expect(mac.verify(message, tag.subarray(0, at))).toBe(false);
    }
  });
});

describe("A signer", () => {
  test("agrees with RFC 8032, test 2", () => {
    const seed = Buffer.from("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "hex");
    const signer = createSigner("example.com/log", seed);
    expect(signer.publicKey.toString("hex")).toBe("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    expect(signer.sign(Uint8Array.of(0x72)).toString("hex")).toBe(
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
  });

  test("has the key hash of a C2SP signed note: the example of Go's sumdb/note", () => {
    const [name = "", hash, key = ""] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".split(
      "+",
      3,
    );
    const publicKey = Buffer.from(key, "base64").subarray(1);
    expect(noteKeyHash(name, publicKey).toString("hex")).toBe(hash);
  });

  test("is verified for its message and key only, and bytes that are neither key nor signature are just false", () => {
    const signer = createSigner("vault", generateSigningKey());
    const message = Buffer.from("checkpoint");
    const signature = signer.sign(message);
    expect(signature).toHaveLength(64);
    expect(signer.keyHash.equals(noteKeyHash("vault", signer.publicKey))).toBe(true);
    expect(verifySignature(signer.publicKey, message, signature)).toBe(true);
    expect(verifySignature(signer.publicKey, Buffer.from("Checkpoint"), signature)).toBe(false);
    expect(verifySignature(createSigner("vault", generateSigningKey()).publicKey, message, signature)).toBe(false);
    for (let at = 0; at < 64; at += 1) {
      const flipped = Buffer.from(signature);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      expect(verifySignature(signer.publicKey, message, flipped)).toBe(false);
      expect(verifySignature(signer.publicKey, message, signature.subarray(0, at))).toBe(false);
    }
    for (const key of [Buffer.alloc(0), Buffer.alloc(31), Buffer.alloc(33), Buffer.alloc(32, 0xff)]) {
      expect(verifySignature(key, message, signature)).toBe(false);
    }
  });

  test.each(["", "two words", "a+b", "line\nfeed", "thin\u2009space"])(
    "takes no name that a note could not hold: %j",
    (name) => {
      expect(() => createSigner(name, generateSigningKey())).toThrow(TypeError);
    },
  );

  test("prints nothing of its seed", () => {
    const seed = generateSigningKey();
    expect(JSON.stringify(createSigner("vault", seed))).not.toContain(seed.toString("base64"));
  });
});
