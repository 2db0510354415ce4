import { createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { TestContext } from "vitest";
import { isVaultError } from "#base";
import { createIdSource, symmetricKey, verifySignature } from "#crypto";
import { insecureSealWithNonce, openWithAssociatedBytes, sealedKeyId } from "../../src/crypto/aead.ts";
import { createMacKey } from "../../src/crypto/mac.ts";

interface Case {
  readonly tcId: number;
  readonly result: "valid" | "acceptable" | "invalid";
}
interface Vectors<G, C extends Case> {
  readonly testGroups: readonly (G & { readonly tests: readonly C[] })[];
}
interface AeadCase extends Case {
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag: string;
}
interface MacCase extends Case {
  readonly key: string;
  readonly msg: string;
  readonly tag: string;
}
interface SignatureCase extends Case {
  readonly msg: string;
  readonly sig: string;
}

const id = createIdSource({ now: () => new Date(1_700_000_000_000) }).next("key");
const hex = (text: string) => Buffer.from(text, "hex");

/** The vectors in the folder that SALLYPORT_VECTORS names; skips the test, with the reason, where it names none. */
function vectors<G, C extends Case>(context: TestContext, file: string): Vectors<G, C> {
  const folder = process.env.SALLYPORT_VECTORS;
  if (folder === undefined || folder === "") return context.skip("SALLYPORT_VECTORS names no folder of known answers");
  return JSON.parse(readFileSync(join(folder, file), "utf8")) as Vectors<G, C>;
}

describe("Known answers of Wycheproof", () => {
  test("R65: seal and open agree with all 66 cases of AES-256-GCM with 96 bits of nonce and 128 of tag", (context) => {
    const { testGroups } = vectors<{ keySize: number; ivSize: number; tagSize: number }, AeadCase>(
      context,
      "wycheproof_aes_gcm.json",
    );
    const cases = testGroups
      .filter(({ keySize, ivSize, tagSize }) => keySize === 256 && ivSize === 96 && tagSize === 128)
      .flatMap(({ tests }) => tests);
    expect(cases).toHaveLength(66);
    expect(new Set(cases.map(({ result }) => result))).toEqual(new Set(["valid", "invalid"]));

    for (const { tcId, result, ...known } of cases) {
      const key = symmetricKey(id, hex(known.key));
      const mine = insecureSealWithNonce(key, hex(known.iv), hex(known.aad), hex(known.msg));
      const head = mine.subarray(0, 17);
      const theirs = Buffer.concat([head, hex(known.iv), hex(known.ct), hex(known.tag)]);
      expect(sealedKeyId(theirs)).toBe(id);
      if (result === "valid") {
        expect(mine.equals(theirs), `case ${tcId} is sealed as known`).toBe(true);
        expect(openWithAssociatedBytes(key, hex(known.aad), theirs).toString("hex"), `case ${tcId}`).toBe(known.msg);
      } else {
        expect(
          codeOf(() => openWithAssociatedBytes(key, hex(known.aad), theirs)),
          `case ${tcId}`,
        ).toBe("integrity_failed");
      }
    }
  });

  test("a MAC key agrees with all cases of HMAC-SHA-256 that have the full tag", (context) => {
    const { testGroups } = vectors<{ tagSize: number }, MacCase>(context, "wycheproof_hmac_sha256.json");
    const cases = testGroups.filter(({ tagSize }) => tagSize === 256).flatMap(({ tests }) => tests);
    expect(cases.length).toBe(87);
    for (const { tcId, key, msg, tag, result } of cases) {
      const mac = createMacKey({ id, key: createSecretKey(hex(key)) });
      expect(mac.verify(hex(msg), hex(tag)), `case ${tcId}`).toBe(result === "valid");
    }
  });

  test("verifySignature agrees with all 151 cases of Ed25519", (context) => {
    const { testGroups } = vectors<{ publicKey: { pk: string } }, SignatureCase>(context, "wycheproof_ed25519.json");
    let count = 0;
    for (const { publicKey, tests } of testGroups) {
      for (const { tcId, msg, sig, result } of tests) {
        expect(verifySignature(hex(publicKey.pk), hex(msg), hex(sig)), `case ${tcId}`).toBe(result === "valid");
        count += 1;
      }
    }
    expect(count).toBe(151);
  });
});

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return isVaultError(error) ? error.code : String(error);
  }
  return "opened";
}
