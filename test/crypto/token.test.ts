import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bytesToId, decodeBase32, encodeBase32, idToBytes } from "#base";
import type { Id } from "#base";
import { TOKEN_PATTERN, createIdSource, generateToken, parseToken, sha256, tokenId } from "#crypto";
import type { TokenKind } from "#crypto";

const ids = createIdSource({ now: () => new Date(1_700_000_000_000) });
const LETTERS = "0123456789abcdefghjkmnpqrstvwxyz";
const org = ids.next("org");

/** One token of each kind, by the id that its row has. */
function generateAll(): { kind: TokenKind; id: Id<"inj" | "crd" | "ses" | "lea">; text: string; digest: Buffer }[] {
  const [injection, credential, session, lease] = [ids.next("inj"), ids.next("crd"), ids.next("ses"), ids.next("lea")];
  const made = [
    { kind: "inj", id: injection, ...generateToken("inj", org, injection) },
    { kind: "svc", id: credential, ...generateToken("svc", org, credential) },
    { kind: "ses", id: session, ...generateToken("ses", org, session) },
    { kind: "lease", id: lease, ...generateToken("lease", org, lease) },
    { kind: "tool", id: lease, ...generateToken("tool", org, lease) },
    { kind: "inv", id: credential, ...generateToken("inv", org, credential) },
    { kind: "set", id: credential, ...generateToken("set", org, credential) },
  ] as const;
  return made.map(({ text, ...rest }) => ({ ...rest, text: text.reveal() }));
}

describe("A token", () => {
  test("of each kind says its kind, org and id, and is known by SHA-256 over its whole text", () => {
    for (const { kind, id, text, digest } of generateAll()) {
      expect(text).toMatch(new RegExp(`^sp_${kind}_[0-9a-z]{109}$`));
      const token = parseToken(text);
      expect(token).toMatchObject({ kind, org, digest: sha256(Buffer.from(text)) });
      expect(token?.digest.equals(digest)).toBe(true);
      expect(token?.id.equals(idToBytes(id))).toBe(true);
      expect(token && tokenId(token)).toBe(id);
    }
  });

  test("has 256 bits of secret that are new each time and not printed", () => {
    const id = ids.next("inj");
    const secrets = Array.from({ length: 50 }, () => {
      const bytes = decodeBase32(generateToken("inj", org, id).text.reveal().slice("sp_inj_".length), 68);
      return bytes?.subarray(32, 64).toString("hex");
    });
    expect(new Set(secrets).size).toBe(50);
    const token = generateToken("inj", org, id);
    expect(JSON.stringify(token)).not.toContain(token.text.reveal());
    expect(String(token.text)).toBe("[redacted]");
  });

  test("with any one letter changed is none: all 7 kinds, each of 109 places, each of 31 letters (n = 23,653)", () => {
    let tried = 0;
    for (const { kind, text } of generateAll()) {
      const start = `sp_${kind}_`.length;
      for (let at = start; at < text.length; at += 1) {
        for (const letter of LETTERS) {
          if (letter === text[at]) continue;
          if (parseToken(text.slice(0, at) + letter + text.slice(at + 1)) !== null)
            expect.fail(`place ${at}: ${letter}`);
          tried += 1;
        }
      }
    }
    expect(tried).toBe(7 * 109 * 31);
  });

  test("with two neighbouring letters swapped is none", () => {
    for (const { text } of generateAll()) {
      for (let at = 0; at + 1 < text.length; at += 1) {
        const [a = "", b = ""] = text.slice(at, at + 2);
        if (a !== b) expect(parseToken(text.slice(0, at) + b + a + text.slice(at + 2))).toBeNull();
      }
    }
  });

  test("of one kind is none under the name of another", () => {
    const all = generateAll();
    for (const { kind, text } of all) {
      for (const other of all) {
        const renamed = text.replace(`sp_${kind}_`, `sp_${other.kind}_`);
        expect(parseToken(renamed)?.kind ?? null).toBe(other.kind === kind ? kind : null);
      }
    }
  });

  test("has one spelling: nothing longer, shorter, in capitals, quoted or with white space is one", () => {
    const { text } = generateAll()[0] ?? { text: "" };
    expect(parseToken(text)).not.toBeNull();
    const letters = text.slice("sp_inj_".length);
    const others = [
      "",
      "sp_inj_",
      text.toUpperCase(),
      text.slice(0, -1),
      `${text}0`,
      ` ${text}`,
      `${text}\n`,
      `"${text}"`,
      `Bearer ${text}`,
      `sp_inj_g${letters.slice(1)}`,
      `sp_inj__${letters}`,
      `sp__${letters}`,
      `sp_toString_${letters}`,
      `sp_constructor_${letters}`,
      `sp_inj_${"0".repeat(109)}`,
      `sp_inj_${"0".repeat(1_000_000)}`,
      `sp_inj_${"é".repeat(109)}`,
    ];
    for (const other of others) expect(parseToken(other)).toBeNull();
  });

  test("is found in a text by the documented pattern, and nothing else is", () => {
    for (const { text } of generateAll()) {
      const found = new RegExp(TOKEN_PATTERN, "g");
      expect(`{"token":"${text}"} ${text}\nSALLYPORT_TOKEN=${text}`.match(found)).toEqual([text, text, text]);
    }
    expect(ids.next("inj")).not.toMatch(new RegExp(TOKEN_PATTERN));
    expect(`sp_inj_${"a".repeat(108)}`).not.toMatch(new RegExp(TOKEN_PATTERN));
  });

  test("is what parseToken reads for any bytes with a right checksum, and parseToken never throws", () => {
    const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(id, id, (orgBytes, idBytes) => {
        const token = generateToken("ses", bytesToId("org", orgBytes), bytesToId("ses", idBytes));
        const parsed = parseToken(token.text.reveal());
        expect(parsed?.kind === "ses" && parsed.id.equals(idBytes)).toBe(true);
      }),
    );
    const body = fc.uint8Array({ minLength: 68, maxLength: 68 }).map((bytes) => `sp_svc_${encodeBase32(bytes)}`);
    fc.assert(
      fc.property(fc.oneof(fc.string(), body), (text) => {
        expect(parseToken(text)).toBeNull();
      }),
      { numRuns: 2_000 },
    );
  });
});
