import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ARGUMENTS, OPTIONS } from "../../src/cli/completion/names.ts";
import { SHELLS } from "../../src/cli/completion/scripts.ts";
import type { Command } from "../../src/cli/command.ts";
import { NOUNS } from "../../src/cli/nouns.ts";
import { PROGRAM, cleanEnv } from "../harness.ts";
import { HostileServer } from "./hostile-server.ts";
import { fakeToken, sallyportArgs, surroundings } from "./harness.ts";
import { Folder } from "./process.ts";

/** What the shell is offered for a line whose last word is being typed. */
async function offered(shell: string, words: readonly string[], around = {}): Promise<string[]> {
  const { out, code, stderr } = await sallyportArgs(["complete", shell, "--", ...words], around);
  expect([code, stderr]).toEqual([0, ""]);
  return out.split("\n").filter((line) => line !== "");
}
const wordsOf = (lines: readonly string[]) => lines.map((line) => line.split("\t")[0] ?? "");

describe("what is offered without a vault", () => {
  test.each<[string, string[], string[], string[]]>([
    ["nouns", ["se"], ["secret", "session", "service-user"], ["up"]],
    ["commands of a noun", ["secret", "re"], ["reveal", "restore"], ["set"]],
    ["options, with what they mean", ["secret", "set", "X", "--f"], ["--file"], ["--env"]],
    ["options of every command", ["secret", "list", "--js"], ["--json"], []],
    ["not one that was given", ["secret", "list", "--all", "--a"], ["--address"], ["--all"]],
    ["one that may be repeated again", ["secret", "set", "X", "--tag", "a", "--ta"], ["--tag"], []],
    ["the choices of an option", ["env", "create", "x", "--mode", ""], ["open", "restricted", "private"], []],
    ["a choice after =", ["env", "create", "x", "--mode=p"], ["--mode=private"], ["private"]],
    ["topics and errors after help", ["help", "la"], ["launches"], []],
    ["files for a file", ["secret", "set", "X", "--file", ""], [":files"], ["--env"]],
    ["files after run's --", ["run", "--", "no"], [":files"], []],
    ["shells", ["completion", ""], ["bash", "zsh", "fish"], []],
    ["nothing for a name that is to be made", ["env", "create", ""], [], [":files"]],
    ["nothing after what is no command", ["nonsense", ""], [], ["secret"]],
    ["nothing after an option that is none", ["secret", "list", "--nonsense", ""], [], ["--env"]],
    ["nothing where no vault answers", ["secret", "show", ""], [], [":files"]],
  ])("%s", async (_, words, some, none) => {
    const around = { env: { SALLYPORT_ADDRESS: "http://127.0.0.1:1", SALLYPORT_TOKEN: fakeToken("svc") } };
    const lines = wordsOf(await offered("zsh", words, around));
    expect(lines).toEqual(expect.arrayContaining(some));
    for (const word of none) expect(lines).not.toContain(word);
    if (some.length === 0) expect(lines).toEqual([]);
  });

  test("bash gets what follows the last = : or @, which it takes for words of their own", async () => {
    expect(wordsOf(await offered("bash", ["env", "create", "x", "--mode", "=", "p"]))).toEqual(["private"]);
    expect(wordsOf(await offered("bash", ["env", "create", "x", "--mode", "="]))).toContain("private");
    expect(wordsOf(await offered("fish", ["env", "create", "x", "--mode=p"]))).toEqual(["--mode=private"]);
  });

  test.each([[["tcsh", "--", "x"]], [["bash", "x"]], [[]]])(
    "a script of another make (%j) is told so by exit code 2",
    async (words) => {
      expect((await sallyportArgs(["complete", ...words])).code).toBe(2);
    },
  );

  test("every argument of every command stands in the table, so that none is forgotten", async () => {
    const missing: string[] = [];
    for (const [noun, row] of Object.entries(NOUNS)) {
      const loaded = await row.load();
      const commands: readonly Command[] = "commands" in loaded ? loaded.commands : [loaded];
      for (const [syntax] of commands.flatMap((command) => command.arguments ?? [])) {
        const place = `${noun} ${syntax.replace(/[<>[\].]/g, "")}`;
        if (!(place in ARGUMENTS)) missing.push(place);
      }
    }
    expect(missing).toEqual([]);
    expect(Object.keys(OPTIONS).length).toBeGreaterThan(5);
  });

  test("a vault that lies can have nothing typed but harmless words", async () => {
    const server = new HostileServer();
    const names = [
      "$(touch x)",
      "`x`",
      "a b",
      "a\nb",
      "a;b",
      "X'",
      'X"',
      "a\tb",
      "\u001b[2J",
      "*",
      "~",
      "X".repeat(300),
      "GOOD",
    ];
    const address = await server.listen();
    server.on("GET /v1/environments/dev/namespaces/default/secrets", {
      status: 200,
      body: JSON.stringify({ items: names.map((name) => ({ name })), next: null }),
    });
    try {
      const env = { SALLYPORT_ADDRESS: address, SALLYPORT_TOKEN: fakeToken("svc") };
      expect(wordsOf(await offered("zsh", ["secret", "show", ""], { env }))).toEqual(["GOOD"]);
    } finally {
      await server.close();
    }
  });
});

describe("in real shells, with a real vault", () => {
  const folder = new Folder();
  const bin = mkdtempSync(join(tmpdir(), "sallyport-bin-"));

  beforeAll(async () => {
    // The command as it is called, on the PATH that the shells see.
    writeFileSync(join(bin, "sallyport"), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`);
    chmodSync(join(bin, "sallyport"), 0o755);
    await folder.up(["--listen", "127.0.0.1:0"]);
    for (const name of ["DB_URL", "DB_PASS", "OTHER"]) {
      const set = await folder.run(["secret", "set", name], { input: "canary-of-completion" });
      expect(set.code).toBe(0);
    }
  });
  afterAll(async () => {
    await folder.remove();
    rmSync(bin, { recursive: true });
  });

  function shell(program: string, args: readonly string[], more: Record<string, string> = {}) {
    const env = cleanEnv(
      surroundings(folder.path, { PATH: `${bin}:${process.env.PATH ?? ""}`, TERM: "dumb", ...more }),
    );
    return spawnSync(program, args, { cwd: folder.path, env, encoding: "utf8", timeout: 25_000 });
  }
  const has = (program: string) => spawnSync(program, ["--version"]).status === 0;

  const LINES: readonly (readonly [string, readonly string[]])[] = [
    ["sallyport secret show DB", ["DB_PASS", "DB_URL"]],
    ["sallyport secret show --env pr", ["prod"]],
    ["sallyport run --workload de", ["default", "default/default"]],
    ["sallyport user show ow", ["owner"]],
    ["sallyport secret list --env de", ["dev"]],
  ];

  test("bash", (context) => {
    if (!has("bash")) return context.skip("there is no bash");
    for (const [line, words] of LINES) {
      const typed = line.split(" ");
      const ran = shell("bash", [
        "-c",
        'source <(sallyport completion bash); source <(sallyport completion bash); COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _sallyport; printf "%s\\n" "${COMPREPLY[@]}"',
        "bash",
        ...typed,
      ]);
      expect([line, ran.stdout.trim().split("\n").sort(), ran.stderr]).toEqual([line, [...words], ""]);
    }
  });

  test("fish", (context) => {
    if (!has("fish")) return context.skip("there is no fish");
    for (const [line, words] of LINES) {
      const ran = shell("fish", ["--no-config", "-c", `sallyport completion fish | source; complete -C '${line}'`]);
      expect([
        line,
        ran.stdout
          .trim()
          .split("\n")
          .map((one) => one.split("\t")[0])
          .sort(),
      ]).toEqual([line, [...words]]);
    }
  });

  test("zsh, with the key pressed", (context) => {
    if (!has("zsh")) return context.skip("there is no zsh");
    for (const [line, shown] of [
      ["sallyport secret show DB_U", "sallyport secret show DB_URL "],
      ["sallyport secret rev", "sallyport secret reveal "],
      ["sallyport env create x --mode=p", "sallyport env create x --mode=private "],
    ]) {
      const answer = join(folder.path, "zsh-buffer");
      rmSync(answer, { force: true });
      const script = join(folder.path, "drive.zsh");
      writeFileSync(
        script,
        `zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; source <(sallyport completion zsh); show() { print -rn -- \\"\\$BUFFER\\" > ${answer}.part; mv ${answer}.part ${answer}; }; zle -N show; bindkey '^G' show; touch ${answer}.ready"
repeat 200 { [[ -e ${answer}.ready ]] && break; sleep 0.05 }
zpty -w -n z $'${line ?? ""}\\t'
sleep 0.2
zpty -w -n z $'\\a'
repeat 400 { [[ -e ${answer} ]] && break; sleep 0.05 }
zpty -d z
`,
      );
      shell("zsh", ["-f", script]);
      expect([line, existsSync(answer) ? readFileSync(answer, "utf8") : "no answer"]).toEqual([line, shown]);
      rmSync(`${answer}.ready`, { force: true });
    }
  });

  test.for(SHELLS)("%s evaluates nothing of what it is answered", (name, context) => {
    if (!has(name)) return context.skip(`there is no ${name}`);
    // A program that answers what a shell would run, if it ran anything.
    const liar = join(folder.path, `liar-${name}`);
    mkdirSync(liar, { recursive: true });
    const canary = join(folder.path, `canary-${name}`);
    writeFileSync(
      join(liar, "sallyport"),
      `#!/bin/sh\nif [ "$1" = completion ]; then exec '${process.execPath}' '${PROGRAM}' "$@"; fi\nprintf '%s\\n' '$(touch ${canary})' '\`touch ${canary}\`' '"; touch ${canary}; "' "'; touch ${canary}; '"\n`,
    );
    chmodSync(join(liar, "sallyport"), 0o755);
    const path = { PATH: `${liar}:${process.env.PATH ?? ""}` };
    const scripts: Record<string, readonly string[]> = {
      bash: [
        "-c",
        'source <(sallyport completion bash); COMP_WORDS=(sallyport x); COMP_CWORD=1; _sallyport; printf "%s\\n" "${#COMPREPLY[@]}"',
      ],
      fish: ["--no-config", "-c", "sallyport completion fish | source; complete -C 'sallyport '"],
      zsh: [
        "-f",
        "-c",
        "compadd() { print -l -- $values }; compdef() { : }; source <(sallyport completion zsh); words=(sallyport x); CURRENT=2; _sallyport",
      ],
    };
    const ran = shell(name, scripts[name] ?? [], path);
    expect(ran.stdout).toMatch(name === "bash" ? /^4$/m : /touch/);
    expect(existsSync(canary)).toBe(false);
  });
});
