import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { isVaultError, Redacted } from "#base";
import { encodeText } from "#injection";
import { BIG_SETS, carriedOf, isUtf8, manyValues, naughty, refusedOf, written } from "./carried.ts";
import type { Values } from "./carried.ts";
import { HERE, SHELLS, Yard, ZSH, itInBash, itInShell } from "./shells.ts";

const yard = new Yard();
afterAll(() => {
  yard.remove();
});

const noNul = (_: string, value: Buffer) => !value.includes(0);
const noncharacter = /\p{Noncharacter_Code_Point}/u;

/** What each format that may be sourced carries, where nothing is against the name. */
const SOURCED = {
  shell: noNul,
  dotenv: (_: string, value: Buffer) => {
    const text = value.toString();
    if (!isUtf8(value) || /[\0\r]/.test(text) || text.endsWith("\\")) return false;
    return !text.includes("'") || !/["\\$`]/.test(text);
  },
  systemd: (_: string, value: Buffer) => isUtf8(value) && noNul("", value) && !noncharacter.test(value.toString()),
} as const;
const FORMATS = Object.keys(SOURCED) as (keyof typeof SOURCED)[];
const READERS = FORMATS.flatMap((format) => [...SHELLS, ZSH].map((shell) => [format, shell] as const));

describe("What may be sourced", () => {
  for (const [format, shell] of READERS)
    itInShell(
      shell,
      `${format}, read by ${shell}, gives back exactly the bytes: ${String(BIG_SETS * 200)} variables, and the naughty ones`,
      () => {
        let carried = 0;
        const check = (values: Values, locale: string) => {
          const { body, kept } = carriedOf(format, values, SOURCED[format]);
          const found = yard.sourced(shell, body, locale);
          for (const [name, value] of kept) expect(found.get(name)?.toString("hex"), name).toBe(value.toString("hex"));
          carried += kept.size;
        };
        const locales = fc.constantFrom("C", "C.UTF-8");
        fc.assert(fc.property(manyValues(200), locales, check), { numRuns: BIG_SETS });
        check(naughty, "C.UTF-8");
        expect(carried).toBeGreaterThan(BIG_SETS * 80);
      },
    );

  for (const shell of SHELLS)
    itInShell(shell, `shell, read by ${shell}, carries every byte there is but NUL, and values of 64 KiB`, () => {
      const every = Buffer.from(Array.from({ length: 255 }, (_, at) => at + 1));
      const values = new Map([
        ["EVERY", every],
        ["TWICE", Buffer.concat([every, Buffer.from(every).reverse()])],
        ["LONG", Buffer.alloc(65_536, "'")],
      ]);
      const { body } = carriedOf("shell", values, noNul);
      const found = yard.sourced(shell, body, "C.UTF-8");
      for (const [key, value] of values) expect(found.get(key)?.equals(value), key).toBe(true);
    });

  itInBash("shell refuses every name that one of these shells does not take as it is", () => {
    const names = [...bashNames(), "OPTIND", "LINENO", "PPID", "IFS", "LANG", "TZ", "POSIXLY_CORRECT"];
    let taken = 0;
    for (const key of names) {
      const values = new Map([[key, Buffer.from("va lue'1")]]);
      const answer = written("shell", values);
      if ("refused" in answer) continue;
      taken += 1;
      for (const shell of SHELLS.filter((one) => HERE.includes(one)))
        expect(yard.sourced(shell, answer.body, "C.UTF-8").get(key)?.toString(), `${shell} ${key}`).toBe("va lue'1");
    }
    expect(taken).toBeGreaterThan(10);
    const own = ["UID", "RANDOM", "_", "BASH_ARGV0", "SHELLOPTS"].map((key) => [key, Buffer.from("4")] as const);
    expect(refusedOf("shell", new Map([...own, ["GOOD", Buffer.from("x")]]))).toEqual(own.map(([key]) => key));
  });

  it("what is refused is said in words, without the value", () => {
    try {
      encodeText("shell", new Map([["UID", new Redacted(Buffer.from("very-secret"))]]), { name: "x", namespace: null });
      expect.unreachable();
    } catch (error) {
      if (!isVaultError(error, "not_representable")) throw error;
      expect(error.detail.variables).toEqual([
        { variable: "UID", reason: "its name is one that shells keep for themselves" },
      ]);
      expect(JSON.stringify([String(error), error.detail])).not.toContain("very-secret");
    }
  });
});

describe("Nothing runs in a shell that sources it", () => {
  const touch = `/usr/bin/touch ${yard.canary}`;
  const PAYLOADS = [
    `$(${touch})`,
    `\`${touch}\``,
    `"$(${touch})"`,
    `'$(${touch})'`,
    `'; ${touch}; '`,
    `"; ${touch}; "`,
    `'\n${touch}\n'`,
    `\n${touch}\n`,
    `\r\n${touch}\r\n`,
    `x; ${touch}`,
    `x & ${touch}`,
    `x && ${touch}`,
    `x | ${touch}`,
    `x' || ${touch} #`,
    `x" || ${touch} #`,
    `\\'; ${touch} #`,
    `\\"; ${touch} #`,
    `\\\\'; ${touch} #`,
    `x\\`,
    `\\`,
    `'\\''; ${touch}; '`,
    `\${X:-$(${touch})}`,
    `$'\\n'$(${touch})`,
    `$((a[$(${touch})]))`,
    `a[$(${touch})]`,
    `\${IFS}$(${touch})`,
    `\u2028${touch}\u2028`,
    `\ufeff$(${touch})`,
    `中\\'; ${touch} #`,
    `中\\"; ${touch} #`,
    `<(${touch})`,
    `>(${touch})`,
    `!$(${touch})`,
    `~$(${touch})`,
    `{a,$(${touch})}`,
    `#\n${touch}`,
    `=$(${touch})`,
    `x\nEOF\n${touch}`,
  ];
  const all = new Map(PAYLOADS.map((payload, at) => [`P${String(at)}`, Buffer.from(payload)]));

  itInBash("the detector works: the same values without quotes do run, and so does an assignment to RANDOM", () => {
    for (const shell of HERE) expect(yard.ran(shell, `A=$(${touch})\n`), shell).toBe(true);
    for (const shell of HERE) expect(yard.ran(shell, "A='$(true)'\n"), shell).toBe(false);
    expect(yard.ran("/bin/bash", `RANDOM='a[$(${touch})]'\n`)).toBe(true);
    expect(yard.ranAtPrompt(`PS1='$(${touch})'\n`)).toBe(true);
    expect(yard.ranAtPrompt(`PROMPT_COMMAND='${touch}'\n`)).toBe(true);
    expect(yard.ranAtPrompt("A=1\n")).toBe(false);
  });

  for (const [format, shell] of READERS)
    itInShell(
      shell,
      `${format}, read by ${shell}, runs none of ${String(PAYLOADS.length)} values, alone or together`,
      () => {
        const refused = new Set(refusedOf(format, all));
        const kept = [...all].filter(([name]) => !refused.has(name));
        expect(kept.length).toBeGreaterThan(PAYLOADS.length / 2);
        for (const values of [...kept.map((one) => new Map([one])), new Map(kept), new Map([...kept].reverse())]) {
          const answer = written(format, values);
          if (!("body" in answer)) throw new Error("it was carried before");
          expect(yard.ran(shell, answer.body), answer.body.toString()).toBe(false);
        }
      },
    );

  for (const format of FORMATS)
    itInBash(`${format} runs nothing by any name that bash knows, and none that it accepts runs at a prompt`, () => {
      const names = new Set([
        ...bashNames(),
        "OPTIND",
        "SRANDOM",
        "SECONDS",
        "PS0",
        "PS1",
        "PS2",
        "PS3",
        "PS4",
        "MAILPATH",
      ]);
      let tried = 0;
      for (const name of [...names, "PROMPT_COMMAND", "HISTCMD", "LINENO", "TMOUT", "COLUMNS", "HISTSIZE"]) {
        for (const payload of [`a[$(${touch})]`, `$(${touch})`, touch]) {
          const answer = written(format, new Map([[name, Buffer.from(payload)]]));
          if ("refused" in answer) continue;
          tried += 1;
          for (const shell of HERE) expect(yard.ran(shell, answer.body), `${shell} ${name}`).toBe(false);
          if (payload !== `a[$(${touch})]`) expect(yard.ranAtPrompt(answer.body), `prompt ${name}`).toBe(false);
        }
      }
      expect(tried).toBeGreaterThan(30);
      for (const name of ["RANDOM", "SRANDOM", "OPTIND", "PS1", "PROMPT_COMMAND"])
        expect(refusedOf(format, new Map([[name, Buffer.from("x")]])), name).toEqual([name]);
    });

  it("docker's format is not among them: sourced, it does run, and its first line says never to", () => {
    const answer = written("docker", new Map([["A", Buffer.from(`$(${touch})`)]]));
    if (!("body" in answer)) throw new Error("docker carries it");
    expect(yard.ran("/bin/sh", answer.body)).toBe(true);
    expect(answer.body.toString()).toMatch(/^# .*never source it.*\n/);
  });
});

function bashNames(): string[] {
  const names = execFileSync("/bin/bash", ["-c", "compgen -v"], { env: {}, stdio: ["ignore", "pipe", "inherit"] })
    .toString()
    .trim()
    .split("\n");
  expect(names.length).toBeGreaterThan(20);
  return names;
}
