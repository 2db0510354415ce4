import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { parseEnv, promisify } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  BIG_SETS,
  SETS,
  carriedOf,
  expectSame,
  fewValues,
  isHere,
  isUtf8,
  itWith,
  manyValues,
  naughty,
  readersFolder,
  textsOf,
  written,
} from "./carried.ts";
import type { Values } from "./carried.ts";

const folder = readersFolder();

describe("The dotenv format", () => {
  const carries = (_: string, value: Buffer) => {
    const text = value.toString();
    if (!isUtf8(value) || /[\0\r]/.test(text) || text.endsWith("\\")) return false;
    return !text.includes("'") || !/["\\$`]/.test(text);
  };
  const { parse } = createRequire(import.meta.url)("dotenv") as { parse: (text: Buffer) => object };

  it.each([
    ["util.parseEnv", (body: Buffer) => textsOf(parseEnv(body.toString()))],
    ["the package dotenv", (body: Buffer) => textsOf(parse(body))],
  ])(
    `read by %s gives back exactly the text, or is refused by name: ${String(SETS)} sets and the naughty ones`,
    (_, read) => {
      let count = 0;
      const check = (values: Values) => {
        const { body, kept } = carriedOf("dotenv", values, carries);
        expectSame(read(body), kept);
        count += kept.size;
      };
      fc.assert(fc.property(fewValues, check), { numRuns: SETS });
      check(naughty);
      expect(count).toBeGreaterThan(SETS);
    },
  );

  it("says why it refuses: what is read as something else, and what a shell would run", () => {
    const answer = written(
      "dotenv",
      new Map([
        ["GOOD", Buffer.from("it's")],
        ["NUL", Buffer.from("a\0b")],
        ["CR", Buffer.from("a\r\nb")],
        ["BINARY", Buffer.from([0xff, 0xfe])],
        ["END", Buffer.from("C:\\")],
        ["QUOTES", Buffer.from('it\'s "so"')],
        ["TICKS", Buffer.from("it's `id`")],
        ["RANDOM", Buffer.from("1")],
      ]),
    );
    expect("refused" in answer && Object.fromEntries(answer.refused)).toEqual({
      NUL: "its value holds a NUL byte",
      CR: "its value holds a carriage return",
      BINARY: "its value is not UTF-8 text",
      END: "its value ends in a backslash",
      QUOTES: 'its value holds a single quote together with one of " \\ $ `',
      TICKS: 'its value holds a single quote together with one of " \\ $ `',
      RANDOM: "a shell that reads the file could run its value as a command",
    });
  });
});

describe("The docker format", () => {
  const carries = (name: string, value: Buffer) =>
    isUtf8(value) && !/[\0\r\n]/.test(value.toString()) && name.length + 1 + value.length <= 65_535;

  /** The lines of an env-file as docker's documentation tells them. */
  function byTheRules(body: Buffer): Map<string, Buffer> {
    const lines = body.toString().split("\n").slice(0, -1);
    const kept = lines.map((line) => line.replace(/^\s+/, "")).filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      kept.map((line) => [line.slice(0, line.indexOf("=")), Buffer.from(line.slice(line.indexOf("=") + 1))]),
    );
  }

  it(`read by docker's documented rules gives back exactly the text: ${String(SETS)} sets and the naughty ones`, () => {
    const check = (values: Values) => {
      const { body, kept } = carriedOf("docker", values, carries);
      expectSame(byTheRules(body), kept);
    };
    fc.assert(fc.property(fewValues, check), { numRuns: SETS });
    check(naughty);
  });

  describe("read by docker itself, which hands what it has read to a daemon that only listens,", () => {
    const socket = join(folder, "daemon.sock");
    const received: { environment: readonly string[] } = { environment: [] };
    let daemon: Server;
    beforeAll(async () => {
      daemon = createServer((request, response) => {
        const parts: Buffer[] = [];
        request.on("data", (part: Buffer) => parts.push(part));
        request.on("end", () => {
          response.setHeader("Api-Version", "1.41").setHeader("Content-Type", "application/json");
          if (request.url?.endsWith("/_ping") === true) return response.end("OK");
          if (request.url?.includes("/containers/create") !== true) return response.writeHead(404).end("{}");
          received.environment = (JSON.parse(Buffer.concat(parts).toString()) as { Env: string[] }).Env;
          return response.writeHead(201).end(JSON.stringify({ Id: "a".repeat(64), Warnings: [] }));
        });
      });
      await new Promise<void>((resolve) => daemon.listen(socket, resolve));
    });
    afterAll(() => new Promise((resolve) => daemon.close(resolve)));

    async function byDocker(body: Buffer): Promise<Map<string, Buffer>> {
      const file = join(folder, "docker.env");
      writeFileSync(file, body);
      received.environment = [];
      const env = {
        PATH: process.env.PATH ?? "",
        HOME: folder,
        DOCKER_CONFIG: folder,
        DOCKER_HOST: `unix://${socket}`,
      };
      await promisify(execFile)("docker", ["create", "--env-file", file, "image"], { env });
      return new Map(
        received.environment.map((one) => [
          one.slice(0, one.indexOf("=")),
          Buffer.from(one.slice(one.indexOf("=") + 1)),
        ]),
      );
    }

    itWith(
      isHere("docker", "--version"),
      "docker",
      `gives back exactly the text: ${String(BIG_SETS * 200)} variables and the naughty ones`,
      async () => {
        let count = 0;
        const check = async (values: Values) => {
          const { body, kept } = carriedOf("docker", values, carries);
          expectSame(await byDocker(body), kept);
          count += kept.size;
        };
        await fc.assert(fc.asyncProperty(manyValues(200), check), { numRuns: BIG_SETS });
        await check(naughty);
        await check(new Map([["L", Buffer.alloc(65_533, "x")]]));
        expect(count).toBeGreaterThan(BIG_SETS * 80);
      },
    );

    itWith(
      isHere("docker", "--version"),
      "docker",
      "and what is refused would not have come out: a longer line, a line break",
      async () => {
        await expect(byDocker(Buffer.from(`L=${"x".repeat(65_534)}\n`))).rejects.toThrow(/too long/);
        const read = await byDocker(Buffer.from("A=x\r\nB=y\n"));
        expect(read.get("A")?.toString()).toBe("x");
      },
    );
  });

  it("says why it refuses", () => {
    const answer = written(
      "docker",
      new Map([
        ["GOOD", Buffer.from(" # ' \" $x = ")],
        ["LF", Buffer.from("a\n")],
        ["CR", Buffer.from("a\r")],
        ["BINARY", Buffer.from([0xc3])],
        ["LONG", Buffer.alloc(65_531, "x")],
        ["FITS", Buffer.alloc(65_530, "x")],
      ]),
    );
    expect("refused" in answer && [...answer.refused.keys()]).toEqual(["LF", "CR", "BINARY", "LONG"]);
  });
});

describe("The systemd format", () => {
  const carries = (_: string, value: Buffer) =>
    isUtf8(value) && !value.includes(0) && !/\p{Noncharacter_Code_Point}/u.test(value.toString());

  /** The lexer of systemd's env-file.c, and of its older one, which has escapes between single quotes as well. */
  function byTheRules(body: Buffer, old: boolean): Map<string, Buffer> {
    const found = new Map<string, Buffer>();
    const text = body.toString();
    let at = 0;
    while (at < text.length) {
      const sign = text.indexOf("=", at);
      const name = text.slice(at, sign);
      let value = "";
      for (at = sign + 1; text[at] === "'" || text[at] === '"'; at += 1) {
        const quote = text[at];
        for (at += 1; at < text.length && text[at] !== quote; at += 1) {
          const escapes = text[at] === "\\" && (quote === '"' || old);
          if (escapes && (old || '"\\$`'.includes(text[at + 1] ?? "x"))) at += 1;
          value += text[at] ?? "";
        }
      }
      if (text[at] !== "\n") throw new Error(`${name} does not end with its line`);
      at += 1;
      found.set(name, Buffer.from(value));
    }
    return found;
  }

  it.each([
    ["now", false],
    ["in older versions", true],
  ])(`read by systemd's rules %s gives back exactly the text: ${String(SETS)} sets and the naughty ones`, (_, old) => {
    const check = (values: Values) => {
      const { body, kept } = carriedOf("systemd", values, carries);
      expectSame(byTheRules(body, old), kept);
    };
    fc.assert(fc.property(fewValues, check), { numRuns: SETS });
    check(naughty);
  });

  // It reads environment.d(5) with the lexer of EnvironmentFile=, and then expands variables, which a doubled $ escapes. An
  // empty value, which EnvironmentFile= takes, is a fault there.
  const generator = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator";

  function bySystemd(body: Buffer): Map<string, Buffer> {
    mkdirSync(join(folder, "environment.d"), { recursive: true });
    writeFileSync(join(folder, "environment.d", "variables.conf"), body);
    const out = execFileSync(generator, [], { env: { XDG_CONFIG_HOME: folder }, maxBuffer: 64 * 1024 * 1024 });
    const found = new Map<string, Buffer>();
    for (const line of out.toString().split("\n").slice(0, -1)) {
      const sign = line.indexOf("=");
      found.set(line.slice(0, sign), Buffer.from(unescaped(line.slice(sign + 1))));
    }
    return found;
  }

  /** What the generator prints, which is the value in a shell's double quotes with the escapes of C. */
  function unescaped(shown: string): string {
    const named: Record<string, string> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };
    return shown
      .replace(/^"([\s\S]*)"$/, "$1")
      .replace(/\\([0-7]{3}|.)/g, (_, one: string) =>
        one.length === 3 ? String.fromCharCode(parseInt(one, 8)) : (named[one] ?? one),
      );
  }

  itWith(
    existsSync(generator),
    "systemd",
    `read by systemd's own lexer gives back exactly the text: ${String(BIG_SETS * 200)} variables and the naughty ones`,
    () => {
      let count = 0;
      const check = (values: Values) => {
        const full = new Map([...values].filter(([, value]) => value.length > 0));
        const { kept } = carriedOf("systemd", full, carries);
        const doubled = new Map(
          [...kept].map(([name, value]) => [name, Buffer.from(value.toString().replaceAll("$", "$$$$"))]),
        );
        const { body } = carriedOf("systemd", doubled, carries);
        const found = bySystemd(body);
        expectSame(new Map([...found].filter(([name]) => kept.has(name))), kept);
        count += kept.size;
      };
      fc.assert(fc.property(manyValues(200), check), { numRuns: BIG_SETS });
      check(naughty);
      expect(count).toBeGreaterThan(BIG_SETS * 80);
    },
  );

  itWith(existsSync(generator), "systemd", "and a noncharacter, which is refused, would have been one too many", () => {
    expect(bySystemd(Buffer.from("A='x'\n")).get("A")?.toString()).toBe("x");
    let found: Map<string, Buffer> | null = null;
    try {
      found = bySystemd(Buffer.from("A='\ufdd0'\n"));
    } catch {
      // Some versions end in an error.
    }
    expect(found?.has("A") ?? false).toBe(false);
  });
});
