import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { Redacted, isVaultError } from "#base";
import { encodeText } from "#injection";
import type { TextFormat } from "#injection";

export type Values = ReadonlyMap<string, Buffer>;

const SECRET = { name: "etl", namespace: null };

/** The text of these variables, or the reasons for which the format refuses them. */
export function written(format: TextFormat, values: Values): { body: Buffer } | { refused: Map<string, string> } {
  const variables = new Map([...values].map(([name, value]) => [name, new Redacted(value)]));
  try {
    return { body: encodeText(format, variables, SECRET).body };
  } catch (error) {
    if (!isVaultError(error, "not_representable")) throw error;
    return { refused: new Map((error.detail.variables ?? []).map((one) => [one.variable, one.reason])) };
  }
}

/** The names that a format refuses. */
export function refusedOf(format: TextFormat, values: Values): string[] {
  const answer = written(format, values);
  return "refused" in answer ? [...answer.refused.keys()] : [];
}

/** The text of those that the format carries; they have to be exactly those that `carries` says. */
export function carriedOf(
  format: TextFormat,
  values: Values,
  carries: (name: string, value: Buffer) => boolean,
): { body: Buffer; kept: Values } {
  const kept = new Map([...values].filter(([name, value]) => carries(name, value)));
  const refused = [...values.keys()].filter((name) => !kept.has(name));
  expect(refusedOf(format, values)).toEqual(refused);
  const answer = written(format, kept);
  if ("refused" in answer) throw new Error(`${[...answer.refused.keys()].join()} was refused after all`);
  return { body: answer.body, kept };
}

/** The same names with the same bytes. */
export function expectSame(found: ReadonlyMap<string, Buffer>, values: Values): void {
  const shown = (all: ReadonlyMap<string, Buffer>) =>
    [...all].map(([name, value]) => [name, value.toString("hex")]).sort();
  expect(shown(found)).toEqual(shown(values));
}

/** A reader's object of texts. */
export function textsOf(read: object): Map<string, Buffer> {
  return new Map(Object.entries(read).map(([name, value]) => [name, Buffer.from(String(value))]));
}

export const isUtf8 = (value: Buffer) => Buffer.from(value.toString()).equals(value);

/** What readers of some format take for something else than the text that it is. */
export const NAUGHTY: readonly string[] = [
  ...[
    "",
    " ",
    "   ",
    " a",
    "a ",
    "\t",
    "\n",
    "\n\n",
    "a\n",
    "\na",
    "\\",
    "a\\",
    "a\\\\",
    "\\n",
    "\\\n",
    "\r",
    "\r\n",
    "a\r\nb",
    "a\r",
  ],
  ...[
    "\u2028",
    "a\u2029b",
    "\u0085",
    "\ufeff",
    "\ufeffa",
    "\u200b",
    "\u0000",
    "a\0b",
    "\u0001",
    "\u001b[31m",
    "\u007f",
    "\u0080",
  ],
  ...[
    "null",
    "~",
    "true",
    "True",
    "no",
    "NO",
    "yes",
    "on",
    "off",
    "1",
    "01",
    "1e3",
    "0x1F",
    "0o7",
    "1_000",
    "12:30:45",
    "2001-01-01",
  ],
  ...[
    ".inf",
    ".nan",
    "nan",
    "<<",
    "=",
    "==",
    "a=b",
    "#x",
    "a #b",
    "a#b",
    "!x",
    "- a",
    "? a",
    "a: b",
    ": ",
    "{}",
    "[]",
    "&a",
    "*a",
    "|",
    ">",
    "%a",
    "@a",
  ],
  ...["'", '"', "`", "''", '""', "'\"", "'\"`", "'a'", '"a"', "a'b", 'it\'s "so"', "'''", '"""', "\\'", '\\"', "'\\"],
  ...[
    "$",
    "$$",
    "$A",
    "${A}",
    "$${A}",
    "$$${A}",
    "%{a}",
    "%%{a}",
    "%{",
    "${",
    "$(id)",
    "`id`",
    "$'a'",
    "!!",
    "a!b",
    "!!binary YQ==",
  ],
  ...[
    "é",
    "e\u0301",
    "\u212b",
    "한",
    "\ud55c",
    "🙂",
    "👩‍💻",
    "\ufffd",
    "\ufffe",
    "\uffff",
    "\ufdd0",
    "\u{1ffff}",
    "\u{10ffff}",
    "中\\'\"$`",
  ],
  ...[
    "---",
    "...",
    "--- a",
    "%YAML 1.1",
    "export A=b",
    "A=b",
    "\nA=b",
    "\nA='b'",
    "'\nB='x",
    "; id",
    "&& id",
    "| id",
    "\\u0041",
    "\\x41",
    "\\U0001F600",
  ],
  ...[
    "-----BEGIN KEY-----\nMIIB+/=\n-----END KEY-----\n",
    '{"a": "it\'s", "b": "\\n"}',
    "postgres://u:p%40ss@db/app?x=1&y=2#frag",
  ],
  ...["C:\\new\\table", "a".repeat(65_536), "'".repeat(1_000), "\\".repeat(1_001), "é".repeat(32_768)],
];

export const naughty: Values = new Map(NAUGHTY.map((text, at) => [`N${String(at)}`, Buffer.from(text)]));

/** Names that no format and no shell has a use of its own for. */
const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,20}$/);

const hot = fc.constantFrom(
  ...[
    "'",
    '"',
    "`",
    "\\",
    "$",
    "${",
    "%{",
    "\n",
    "\t",
    " ",
    "#",
    "=",
    ":",
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
  ],
  ...[
    "<",
    ">",
    "~",
    "\r",
    "\u0000",
    "\u0001",
    "\u007f",
    "$(id)",
    "\\'",
    "''",
    "\\n",
    "\\u0041",
    "é",
    "\u2028",
    "\ufeff",
    "\u0085",
    "e\u0301",
    "🙂",
  ],
);
const text = fc
  .array(fc.oneof(hot, fc.string({ unit: "grapheme", maxLength: 4 }), fc.string({ unit: "binary", maxLength: 3 })), {
    maxLength: 12,
  })
  .map((all) => Buffer.from(all.join("")));
const anyBytes = fc.uint8Array({ maxLength: 60 }).map((one) => Buffer.from(one));
const value = fc.oneof(
  { weight: 3, arbitrary: text },
  { weight: 1, arbitrary: anyBytes },
  {
    weight: 1,
    arbitrary: fc.constantFrom(...NAUGHTY.filter(({ length }) => length < 100)).map((one) => Buffer.from(one)),
  },
);

/** How many sets of a few variables each reader gets; more where there is time: `FORMAT_SETS=3000 npx vitest …`. */
export const SETS = Number(process.env.FORMAT_SETS ?? 100);
/** How many sets of 200 variables a reader gets that is a program. */
export const BIG_SETS = Math.max(1, Math.ceil(SETS / 100));

/** A few variables. */
export const fewValues: fc.Arbitrary<Values> = fc
  .array(fc.tuple(name, value), { minLength: 1, maxLength: 6 })
  .map((pairs) => new Map(pairs.map(([key, one], at) => [`${key}_${String(at)}`, one])));

/** As many as a process that reads them once may take: where the reader is a program. */
export function manyValues(count: number): fc.Arbitrary<Values> {
  return fc
    .array(fc.tuple(name, value), { minLength: count, maxLength: count })
    .map((pairs) => new Map(pairs.map(([key, one], at) => [`${key}_${String(at)}`, one])));
}

/** A folder for the files that readers read, until the tests of the file that calls this are over. */
export function readersFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "sallyport-formats-"));
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** Whether a program is here. */
export function isHere(program: string, ...args: readonly string[]): boolean {
  const tried = spawnSync(program, args, { stdio: "ignore", timeout: 60_000 });
  return tried.error === undefined && tried.status === 0;
}

/** A test that takes a program; where it is missing, the run says what was not proven. */
export function itWith(here: boolean, program: string, title: string, run: () => Promise<void> | void): void {
  it(title, { timeout: 300_000 }, async ({ skip }) => {
    if (!here) skip(`there is no ${program} on this machine`);
    await run();
  });
}
