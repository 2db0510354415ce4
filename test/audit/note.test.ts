import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSigner, generateSigningKey } from "#crypto";
import type { Signer } from "#crypto";
import { EMPTY_ROOT, leafHash } from "../../src/audit/merkle.ts";
import {
  formatCheckpoint,
  formatVerifierKey,
  openNote,
  parseCheckpoint,
  parseVerifierKey,
  signNote,
} from "../../src/audit/note.ts";

/** The first key of RFC 8032 section 7.1. What is expected of it was made by another implementation of Ed25519. */
const SEED = Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex");
const NAME = "vault.example/audit";
const VERIFIER_KEY = "vault.example/audit+6c5bbaef+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea";
const CHECKPOINT = ["vault.example/org/0", "1", "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=", "time 0", ""].join(
  "\n",
);
const NOTE = `${CHECKPOINT}
— vault.example/audit bFu673Sik7KQv1uKwVVwYPUFrDwHeQObSFxFXzTE3PWL7m8kioy2C30+sge0/dBHhG3RIWw1TcsmXBwOLLuk2U3Cpgw=
`;

const signer = createSigner(NAME, SEED);
const other = createSigner("witness.example", generateSigningKey());
const lineOf = (note: string) => note.slice(note.lastIndexOf("\n\n") + 2);

/** A name no note can carry: spaces of several kinds, plus, control characters, half a surrogate pair. */
const NO_NAMES = [
  "",
  " ",
  "a b",
  "a+b",
  "+",
  "a\n",
  "a\tb",
  "a\u00a0b",
  "a\u2003b",
  "a\u2028b",
  "a\u0085b",
  "a\u0000",
  "a\u007f",
  "\ud800",
];

const keyNames = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 40 })
  .filter((name) => /^[^\p{White_Space}\p{Cc}+]+$/u.test(name));
const lines = fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }).filter((line) => !/\p{Cc}/u.test(line));
const texts = fc.array(fc.oneof(lines, fc.constant("")), { minLength: 1 }).map((all) => all.join("\n") + "\n");

describe("a checkpoint is the text that c2sp.org/tlog-checkpoint draws", () => {
  const checkpoint = {
    origin: "vault.example/org/0",
    size: 1,
    root: leafHash(Buffer.alloc(0)),
    extensions: ["time 0"],
  };

  test("origin, size, root and extensions each take a line", () => {
    expect(formatCheckpoint(checkpoint)).toBe(CHECKPOINT);
    expect(parseCheckpoint(CHECKPOINT)).toEqual(checkpoint);
  });

  test("what is written is read again, byte for byte", () => {
    const checkpoints = fc.record({
      origin: lines,
      size: fc.maxSafeNat(),
      root: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
      extensions: fc.array(lines),
    });
    fc.assert(
      fc.property(checkpoints, (stated) => {
        expect(parseCheckpoint(formatCheckpoint(stated))).toEqual(stated);
      }),
      { numRuns: 500 },
    );
  });

  test("a text that is read is written again as the same text, whatever was done to it", () => {
    const edits = fc.tuple(fc.nat(CHECKPOINT.length), fc.nat(2), fc.constantFrom("", "\n", " ", "0", "=", "A", "\r"));
    fc.assert(
      fc.property(edits, ([at, cut, put]) => {
        const text = CHECKPOINT.slice(0, at) + put + CHECKPOINT.slice(at + cut);
        const read = parseCheckpoint(text);
        if (read !== null) expect(formatCheckpoint(read)).toBe(text);
      }),
      { numRuns: 1_000 },
    );
  });

  const root = EMPTY_ROOT.toString("base64");
  test.each([
    ["nothing", ""],
    ["one line", "a\n"],
    ["two lines", "a\n1\n"],
    ["no last newline", `a\n1\n${root}`],
    ["an empty origin", `\n1\n${root}\n`],
    ["an empty extension", `a\n1\n${root}\n\n`],
    ["an empty line between extensions", `a\n1\n${root}\nx\n\ny\n`],
    ["a carriage return", `a\r\n1\n${root}\n`],
    ["a terminal's escape", `a\u001b[2J\n1\n${root}\n`],
    ["no size", `a\n\n${root}\n`],
    ["a leading zero", `a\n01\n${root}\n`],
    ["a sign", `a\n+1\n${root}\n`],
    ["a negative size", `a\n-1\n${root}\n`],
    ["a fraction", `a\n1.0\n${root}\n`],
    ["an exponent", `a\n1e3\n${root}\n`],
    ["a size beyond 2^53", `a\n9007199254740992\n${root}\n`],
    ["other digits", `a\n١\n${root}\n`],
    ["a root without padding", `a\n1\n${root.slice(0, -1)}\n`],
    ["a root in the alphabet of URLs", `a\n1\n${root.replaceAll("+", "-").replaceAll("/", "_")}\n`],
    ["a root with spare bits set", `a\n1\n${root.replace("U=", "V=")}\n`],
    ["a root of 31 bytes", `a\n1\n${EMPTY_ROOT.subarray(1).toString("base64")}\n`],
    ["a root of 33 bytes", `a\n1\n${Buffer.alloc(33).toString("base64")}\n`],
  ])("a text with %s is none", (_, text) => {
    expect(parseCheckpoint(text)).toBeNull();
  });

  test.each([
    ["a negative size", { size: -1 }],
    ["half a leaf", { size: 0.5 }],
    ["a size beyond 2^53", { size: 2 ** 53 }],
    ["a short root", { root: Buffer.alloc(31) }],
    ["no origin", { origin: "" }],
    ["an origin of two lines", { origin: "a\nb" }],
    ["an empty extension", { extensions: ["a", ""] }],
    ["an extension of two lines", { extensions: ["a\nb"] }],
    ["half a surrogate pair", { origin: "\udc00" }],
  ])("a checkpoint with %s is not written", (_, wrong) => {
    expect(() => formatCheckpoint({ ...checkpoint, ...wrong })).toThrow(TypeError);
  });
});

describe("a note is signed as c2sp.org/signed-note draws it", () => {
  test("the note of a known key and text is the one another implementation makes", () => {
    expect(signNote(CHECKPOINT, signer)).toBe(NOTE);
    expect(openNote(NOTE, [signer])).toEqual({ text: CHECKPOINT, verifiedBy: [NAME] });
  });

  test("a text may hold empty lines, lines that look like signatures, and end in empty lines", () => {
    const text = "Grüße,\n\n— nobody AAAA\n\n\n";
    const signature = "bFu67xVs739XlNsUzTsbsU5Qdz1nvqpb3ezwx7XUWzyPF6+EaM2klv4AbHl0Kg59NOnoMrUefVQOZ9dWSY1IZZ5GLAY=";
    expect(signNote(text, signer)).toBe(`${text}\n— ${NAME} ${signature}\n`);
    expect(openNote(signNote(text, signer), [signer])?.text).toBe(text);
  });

  test("any text signed under any name opens again for that name's key, and for no other", () => {
    fc.assert(
      fc.property(texts, keyNames, (text, name) => {
        const mine = createSigner(name, SEED);
        const note = signNote(text, mine);
        expect(openNote(note, [other, mine])).toEqual({ text, verifiedBy: [name] });
        expect(openNote(note, [other, { name, publicKey: other.publicKey }])).toBeNull();
        expect(openNote(note, [])).toBeNull();
      }),
      { numRuns: 300 },
    );
  });

  test.each(["", "a", "a\nb", "a\r\n", "a\tb\n", "\u0000\n", "\u007f\n", "\u009b2J\n", "\ud83d\n"])(
    "the text %j is not signed",
    (text) => {
      expect(() => signNote(text, signer)).toThrow(TypeError);
    },
  );

  test.each(NO_NAMES)("no note is signed under the name %j", (name) => {
    const misnamed: Signer = { ...signer, name };
    expect(() => signNote(CHECKPOINT, misnamed)).toThrow(TypeError);
    expect(() => openNote(NOTE, [misnamed])).toThrow(TypeError);
  });
});

describe("a note that was touched does not open", () => {
  test("with any one bit flipped", () => {
    const bytes = Buffer.from(NOTE);
    let n = 0;
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const copy = Buffer.from(bytes);
      copy[bit >> 3] = copy[bit >> 3]! ^ (1 << (bit & 7));
      if (openNote(copy.toString(), [signer]) !== null) expect.fail(`bit ${String(bit)}`);
      n += 1;
    }
    expect(n).toBe(1_536);
  });

  test("with any one character left out, doubled, replaced or put in", () => {
    const characters = ["\n", " ", "+", "=", "A", "—", "\r", "\t", "\u0000", "\ufeff", "\u00a0"];
    const letters = [...NOTE];
    let n = 0;
    for (const at of [...letters.keys(), letters.length]) {
      const touched = [
        letters.toSpliced(at, 1),
        letters.toSpliced(at, 0, letters[at] ?? "\n"),
        ...characters.flatMap((put) => [letters.toSpliced(at, 1, put), letters.toSpliced(at, 0, put)]),
      ].map((changed) => changed.join(""));
      for (const note of touched) {
        if (note === NOTE) continue;
        if (openNote(note, [signer]) !== null) expect.fail(`${JSON.stringify(note)} at ${String(at)}`);
        n += 1;
      }
    }
    expect(n).toBe(4_568);
  });

  test("cut anywhere", () => {
    for (let end = 0; end < NOTE.length; end += 1) expect(openNote(NOTE.slice(0, end), [signer])).toBeNull();
  });

  test("without a text, though the signature of nothing is right", () => {
    const signature = Buffer.concat([signer.keyHash, signer.sign(Buffer.alloc(0))]).toString("base64");
    for (const before of ["", "\n", "\n\n"]) {
      expect(openNote(`${before}— ${NAME} ${signature}\n`, [signer])).toBeNull();
    }
  });

  test("with the two halves of two notes", () => {
    const later = signNote(CHECKPOINT.replace("\n1\n", "\n2\n"), signer);
    expect(openNote(later, [signer])).not.toBeNull();
    expect(openNote(`${CHECKPOINT}\n${lineOf(later)}`, [signer])).toBeNull();
  });
});

describe("of several signatures", () => {
  const second = lineOf(signNote(CHECKPOINT, other));
  const wrong = lineOf(signNote("another text\n", signer));

  test("those of all verifiers count, and those of unknown keys are ignored, whatever they hold", () => {
    const unknown = `— ${NAME} ${Buffer.alloc(5).toString("base64")}\n— stranger.example ${Buffer.alloc(5_000).toString("base64")}\n`;
    const note = NOTE + unknown + second;
    expect(openNote(note, [signer])?.verifiedBy).toEqual([NAME]);
    expect(openNote(note, [other])?.verifiedBy).toEqual([other.name]);
    expect(openNote(note, [other, signer])?.verifiedBy).toEqual([NAME, other.name]);
    expect(openNote(note, [createSigner("third.example", SEED)])).toBeNull();
  });

  test("a wrong one by a known key fails the note, before or after a right one, and by any verifier", () => {
    const right = lineOf(NOTE);
    expect(openNote(`${CHECKPOINT}\n${right}${right}`, [signer])?.verifiedBy).toEqual([NAME]);
    expect(openNote(`${CHECKPOINT}\n${right}${wrong}`, [signer])).toBeNull();
    expect(openNote(`${CHECKPOINT}\n${wrong}${right}`, [signer])).toBeNull();
    expect(openNote(`${CHECKPOINT}\n${wrong}${second}`, [signer, other])).toBeNull();
    expect(openNote(`${CHECKPOINT}\n${wrong}${second}`, [other])?.verifiedBy).toEqual([other.name]);
  });

  test.each([0, 1, 63, 65])("one of %s bytes by a known key fails the note", (length) => {
    const line = `— ${NAME} ${Buffer.concat([signer.keyHash, Buffer.alloc(length)]).toString("base64")}\n`;
    expect(openNote(NOTE + line, [signer])).toBeNull();
  });

  test("a hundred may stand in a note, and no more", () => {
    const stranger = `— stranger.example ${Buffer.alloc(68).toString("base64")}\n`;
    expect(openNote(NOTE + stranger.repeat(99), [signer])).not.toBeNull();
    expect(openNote(NOTE + stranger.repeat(100), [signer])).toBeNull();
  });

  const good = lineOf(NOTE).trimEnd();
  const encoded = good.slice(good.lastIndexOf(" ") + 1);
  test.each([
    ["a hyphen for the dash", good.replace("—", "-")],
    ["an en dash", good.replace("—", "–")],
    ["no dash", good.slice(2)],
    ["a space before", ` ${good}`],
    ["a space after", `${good} `],
    ["two spaces between", good.replace(`${NAME} `, `${NAME}  `)],
    ["a no-break space between", good.replace(`${NAME} `, `${NAME}\u00a0`)],
    ["a carriage return", `${good}\r`],
    ["no name", `— ${encoded}`],
    ["an empty name", `—  ${encoded}`],
    ["a plus in the name", `— a+b ${encoded}`],
    ["a space in the name", `— a b ${encoded}`],
    ["a wide space in the name", `— a\u3000b ${encoded}`],
    ["no signature", `— ${NAME}`],
    ["an empty signature", `— ${NAME} `],
    ["only a key hash", `— stranger.example AAAAAA==`],
    ["no padding", good.replace(/=+$/, "")],
    ["too much padding", `${good}=`],
    ["spare bits set", good.replace(/w=$/, "x=")],
    ["the alphabet of URLs", `— stranger.example -_-_-_-_`],
    ["a comment", "unsigned"],
    ["nothing", ""],
  ])("a line with %s fails the note, beside a right one too", (_, line) => {
    expect(openNote(`${CHECKPOINT}\n${line}\n`, [signer])).toBeNull();
    expect(openNote(`${NOTE}${line}\n`, [signer])).toBeNull();
    expect(openNote(`${CHECKPOINT}\n${line}\n${good}\n`, [signer])).toBeNull();
  });

  test("two keys whose name and key hash are the same must both have signed: a collision fails closed", () => {
    // Nobody can look for a collision in a test; the same key given twice takes the same way.
    expect(openNote(NOTE, [signer, { name: NAME, publicKey: signer.publicKey }])?.verifiedBy).toEqual([NAME]);
  });

  test("a note of any characters, however long, is answered and not thrown at", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (text, line) => {
        expect(openNote(`${text}\n\n— ${line}\n`, [signer])).toBeNull();
        expect(parseCheckpoint(text)).toBeNull();
        expect(parseVerifierKey(text)).toBeNull();
      }),
      { numRuns: 500 },
    );
    const long = "a".repeat(5_000_000);
    expect(openNote(`${long}\n\n— ${long} ${long}\n`, [signer])).toBeNull();
    expect(openNote("\n".repeat(5_000_000), [signer])).toBeNull();
    expect(parseCheckpoint(`${long}\n${long}\n${long}\n`)).toBeNull();
    expect(parseVerifierKey(`${long}+00000000+${long}`)).toBeNull();
  });
});

describe("a verifier key names the key that is to be trusted", () => {
  test("name, key hash and key stand in one word", () => {
    expect(formatVerifierKey(NAME, signer.publicKey)).toBe(VERIFIER_KEY);
    expect(parseVerifierKey(VERIFIER_KEY)).toEqual({ name: NAME, publicKey: signer.publicKey });
  });

  test("what is written is read again, and opens the notes of its key", () => {
    fc.assert(
      fc.property(keyNames, fc.uint8Array({ minLength: 32, maxLength: 32 }), (name, seed) => {
        const { publicKey, sign, keyHash } = createSigner(name, seed);
        const verifier = parseVerifierKey(formatVerifierKey(name, publicKey));
        expect(verifier).toEqual({ name, publicKey });
        const note = signNote(CHECKPOINT, { name, publicKey, keyHash, sign });
        expect(openNote(note, verifier === null ? [] : [verifier])?.verifiedBy).toEqual([name]);
      }),
      { numRuns: 200 },
    );
  });

  test("with any one bit flipped it is none", () => {
    const bytes = Buffer.from(VERIFIER_KEY);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const copy = Buffer.from(bytes);
      copy[bit >> 3] = copy[bit >> 3]! ^ (1 << (bit & 7));
      expect(parseVerifierKey(copy.toString()), `bit ${String(bit)}`).toBeNull();
    }
  });

  const [, hash, key] = /\+([0-9a-f]{8})\+(.*)$/.exec(VERIFIER_KEY) ?? [];
  const ecdsa = Buffer.concat([Buffer.of(2), signer.publicKey]).toString("base64");
  test.each([
    ["nothing", ""],
    ["no key", `${NAME}+${hash!}`],
    ["an empty key", `${NAME}+${hash!}+`],
    ["an upper-case hash", `${NAME}+${hash!.toUpperCase()}+${key!}`],
    ["another name", `other+${hash!}+${key!}`],
    ["another hash", `${NAME}+00000000+${key!}`],
    ["a space in the name", `a b+${hash!}+${key!}`],
    ["a plus in the name", `a+b+${hash!}+${key!}`],
    ["another algorithm", `${NAME}+${hash!}+${ecdsa}`],
    ["a short key", `${NAME}+${hash!}+${Buffer.of(1, 2, 3).toString("base64")}`],
    ["a newline", `${VERIFIER_KEY}\n`],
    ["a space", ` ${VERIFIER_KEY}`],
  ])("a text with %s is none", (_, text) => {
    expect(parseVerifierKey(text)).toBeNull();
  });

  test.each(NO_NAMES)("none is written for the name %j", (name) => {
    expect(() => formatVerifierKey(name, signer.publicKey)).toThrow(TypeError);
  });

  test("none is written for a key that is not 32 bytes", () => {
    expect(() => formatVerifierKey(NAME, Buffer.alloc(31))).toThrow(TypeError);
  });
});
