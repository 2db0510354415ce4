import { ERRORS, VaultError } from "#base";
import { EXIT_CODES, exitCodeOf } from "#cli";
import { holdsToken, splitToken, tokenKind } from "#client";
import { CATALOG } from "#contract";
import { TOKEN_PATTERN } from "#crypto";
import { SETTINGS_FILE, SETTING_NAMES, variableOf } from "#settings";
import { readFileSync, readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Command } from "../../src/cli/command.ts";
import { EXIT_MEANINGS } from "../../src/cli/exit-codes.ts";
import { NOUNS } from "../../src/cli/nouns.ts";
import { GLOBAL } from "../../src/cli/options.ts";
import { CLI_VARIABLES } from "../../src/cli/variables.ts";
import { fakeToken, sallyport } from "./harness.ts";

const ALL: { readonly path: string; readonly command: Command }[] = [];
for (const [name, row] of Object.entries(NOUNS)) {
  const loaded = await row.load();
  expect(loaded.name).toBe(name);
  if ("commands" in loaded)
    ALL.push(...loaded.commands.map((command) => ({ path: `${name} ${command.name}`, command })));
  else ALL.push({ path: name, command: loaded });
}
const README = readFileSync("src/cli/README.md", "utf8");

describe("the command line's table", () => {
  test("each operation of the catalog but liveness, metrics and the OpenAPI document is used by a command", () => {
    const used = new Set(ALL.flatMap(({ command }) => command.uses));
    const unused = Object.keys(CATALOG).filter((id) => !used.has(id as never));
    expect(unused).toEqual(["health.live", "metrics.get", "openapi.get"]);
  });

  test.each(ALL)(
    "`$path` says what it does, with an example of itself and of options that it has",
    async ({ path, command }) => {
      expect(command.summary).toMatch(/^[A-Z].*[^.]$/);
      expect(command.examples.length).toBeGreaterThan(0);
      const known = [...(command.options ?? []), ...GLOBAL].flatMap(({ flags }) => flags.split(/[ ,]+/));
      for (const example of command.examples) {
        expect(example).toContain(`sallyport ${path}`);
        const own = (example.split(`sallyport ${path}`)[1] ?? "").split(/ (?:--|\|) /)[0] ?? "";
        for (const option of own.match(/(?<= )--?[a-z][a-z-]*/g) ?? []) expect(known).toContain(option);
      }
      const help = await sallyport(`${path} --help`);
      expect(help.code).toBe(0);
      expect(help.out).toContain(command.summary);
      expect(help.out).toContain(`$ ${command.examples[0] ?? "?"}`);
      expect((await sallyport(`help ${path}`)).out).toBe(help.out);
    },
  );

  test.each(ALL)("`$path` stands in the chapter with an example", ({ path }) => {
    expect(README).toContain(`sallyport ${path}`);
  });

  test("the chapter tells every exit code that the help tells", async () => {
    const { out } = await sallyport("--help");
    for (const [code, meaning] of EXIT_MEANINGS) {
      expect(out).toContain(meaning);
      expect(README).toContain(`| ${code} | ${meaning} |`);
    }
  });
});

describe("exit codes", () => {
  test("every error has one, and none of them is success", () => {
    for (const code of Object.keys(ERRORS)) expect(EXIT_CODES[code as keyof typeof ERRORS]).toBeGreaterThan(0);
  });

  test("an error of the vault's own start has its own, a stranger's is 1", () => {
    expect(exitCodeOf(new VaultError("key_file_unsafe"))).toBe(21);
    expect(exitCodeOf(new VaultError("store_unavailable"))).toBe(28);
    expect(exitCodeOf(new Error("x"))).toBe(1);
  });

  test("each cause for which `up` does not start has one of 20 to 31 to itself, and the chapter tells it", () => {
    const starts = Object.values(EXIT_CODES).filter((code) => code >= 20 && code < 125);
    expect(starts).toEqual([20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31]);
    const told = /^Of `up`: ([^.]*)\./m.exec(README)?.[1] ?? "";
    expect(told.split(/,\s/).map((part) => Number(/^\d+/.exec(part)?.[0]))).toEqual(starts);
  });

  test.each([
    ["secrt", 2, "Did you mean secret"],
    ["secret lst", 2, "Did you mean list"],
    ["secret get X", 2, "Unknown command 'get' (Did you mean show or reveal?)\nSee `sallyport secret --help`."],
    ["secret rm X", 2, "Did you mean delete?"],
    ["get X", 2, "Did you mean secret show or secret reveal?"],
    ["set X", 2, "Did you mean secret set?"],
    ["start", 2, "Did you mean up?"],
    ["constructor", 2, "Unknown command 'constructor'\nSee `sallyport --help`."],
    ["secret show", 2, "name"],
    ["secret reveal X", 2, "See `sallyport secret reveal --help`."],
    ["up extra", 2, "See `sallyport up --help`."],
    ["secret set X hunter2", 2, "A value is no argument"],
    [
      "secret set X=hunter2",
      7,
      "<name>: letters, digits and _, at most 128, not beginning with a digit\nGive the name alone",
    ],
    ["secret update X", 2, "Say what to change: --description, --tag, --owner or --rotate-by."],
    ["secret show X --nonsense", 2, "nonsense"],
    ["env create x --mode closed", 2, "closed"],
    ["run", 125, "no command"],
    ["run --nonsense -- true", 125, "nonsense"],
  ])("`%s` ends with %i and says why", async (argv, code, why) => {
    const ran = await sallyport(argv);
    expect(ran.code).toBe(code);
    expect(ran.stderr).toContain(why);
    expect(ran.stderr).not.toContain("hunter2");
    expect(ran.out).toBe("");
  });

  test("with --json a fault of usage is a problem document on stderr", async () => {
    const ran = await sallyport("--json secret show");
    expect(JSON.parse(ran.stderr)).toMatchObject({ code: "usage" });
  });
});

describe("tokens", () => {
  test("what the vault calls a token, the command line does as well", () => {
    const vaults = new RegExp(`^${TOKEN_PATTERN}$`);
    for (const kind of ["inj", "svc", "ses", "lease", "tool", "inv", "set"]) {
      expect(fakeToken(kind)).toMatch(vaults);
      expect(tokenKind(fakeToken(kind))).toBe(kind);
      expect(holdsToken(`Bearer ${fakeToken(kind)};`)).toBe(true);
    }
    expect(tokenKind(`${fakeToken("svc")}3`)).toBeNull();
    expect(tokenKind("sp_svc_short")).toBeNull();
  });

  test("R104: the two parts joined are the token, and the id alone is none", () => {
    const token = fakeToken("svc");
    const { id, secret } = splitToken(token);
    expect(id + secret).toBe(token);
    expect(tokenKind(id)).toBeNull();
    expect(holdsToken(id)).toBe(false);
  });
});

test("`up` takes each setting from its option, else its variable, else its default", async () => {
  const { up } = await sallyport("up --listen 127.0.0.1:2 --insecure-plain-http", {
    env: { SALLYPORT_DATA: "/d", SALLYPORT_LISTEN: "127.0.0.1:1" },
  });
  expect(up).toHaveLength(1);
  expect(up[0]?.config).toMatchObject({
    dataFolder: "/d",
    keysFolder: "/nonexistent/keys",
    checkpointFile: "/d/checkpoints.log",
    host: "127.0.0.1",
    port: 2,
    org: "main",
    owner: "owner",
    logLevel: "info",
    insecurePlainHttp: true,
  });
});

test("every variable that the command line or the client reads is the vault's setting or its own", () => {
  const sources = ["src/cli", "src/client"].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => `${folder}/${name}`),
  );
  const read = sources.flatMap((path) => readFileSync(path, "utf8").match(/\bSALLYPORT_[A-Z_]+\b/g) ?? []);
  const known = new Set<string>([...CLI_VARIABLES, ...SETTING_NAMES.map(variableOf), SETTINGS_FILE.variable]);
  expect(read.length).toBeGreaterThan(20);
  expect([...new Set(read)].filter((name) => !known.has(name))).toEqual([]);
});
