import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv } from "node:util";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { Redacted, isVaultError } from "#base";
import { encodeText, encodeValue } from "#injection";

const folder = mkdtempSync(join(tmpdir(), "sallyport-format-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const SHELLS = ["/bin/sh", "/bin/bash", "/bin/dash"].filter((shell) => existsSync(shell));

const name = fc
  .stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/)
  .filter((text) => text !== "__proto__" && refusalOf("shell", new Map([[text, Buffer.from("x")]])) === null);
/** Bytes with many of those that mean something to a shell or a parser. */
const hot = fc.constantFrom(
  ...[
    "'",
    '"',
    "`",
    "\\",
    "$",
    "\n",
    "\t",
    " ",
    "#",
    "=",
    "!",
    "*",
    "?",
    "{",
    "}",
    "(",
    ")",
    ";",
    "&",
    "|",
    "<",
    ">",
    "~",
  ],
  ...["\u0001", "\u007f", "\r", "$(id)", "\\'", "''", "é", "\u2028", "\ufeff"],
);
const text = fc
  .array(fc.oneof(hot, fc.string({ unit: "grapheme", maxLength: 4 })), { maxLength: 12 })
  .map((all) => all.join(""));
const bytes = fc
  .oneof(
    text.map((one) => Buffer.from(one)),
    fc.uint8Array({ maxLength: 60 }).map((one) => Buffer.from(one)),
  )
  .map((one) => Buffer.from(one.filter((byte) => byte !== 0)));

function variablesOf(values: ReadonlyMap<string, Buffer>): Map<string, Redacted<Buffer>> {
  return new Map([...values].map(([key, value]) => [key, new Redacted(value)]));
}

/** The variables that a format refuses, or `null`. */
function refusalOf(format: "shell" | "dotenv", values: ReadonlyMap<string, Buffer>): string[] | null {
  try {
    encodeText(format, variablesOf(values));
    return null;
  } catch (error) {
    if (!isVaultError(error, "not_representable")) throw error;
    return (error.detail.variables ?? []).map((one) => one.variable);
  }
}

/** What a shell has in its environment after it read the text, byte by byte. */
function sourced(shell: string, body: Buffer, locale: string): Map<string, Buffer> {
  const file = join(folder, "variables.sh");
  writeFileSync(file, body);
  const out = execFileSync(shell, ["-c", '. "$1" && exec /usr/bin/env -0', shell, file], {
    env: { LC_ALL: locale },
    // Not a socket: bash takes that for a remote shell and reads its start-up files.
    stdio: ["ignore", "pipe", "inherit"],
  });
  const found = new Map<string, Buffer>();
  for (let from = 0; from < out.length;) {
    const end = out.indexOf(0, from);
    const line = out.subarray(from, end);
    const sign = line.indexOf("=");
    found.set(line.subarray(0, sign).toString(), Buffer.from(line.subarray(sign + 1)));
    from = end + 1;
  }
  return found;
}

describe("The shell format", () => {
  it.each(SHELLS)("sourced by %s gives back exactly the bytes, whatever they are", (shell) => {
    const all = fc.array(fc.tuple(name, bytes), { maxLength: 6 }).map((pairs) => new Map(pairs));
    fc.assert(
      fc.property(all, fc.constantFrom("C", "C.UTF-8"), (values, locale) => {
        const found = sourced(shell, encodeText("shell", variablesOf(values)).body, locale);
        for (const [key, value] of values)
          if (key !== "LC_ALL") expect(found.get(key)?.toString("hex")).toBe(value.toString("hex"));
      }),
      { numRuns: 120 },
    );
  });

  it.each(SHELLS)("is taken by %s for every byte there is, and for values of 64 KiB", (shell) => {
    const every = Buffer.from(Array.from({ length: 255 }, (_, at) => at + 1));
    const values = new Map([
      ["EVERY", every],
      ["EMPTY", Buffer.alloc(0)],
      ["LONG", Buffer.alloc(65_536, "'")],
      ["LINES", Buffer.from("a\r\nb\n\n")],
    ]);
    const found = sourced(shell, encodeText("shell", variablesOf(values)).body, "C.UTF-8");
    for (const [key, value] of values) expect(found.get(key)?.equals(value), key).toBe(true);
  });

  it("refuses NUL, and names that a shell keeps for itself, each by name", () => {
    const values = new Map([
      ["GOOD", Buffer.from("x")],
      ["NUL", Buffer.from("a\0b")],
      ["UID", Buffer.from("0")],
      ["RANDOM", Buffer.from("4")],
      ["_", Buffer.from("x")],
    ]);
    expect(refusalOf("shell", values)).toEqual(["NUL", "UID", "RANDOM", "_"]);
  });

  it("refuses every name that one of these shells does not take as it is, and says no value", () => {
    const names = execFileSync("/bin/bash", ["-c", "compgen -v"], { env: {}, stdio: ["ignore", "pipe", "inherit"] })
      .toString()
      .trim()
      .split("\n");
    expect(names.length).toBeGreaterThan(20);
    for (const key of [...names, "OPTIND", "LINENO", "PPID", "IFS", "PS1", "LANG", "TZ", "POSIXLY_CORRECT"]) {
      const values = new Map([[key, Buffer.from("va lue'1")]]);
      if (refusalOf("shell", values) !== null) continue;
      for (const shell of SHELLS) {
        const found = sourced(shell, encodeText("shell", variablesOf(values)).body, "C.UTF-8");
        expect(found.get(key)?.toString(), `${shell} ${key}`).toBe("va lue'1");
      }
    }
    try {
      encodeText("shell", variablesOf(new Map([["UID", Buffer.from("very-secret")]])));
      expect.unreachable();
    } catch (error) {
      expect(JSON.stringify([String(error), (error as { detail?: unknown }).detail])).not.toContain("very-secret");
    }
  });
});

describe("The dotenv format", () => {
  const dotenvName = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/).filter((one) => one !== "__proto__");

  it("read by Node's parseEnv gives back exactly the text, or is refused by name", () => {
    const all = fc.array(fc.tuple(dotenvName, text), { minLength: 1, maxLength: 6 }).map((pairs) => new Map(pairs));
    let carried = 0;
    fc.assert(
      fc.property(all, (pairs) => {
        const values = new Map([...pairs].map(([key, value]) => [key, Buffer.from(value.replaceAll("\0", ""))]));
        const refused = new Set(refusalOf("dotenv", values) ?? []);
        const kept = new Map([...values].filter(([key]) => !refused.has(key)));
        carried += kept.size;
        const parsed = parseEnv(encodeText("dotenv", variablesOf(kept)).body.toString());
        expect(Object.keys(parsed).length).toBe(kept.size);
        for (const [key, value] of kept) expect(parsed[key]).toBe(value.toString());
        for (const key of refused) {
          const value = values.get(key)?.toString() ?? "";
          expect(value.includes("\r") || (value.includes("'") && value.includes("`"))).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
    expect(carried).toBeGreaterThan(1_000);
  });

  it("carries what people have: certificates, JSON, connection strings, dollar signs, hashes, empty values", () => {
    const values = new Map(
      Object.entries({
        PEM: "-----BEGIN KEY-----\nMIIB+/=\n-----END KEY-----\n",
        JSON: '{"a": "it\'s", "b": "\\n"}',
        URL: "postgres://u:p%40ss@db/app?x=1&y=2#frag",
        DOLLAR: "$HOME ${X} $(id) \\$",
        HASH: "a # b",
        EMPTY: "",
        SPACES: "  padded  ",
        BACKSLASH: "C:\\new\\table",
        EQUALS: "=a=b=",
        export: "x",
      }).map(([key, value]) => [key, Buffer.from(value)]),
    );
    const parsed = parseEnv(encodeText("dotenv", variablesOf(values)).body.toString());
    expect(parsed).toEqual(Object.fromEntries([...values].map(([key, value]) => [key, value.toString()])));
  });

  it("refuses by name what it cannot carry: NUL, carriage returns, what is not UTF-8, all three quotes at once", () => {
    const values = new Map([
      ["GOOD", Buffer.from("x")],
      ["NUL", Buffer.from("a\0b")],
      ["CR", Buffer.from("a\r\nb")],
      ["BINARY", Buffer.from([0xff, 0xfe])],
      ["QUOTES", Buffer.from("'\"`")],
      ["ESCAPED", Buffer.from("'`\\n")],
    ]);
    expect(refusalOf("dotenv", values)).toEqual(["NUL", "CR", "BINARY", "QUOTES", "ESCAPED"]);
  });
});

describe("The JSON format", () => {
  it("gives back any bytes: as text where they are UTF-8, else in base64", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          bytes,
          fc.uint8Array({ maxLength: 50 }).map((one) => Buffer.from(one)),
        ),
        (value) => {
          const { value: written, encoding } = JSON.parse(JSON.stringify(encodeValue(new Redacted(value)))) as {
            value: string;
            encoding: BufferEncoding;
          };
          expect(Buffer.from(written, encoding).equals(value)).toBe(true);
          expect(encoding === "utf8" || encoding === "base64").toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});
