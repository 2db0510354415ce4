import { ERRORS } from "#base";
import type { ErrorCode } from "#base";
import { EXIT_CODES } from "#cli";
import { describe, expect, test } from "vitest";
import { EXIT_MEANINGS } from "../../src/cli/exit-codes.ts";
import { MANUAL } from "../../src/cli/manual.ts";
import { NOUNS } from "../../src/cli/nouns.ts";
import { TOPICS } from "../../src/cli/topics.ts";
import { fakeToken, sallyport } from "./harness.ts";
import { HostileServer, problem } from "./hostile-server.ts";

describe("the manual", () => {
  test("`help topics` lists every topic, and each has a page that fits a terminal", async () => {
    const list = (await sallyport("help topics")).out;
    for (const [topic, summary] of MANUAL) {
      expect(list).toContain(`  ${topic}`);
      expect(list).toContain(summary);
      const { code, out, stderr } = await sallyport(`help ${topic}`);
      expect([code, stderr]).toEqual([0, ""]);
      expect(out.split("\n").filter((line) => line.length > 100)).toEqual([]);
    }
    expect(MANUAL.length).toBeGreaterThan(8);
  });

  test("no topic has the name of a command or an error, which would hide it", () => {
    const names = MANUAL.map(([topic]) => topic);
    expect(names.filter((name) => Object.hasOwn(NOUNS, name) || Object.hasOwn(ERRORS, name))).toEqual([]);
  });

  test("what a page sends the reader to is there", async () => {
    const targets = Object.values(TOPICS).flatMap(({ see }) => see);
    for (const target of targets) expect([target, (await sallyport(`help ${target}`)).code]).toEqual([target, 0]);
    expect(targets.length).toBeGreaterThan(10);
  });

  test("the commands that a page shows are commands, with options that they have", async () => {
    const shown = Object.values(TOPICS).flatMap(({ text }) =>
      [...text.replaceAll("\\\n", "").matchAll(/\$ sallyport (.+)/g)].map(
        ([, line = ""]) => line.split(/\s{2,}\D/)[0] ?? "",
      ),
    );
    expect(shown.length).toBeGreaterThan(10);
    for (const line of shown) {
      const [noun = "", second = ""] = line.split(" ");
      const words = noun in NOUNS && "commands" in ((await NOUNS[noun]?.load()) ?? {}) ? `${noun} ${second}` : noun;
      const help = await sallyport(`${words} --help`);
      expect([line, help.code]).toEqual([line, 0]);
      for (const option of (line.split(" -- ")[0] ?? "").match(/(?<= )--?[a-z][a-z-]*/g) ?? [])
        expect([line, help.out.includes(option)]).toEqual([line, true]);
    }
  });

  test.each(Object.keys(ERRORS) as ErrorCode[])("`help %s` says why it happens and what to do", async (code) => {
    const { out } = await sallyport(`help ${code}`);
    const words = out.replace(/\s+/g, " ");
    for (const part of [ERRORS[code].title, ERRORS[code].cause, ERRORS[code].remedy, String(EXIT_CODES[code])])
      expect(words).toContain(part);
    expect((await sallyport("help errors")).out).toContain(`  ${code}`);
  });

  test("`help exit-codes` has them all", async () => {
    const { out } = await sallyport("help exit-codes");
    for (const [code, meaning] of EXIT_MEANINGS) expect(out).toContain(`${code.padEnd(5)}  ${meaning}`);
  });

  test("a word that is nothing is an error, and not the whole help", async () => {
    const ran = await sallyport("help nonsense");
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.stderr).toContain("nonsense");
  });
});

test("a failure of which nothing more is known says why that happens at all; one that names its parts does not", async () => {
  const server = new HostileServer();
  const env = { SALLYPORT_ADDRESS: await server.listen(), SALLYPORT_TOKEN: fakeToken("svc"), SALLYPORT_NO_WARN: "1" };
  const path = "GET /v1/environments/dev/namespaces/default/secrets/X";
  try {
    server.on(path, problem("disabled", 409));
    expect((await sallyport("secret show X", { env })).stderr).toBe(
      `sallyport: ${ERRORS.disabled.title}\n  ${ERRORS.disabled.cause}\n${ERRORS.disabled.remedy}\nRequest: req-12345678\nMore: sallyport help disabled\n`,
    );
    server.on(path, problem("in_use", 409, { usedBy: ["etl"] }));
    expect((await sallyport("secret show X", { env })).stderr).toBe(
      `sallyport: ${ERRORS.in_use.title}\n  used by: etl\n${ERRORS.in_use.remedy}\nRequest: req-12345678\nMore: sallyport help in_use\n`,
    );
  } finally {
    await server.close();
  }
});
