import { parseEnv } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatOf } from "../../src/cli/file-content.ts";
import type { FileContent, FileFormat } from "../../src/cli/file-content.ts";
import { readSecretFile } from "../../src/cli/secret-file.ts";

const read = (text: string | Buffer, format: FileFormat = "dotenv", allowEmpty = true): Promise<FileContent> =>
  readSecretFile(Buffer.from(text), format, allowEmpty);
/** Names with their values; throws where anything is wrong. */
async function values(text: string | Buffer, format: FileFormat = "dotenv"): Promise<Record<string, unknown>> {
  const { secrets, faults } = await read(text, format);
  if (faults.length > 0) throw new Error(JSON.stringify(faults));
  return Object.fromEntries(secrets.map(({ name, value }) => [name, value]));
}
const faults = async (text: string | Buffer, format: FileFormat = "dotenv", allowEmpty = true): Promise<string[]> =>
  (await read(text, format, allowEmpty)).faults.map(({ line, fault }) => `${String(line)}: ${fault}`);

describe("a dotenv file", () => {
  test.each<[string, string]>([
    ["plain", "A=1\nB=two words\n"],
    ["spaces around", "A = 1\n  B=2  \n"],
    ["export", "export A=1\nexport B='2'"],
    ["comments", "# a = b\nA=1 # one\n\n# two\nB='#' # three"],
    ["an equals sign in the value", "A=a=b==\nB=="],
    ["three kinds of quotes", "A='a\"`'\nB=\"b'`\"\nC=`c'\"`"],
    ["quotes inside a bare value", "A=it's\nB=5\" disk"],
    ["line ends between double quotes", "A=\"a\\nb\"\nB='a\\nb'\nC=a\\nb"],
    ["values of many lines", "A='-----BEGIN\nx=y\n# no comment\n-----END'\nB=2"],
    ["nothing", "A=\nB=''\nC="],
    ["CR LF", "A=1\r\nB='x\r\ny'\r\n"],
    ["a dollar sign stays", "A=$B\nB=${A}"],
    ["backslashes stay", "A=C:\\x\\\nB='\\t'"],
    ["letters of others", "A=ünïcödé ✓\nB='🔑'"],
  ])("has the values that Node reads there: %s", async (_, text) => {
    const own = await values(text);
    expect(own).toEqual({ ...parseEnv(text) });
    expect(Object.keys(own).length).toBeGreaterThan(1);
  });

  test("a comment may be the first line, and indented", async () => {
    expect(await values("#A=1\n  # B=2\nC=3")).toEqual({ C: "3" });
  });

  test("a byte order mark is no part of the first name", async () => {
    expect(await values("\ufeffA=1\nB=2")).toEqual({ A: "1", B: "2" });
  });

  test.each<[string, string | Buffer, string[]]>([
    ["a name twice", "A=1\nB=2\nA=3", ["3: the name of line 1 stands here again"]],
    ["no equals sign", "A=1\nhunter2\nB=2", ["2: it is not NAME=value"]],
    ["a colon", "A: 1", ["1: it is not NAME=value"]],
    ["names that are none", "A-B=1\n1A=1\nA.B=1\nä=1\n=1\nA B=1\n__proto__=1", [1, 2, 3, 4, 5, 6, 7].map(noName)],
    ["a name of 129 letters", `${"A".repeat(129)}=1`, [noName(1)]],
    ["a quote that is not closed", "A=1\nB='x\nC=2", ["2: the quote (') is not closed"]],
    [
      "text after a quote",
      "A='x'y\nB='it's'",
      [1, 2].map((line) => `${String(line)}: something follows the closing quote`),
    ],
    [
      "an escaped quote, which readers take differently",
      'A="x\\"',
      ['1: it has \\" between ": put the value in \' or `'],
    ],
    [
      "a # that Node would end the value at",
      "A=pa#ss\nB=#ff0000\nC='#'",
      [1, 2].map((line) => `${String(line)}: its # may be the value's or begin a comment: put the value in quotes`),
    ],
    ["a NUL byte", "A=1\nB=x\0y", ["2: it has a NUL byte, which no text has"]],
    [
      "bytes that are no text",
      Buffer.from([0x41, 0x3d, 0x31, 0x0a, 0x42, 0x3d, 0xff, 0xfe]),
      ["2: it is not UTF-8: give other bytes as base64, in JSON or YAML with an encoding"],
    ],
    ["UTF-16", Buffer.from("\ufeffA=1", "utf16le"), ["1: it is UTF-16: save it as UTF-8"]],
    ["a carriage return alone", "A=1\nB=x\ry", ["2: it has a carriage return inside the line"]],
    ["more than 64 KiB", `A=${"x".repeat(65_537)}`, ["1: the value holds more than 64 KiB"]],
    [
      "all of it at once",
      "x\nA=1\ny\nA=2",
      ["1: it is not NAME=value", "3: it is not NAME=value", "4: the name of line 2 stands here again"],
    ],
  ])("is refused with the line: %s", async (_, text, expected) => {
    expect(await faults(text)).toEqual(expected);
  });

  test("an empty value is refused unless it is meant", async () => {
    expect(await faults("A=\nB=''", "dotenv", false)).toEqual(
      [1, 2].map((line) => `${String(line)}: the value is empty: say --allow-empty if that is meant`),
    );
    expect(await faults("A=\nB=''", "dotenv", true)).toEqual([]);
  });

  test("whatever it holds, it is refused or read as Node reads it, n = 20,000", async () => {
    const piece = fc.constantFrom(
      "A",
      "B",
      "=",
      "'",
      '"',
      "`",
      "#",
      " ",
      "\n",
      "\\",
      "\\n",
      "x",
      "export ",
      "\r\n",
      "$",
    );
    let read = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join("")),
        async (text) => {
          // Some versions of Node make names of comments, or take the next line for a value of blanks.
          if (/^[ ]*#|=[ ]+\r?$/m.test(text) || (await faults(text)).length > 0) return;
          read += 1;
          expect(await values(text)).toEqual(asNodeReads(text));
        },
      ),
      { numRuns: 20_000 },
    );
    expect(read).toBeGreaterThan(1_000);
  });
});

/** Blank lines before a line are taken into its name by some versions of Node. */
function asNodeReads(text: string): Record<string, unknown> {
  const entries = Object.entries(parseEnv(text)).map(([name, value]): [string, unknown] => [
    (name.split("\n").at(-1) ?? "").trim().replace(/^export +/, ""),
    value,
  ]);
  return Object.fromEntries(entries);
}

function noName(line: number): string {
  return `${String(line)}: it has no name of letters, digits and _, at most 128, not beginning with a digit`;
}

describe("JSON and YAML", () => {
  const FULL = {
    name: "TLS_KEY",
    value: "AP8K",
    encoding: "base64",
    description: "of the proxy",
    tags: ["tls", "edge"],
    owner: "ops",
    rotateBy: "2030-01-31T00:00:00.000Z",
  };
  test.each<[FileFormat, string]>([
    [
      "json",
      '{ "DB_URL": "a\\n\\u00fc\\"b",\n\n "TLS_KEY": { "value": "AP8K", "encoding": "base64", "description": "of the proxy",' +
        '\n"tags": ["tls", "edge"], "owner": "ops", "rotateBy": "2030-01-31" },\n"META": { "description": "x", "rotateBy": null } }\n',
    ],
    [
      "yaml",
      '# all\n"DB_URL": "a\\nü\\"b"\nTLS_KEY:\n  value: AP8K\n  encoding: base64\n  description: of the proxy\n' +
        "  tags: [tls, edge]\n  owner: ops\n  rotateBy: 2030-01-31\nMETA: { description: x, rotateBy: ~ }\n",
    ],
  ])("%s holds values and what else is known of a name", async (format, text) => {
    const { secrets, faults } = await read(text, format);
    expect(faults).toEqual([]);
    const lines = format === "json" ? [1, 3, 5] : [2, 3, 10];
    expect(secrets).toEqual([
      { name: "DB_URL", line: lines[0], value: 'a\nü"b', encoding: "utf8" },
      { ...FULL, line: lines[1] },
      { name: "META", line: lines[2], description: "x", rotateBy: null },
    ]);
  });

  test("YAML that is not quoted is the text as it was written", async () => {
    const text =
      "A: 007\nB: 1.10\nC: no\nD: true\nE: 1e3\nF: 0x1F\nG: 2030-01-31\nH: 'null'\nI: |\n  x\n  y\nJ: !!str 5\n";
    expect(await values(text, "yaml")).toEqual({
      A: "007",
      B: "1.10",
      C: "no",
      D: "true",
      E: "1e3",
      F: "0x1F",
      G: "2030-01-31",
      H: "null",
      I: "x\ny\n",
      J: "5",
    });
  });

  test("JSON of any names and texts comes back as it went", async () => {
    const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,9}$/);
    const text = fc.string({ unit: "grapheme", minLength: 1 });
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, text, { minKeys: 1, noNullPrototype: true }), async (all) => {
        expect(await values(JSON.stringify(all, null, 2), "json")).toEqual(all);
        expect(await values(JSON.stringify(all), "yaml")).toEqual(all);
      }),
      { numRuns: 300 },
    );
  });

  const NO_BASE64 = "the value is not base64 (RFC 4648 section 4, padded)";
  test.each<[string, FileFormat, string | Buffer, string[]]>([
    ["no JSON", "json", '{\n "A": hunter2 }', ["2: it is not JSON"]],
    ["a comma too many", "json", '{ "A": "1",\n}', ["2: it is not JSON"]],
    ["a comment", "json", '{\n// x\n"A": "1" }', ["2: it is not JSON"]],
    ["an end too soon", "json", '{ "A": "1"\n', ["2: the JSON ends too soon"]],
    ["more after the end", "json", '{ "A": "1" }\n{ "B": "2" }', ["2: it is not JSON"]],
    ["a line end in a text", "json", '{ "A": "x\ny" }', ["1: it is not JSON"]],
    ["a name twice", "json", '{ "A": "1",\n "A": "2" }', ["2: the name of line 1 stands here again"]],
    ["a field twice", "json", '{ "A": { "value": "1",\n"value": "2" } }', ["2: the field stands twice"]],
    ["numbers, true and null", "json", '{ "A": 007 }', ["1: it is not JSON"]],
    ["a number", "json", '{ "A": 1.10 }', ["1: the value is not a text: put it in quotes"]],
    ["true", "json", '{ "A":\n true }', ["2: the value is not a text: put it in quotes"]],
    ["null", "json", '{ "A": null }', ['1: there is no value: for an empty one write ""']],
    ["a list for a value", "json", '{ "A": ["x"] }', ["1: the value is a list, and not a text"]],
    [
      "a list of secrets",
      "json",
      '[{ "name": "A" }]',
      ["1: it is a list, as an export of all scopes is: what is imported has the names of one scope"],
    ],
    ["a text alone", "json", '"A"', ["1: it is not names with their values"]],
    [
      "a field that is none",
      "json",
      '{ "A": { "val": "x" } }',
      ["1: a field that is not one of value, encoding, description, tags, owner, rotateBy"],
    ],
    ["values in values", "json", '{ "A": { "value": { "x": "y" } } }', ["1: a field has fields"]],
    [
      "an encoding that is none",
      "json",
      '{ "A": { "value": "x", "encoding": "hex" } }',
      ["1: encoding: utf8 or base64"],
    ],
    ["an encoding without a value", "json", '{ "A": { "encoding": "utf8" } }', ["1: it has an encoding and no value"]],
    [
      "what is not base64",
      "json",
      '{ "A": { "value": "AP8", "encoding": "base64" },\n"B": { "value": "AP8K\\n", "encoding": "base64" } }',
      [`1: ${NO_BASE64}`, `2: ${NO_BASE64}`],
    ],
    [
      "tags that are no list",
      "json",
      '{ "A": { "tags": "x" },\n"B": { "tags": [1] } }',
      ["1: tags: a list of texts", "2: tags: a list of texts"],
    ],
    [
      "a time that is none",
      "json",
      '{ "A": { "rotateBy": "soon" } }',
      ["1: rotateBy: a time like 90d, 2026-12-31 or null"],
    ],
    [
      "half of a character",
      "json",
      '{ "A": "\\ud800" }',
      ["1: the value is not well-formed Unicode: give it as base64"],
    ],
    ["a name that is none", "json", '{ "A-B": "1", "__proto__": "2" }', [noName(1), noName(1)]],
    ["brackets without an end", "json", "[".repeat(80_000), ["1: it goes deeper than names and their fields"]],
    [
      "one bracket too many",
      "json",
      `${"[".repeat(10)}${"]".repeat(10)}`,
      ["1: it goes deeper than names and their fields"],
    ],
    ["a NUL byte", "json", '{ "A":\n"\0" }', ["2: it has a NUL byte, which no text has"]],
    ["no YAML", "yaml", "A: 1\nB: 'x", ["2: it is not YAML"]],
    ["a tab", "yaml", "A:\n\tvalue: x", ["2: it is indented with a tab: YAML takes spaces"]],
    ["an indentation", "yaml", "A: [1,2\nB: 3", ["2: its indentation is not that of the lines before"]],
    ["a name twice in YAML", "yaml", "A: 1\nB: 2\nA: 3", ["3: the name of line 1 stands here again"]],
    [
      "no value",
      "yaml",
      "A:\nB: ~\nC: null",
      [1, 2, 3].map((line) => `${String(line)}: there is no value: for an empty one write ""`),
    ],
    ["an alias", "yaml", "A: &x 1\nB: *x", ["2: it has an alias (*): write the value out"]],
    ["two documents", "yaml", "A: 1\n---\nB: 2", ["2: a second document begins: one file, one document"]],
    [
      "a tag",
      "yaml",
      "A: !secret x",
      ["1: it has a tag (!) that is not read here: for bytes give base64, with an encoding"],
    ],
    [
      "bytes",
      "yaml",
      "A: !!binary aGk=",
      ["1: it has a tag (!) that is not read here: for bytes give base64, with an encoding"],
    ],
    ["a name that is a map", "yaml", "? {a: b}\n: c", ["1: a name is not a text"]],
    ["a merge", "yaml", "<<: x", [noName(1)]],
  ])("are refused with the line: %s", async (_, format, text, expected) => {
    expect(await faults(text, format)).toEqual(expected);
  });

  test("a fault never repeats what stands in the file", async () => {
    const canary = "c4nary";
    const texts: [FileFormat, string][] = [
      ["dotenv", canary],
      ["dotenv", `A='${canary}`],
      ["dotenv", `${canary}-x=1`],
      ["json", `{ "A": ${canary} }`],
      ["json", `{ "A": "${canary}`],
      ["json", `{ "A": { "${canary}": "x" } }`],
      ["json", `{ "A": { "rotateBy": "${canary}", "encoding": "${canary}" } }`],
      ["yaml", `A: "${canary}`],
      ["yaml", `A: @${canary}`],
      ["yaml", `A: !${canary} x`],
      ["yaml", `${canary} x`],
    ];
    for (const [format, text] of texts) {
      const said = (await faults(text, format)).join("\n");
      expect([text, said === "", said.includes(canary)]).toEqual([text, false, false]);
    }
  });

  test("an empty file holds nothing, and is no fault of its own", async () => {
    expect(await read("", "yaml")).toEqual({ secrets: [], faults: [] });
    expect(await read("# nothing\n")).toEqual({ secrets: [], faults: [] });
    expect(await read(" \n", "json")).toEqual({ secrets: [], faults: [] });
    expect(await read("{}", "json")).toEqual({ secrets: [], faults: [] });
  });
});

test.each<[string, FileFormat | null]>([
  [".env", "dotenv"],
  ["../app/.env.production", "dotenv"],
  ["prod.env", "dotenv"],
  ["a/b.JSON", "json"],
  ["a.yml", "yaml"],
  ["a.yaml", "yaml"],
  ["a.txt", null],
  ["env", null],
  ["-", null],
])("the name %s says %s", (path, format) => {
  expect(formatOf(path)).toBe(format);
});
