import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isVaultError } from "#base";
import { parseJson } from "../../src/http/json.ts";

const parse = (text: string) => parseJson(Buffer.from(text));
/** Values without what is refused on purpose: lone surrogates, `__proto__`, numbers beyond what a double holds exactly. */
const value = fc.jsonValue({ maxDepth: 6 }).map((any) => JSON.parse(JSON.stringify(any), keep) as unknown);

function keep(this: unknown, _key: string, one: unknown): unknown {
  if (typeof one === "number" && Math.abs(one) > Number.MAX_SAFE_INTEGER) return 0;
  if (typeof one !== "object" || one === null || Array.isArray(one)) return one;
  return Object.fromEntries(Object.entries(one).filter(([name]) => name !== "__proto__"));
}

function refuses(text: string): boolean {
  try {
    parse(text);
    return false;
  } catch (error) {
    return isVaultError(error, "bad_request") && !JSON.stringify(error.detail).includes("canary");
  }
}

describe("A body is JSON with one reading", () => {
  test("whatever JSON.stringify writes is read as JSON.parse reads it", () => {
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1, "\t"), (any, space) => {
        const text = JSON.stringify(any, null, space);
        expect(parse(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  test("whatever is taken is what JSON.parse takes, and what is no JSON is refused", () => {
    const pieces = fc.constantFrom(
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"a"',
      '"b"',
      '"\\u0061"',
      "1",
      "-0.5e2",
      "true",
      "null",
      " ",
      "\\",
      '"',
      "'",
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), (parts) => {
        const text = parts.join("");
        if (!refuses(text)) expect(parse(text)).toEqual(JSON.parse(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test("a key twice in one object is refused, however it is escaped, and taken in two", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: "grapheme-ascii" }), fc.boolean(), (key, escaped) => {
        const plain = JSON.stringify(key);
        const other = escaped
          ? `"${[...key].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")}"`
          : plain;
        expect(refuses(`{${plain}:1,"other ${key.length}":2,${other}:3}`)).toBe(true);
        if (key !== "__proto__") expect(refuses(`[{${plain}:1},{${other}:{${plain}:2}}]`)).toBe(false);
      }),
    );
  });

  test.each([
    ["nothing", ""],
    ["a cut string", '{"canary'],
    ["a cut escape", '"\\'],
    ["a cut object", '{"a":1'],
    ["a bracket too many", "[]]"],
    ["the wrong bracket", "[}"],
    ["a comma at the end", "[1,]"],
    ["a key without quotes", "{canary:1}"],
    ["single quotes", "{'a':1}"],
    ["a plain line break in a string", '"a\nb"'],
    ["NaN", "NaN"],
    ["a number in hexadecimal", "0x10"],
    ["a leading zero", "01"],
    ["a plus", "+1"],
    ["a lone high surrogate", '"\\ud800"'],
    ["a lone low surrogate, deep down", '{"a":["x\\udc00"]}'],
    ["a lone surrogate for a key", '{"\\ud800":1}'],
    ["surrogates in the wrong order", '"\\udc00\\ud800"'],
    ["__proto__", '{"__proto__":null}'],
    ["__proto__ deep down", '[{"a":{"__proto__":null}}]'],
    ["33 levels", `${'{"a":'.repeat(33)}1${"}".repeat(33)}`],
    ["a number beyond the whole ones that a double holds", "9007199254740992"],
    ["its opposite", "-9007199254740992"],
    ["infinity", "1e309"],
    ["a number of many digits", `0.${"1".repeat(40)}`],
    ["a byte order mark", "\ufeff{}"],
  ])("%s is refused", (_name, text) => expect(refuses(text)).toBe(true));

  test.each([
    ["32 levels", `${'{"a":'.repeat(32)}1${"}".repeat(32)}`],
    ["many brackets side by side", `[${"[],".repeat(1_000)}[]]`],
    ["brackets and colons in strings", '{"a":"[[[[{{{{,,:\\"","b":1}'],
    ["the largest whole number", "9007199254740991"],
    ["a pair of surrogates", '"\\ud83d\\ude00"'],
    ["__proto__ as a value", '["__proto__"]'],
    ["constructor as a key", '{"constructor":{"prototype":1}}'],
    ["an empty key", '{"":1}'],
  ])("%s is taken", (_name, text) => expect(parse(text)).toEqual(JSON.parse(text)));

  test("bytes that are not UTF-8 are refused", () => {
    for (const bytes of ["22ff22", "22c32822", "22eda08022", "22f4908080 22".replace(" ", ""), "22c0af22"]) {
      expect(() => parseJson(Buffer.from(bytes, "hex"))).toThrow(expect.objectContaining({ code: "bad_request" }));
    }
  });

  test("a MiB of the worst is refused or read within one and a half seconds of work", () => {
    const MiB = 1024 * 1024;
    // Its own work, whatever else the machine does.
    const before = process.cpuUsage();
    for (const text of [
      '"\\u0061'.repeat(MiB / 8),
      "[".repeat(MiB),
      `"${"\\\\".repeat(MiB / 2 - 1)}"`,
      "1".repeat(MiB),
      "-".repeat(MiB),
      `[${"1,".repeat(MiB / 2 - 2)}1]`,
    ]) {
      refuses(text);
    }
    const { user, system } = process.cpuUsage(before);
    expect((user + system) / 1_000).toBeLessThan(1_500);
  });
});
