import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { frame } from "#crypto";
import type { Field } from "#crypto";

const field: fc.Arbitrary<Field> = fc.oneof(
  fc.constant(null),
  fc.string({ unit: "grapheme", maxLength: 6 }),
  fc.constantFrom("", "a", "ab", "b", "\0", "1"),
  fc.maxSafeInteger(),
  fc.integer({ min: -2, max: 2 }),
  fc.uint8Array({ maxLength: 9 }),
);
const list = fc.array(field, { maxLength: 5 });

describe("A frame", () => {
  test("is drawn as the README draws it", () => {
    const drawn = ["00000004", "00 00000000", "01 00000001 61", "02 00000008 ffffffffffffffff", "03 00000002 0102"];
    expect(frame([null, "a", -1, Uint8Array.of(1, 2)]).toString("hex")).toBe(drawn.join("").replaceAll(" ", ""));
    expect(frame([]).toString("hex")).toBe("00000000");
  });

  test("of two lists is the same only if the lists are", () => {
    fc.assert(
      fc.property(list, list, (a, b) => {
        expect(frame(a).equals(frame(b))).toBe(canonical(a) === canonical(b));
      }),
      { numRuns: 3_000 },
    );
  });

  test("is never the beginning of another, so that frames may follow each other", () => {
    fc.assert(
      fc.property(list, list, (a, b) => {
        const [first, second] = [frame(a), frame(b)];
        expect(first.equals(second) || !second.subarray(0, first.length).equals(first)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  test("tells moved borders, types and absence apart", () => {
    const lists: Field[][] = [
      ["ab", "c"],
      ["a", "bc"],
      ["abc"],
      ["abc", ""],
      ["abc", null],
      [Buffer.from("abc")],
      [1],
      ["1"],
      [256],
      [2 ** 32],
      [-(2 ** 32)],
      [Number.MAX_SAFE_INTEGER],
      [Number.MIN_SAFE_INTEGER],
      [],
      [null],
      [null, null],
    ];
    expect(new Set(lists.map((fields) => frame(fields).toString("hex"))).size).toBe(lists.length);
  });

  test.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])(
    "takes no number that is not a safe integer: %s",
    (n) => {
      expect(() => frame([n])).toThrow(TypeError);
    },
  );

  test("takes no half of a surrogate pair, which would become the same bytes as another", () => {
    for (const text of ["\ud800", "a\udfff", "\udc00\ud800"]) {
      expect(() => frame([text])).toThrow(expect.objectContaining({ code: "invalid_input" }));
    }
    expect(frame(["\u{1f511}"]).length).toBe(4 + 5 + 4);
  });
});

function canonical(fields: readonly Field[]): string {
  return JSON.stringify(
    fields.map((one) => {
      if (one instanceof Uint8Array) return ["bytes", ...one];
      return typeof one === "number" ? ["number", one + 0] : one;
    }),
  );
}
