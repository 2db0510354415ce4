import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cut, escapeControls, safeJson, width } from "../../src/cli/text.ts";

const UNSAFE = /(?!\u200c|\u200d)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
const ugly = fc.string({ unit: "binary" });

describe("text from elsewhere", () => {
  test("no control or direction character survives, and plain text is left alone", () => {
    fc.assert(fc.property(ugly, (text) => !UNSAFE.test(escapeControls(text))));
    expect(escapeControls("\u001b]0;x\u0007\u202eabc\n")).toBe("\\u{1b}]0;x\\u{7}\\u{202e}abc\\n");
    expect(escapeControls("Grüße, 世界 👩‍💻")).toBe("Grüße, 世界 👩‍💻");
  });

  test("JSON holds the same value without them", () => {
    fc.assert(
      fc.property(fc.dictionary(ugly, ugly), (value) => {
        const json = safeJson(value);
        return !UNSAFE.test(json.replaceAll("\n", "")) && JSON.stringify(JSON.parse(json)) === JSON.stringify(value);
      }),
    );
  });

  test("what is cut fits", () => {
    fc.assert(fc.property(ugly, fc.integer({ min: 1, max: 40 }), (text, cells) => width(cut(text, cells)) <= cells));
  });
});
