import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PROGRAM, cleanEnv } from "../harness.ts";
import { surroundings } from "./harness.ts";
import { Folder, script } from "./process.ts";
import { describeUnless } from "../unless.ts";

/** script(1) of util-linux gives a program a terminal of its own; elsewhere it takes other arguments. */
const HAS_TERMINALS = spawnSync("script", ["-qec", "exit 7", "/dev/null"]).status === 7;

describeUnless(HAS_TERMINALS ? null : "there is no script(1) as in util-linux")("At a terminal", () => {
  let folder: Folder;
  beforeAll(async () => {
    folder = new Folder();
    await folder.up();
  });
  afterAll(() => folder.remove());

  /** Types `keys[n]` when `waits[n]` is on the screen, and `first` is done. */
  function type(
    argv: readonly string[],
    waits: readonly string[],
    keys: readonly string[],
    first: () => Promise<unknown> = () => Promise.resolve(),
  ) {
    const words = [process.execPath, PROGRAM, ...argv].map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
    // A shell that stayed would be ended by Ctrl-C as well, and hide what the command made of it.
    const child = spawn("script", ["-qec", `exec ${words.join(" ")}`, "/dev/null"], {
      cwd: folder.path,
      env: { ...cleanEnv(surroundings(folder.path)), TERM: "xterm", SHELL: "/bin/sh" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    let [screen, typed, from] = ["", 0, 0];
    child.stdout.on("data", (part: Buffer) => {
      screen += part.toString();
      const wait = waits[typed];
      if (wait === undefined || !screen.slice(from).includes(wait)) return;
      from = screen.length;
      const key = keys[typed] ?? "";
      typed += 1;
      void first().then(() => child.stdin.write(key));
    });
    return new Promise<{ code: number | null; screen: string }>((resolve) => {
      child.on("close", (code) => resolve({ code, screen }));
    });
  }

  test("Ctrl-C reaches the command that `run` started, once, and its exit code comes back", async () => {
    const code = `let n = 0; process.on("SIGINT", () => { n += 1; setTimeout(() => process.exit(40 + n), 300); }); console.log("ready"); setInterval(() => {}, 1000);`;
    expect((await type(["run", "--", ...script(code)], ["ready"], ["\u0003"])).code).toBe(41);
  });

  test("a command that `run` started reads what is typed, and knows that it has a terminal", async () => {
    const argv = ["run", "--", "sh", "-c", 'test -t 0 && test -t 1 && echo name && read name && echo "hello $name"'];
    const { code, screen } = await type(argv, ["name"], ["ada\r"]);
    expect(code).toBe(0);
    expect(screen).toContain("hello ada");
  });

  test("a value is asked for and not shown, nor how long it is", async () => {
    const { code, screen } = await type(["secret", "set", "TYPED"], ["Value of TYPED"], ["s3cret-typed\r"]);
    expect(code).toBe(0);
    expect(screen).toContain("dev/default/TYPED was created");
    expect(screen).not.toContain("s3cret");
    expect(screen).not.toMatch(/[•▪*]{4}/);
    const ran = await folder.run(["run", "--", "sh", "-c", "printf %s $TYPED"]);
    expect(ran.stdout).toBe("s3cret-typed");
  });

  test("Ctrl-C at a question ends with 130, and nothing is done", async () => {
    const { code } = await type(["secret", "set", "NOT"], ["Value of NOT"], ["\u0003"]);
    expect(code).toBe(130);
    expect((await folder.run(["secret", "show", "NOT"])).code).toBe(5);
    const no = await type(["env", "delete", "dev"], ["dev"], ["n"]);
    expect(no.code).toBe(130);
    expect((await folder.run(["env", "show", "dev"])).code).toBe(0);
  });

  test("`secret import` shows what it would do and writes it after a yes; no value is shown", async () => {
    writeFileSync(join(folder.path, ".env"), "FIRST=c4nary-1\nSECOND='c4nary-2'\n", { mode: 0o600 });
    const no = await type(["secret", "import", ".env"], ["Write 2 secrets to dev/default?"], ["n"]);
    expect([no.code, (await folder.run(["secret", "show", "FIRST"])).code]).toEqual([130, 5]);
    const yes = await type(["secret", "import", ".env"], ["Write 2 secrets to dev/default?"], ["y"]);
    expect(yes.code).toBe(0);
    expect(yes.screen).toMatch(/FIRST +create/);
    expect(yes.screen).toContain("2 secrets written to dev/default.");
    expect(no.screen + yes.screen).not.toContain("c4nary");
    const ran = await folder.run(["run", "--", "sh", "-c", "printf %s $FIRST$SECOND"]);
    expect(ran.stdout).toBe("c4nary-1c4nary-2");
  });

  test("what `secret import` has shown is what it writes: if a secret is changed before the answer, nothing is", async () => {
    writeFileSync(join(folder.path, ".env"), "THIRD=mine\nFOURTH=mine\n", { mode: 0o600 });
    let between: Promise<unknown> = Promise.resolve();
    const { code, screen } = await type(
      ["secret", "import", ".env"],
      ["Write 2 secrets to dev/default?"],
      ["y"],
      () => {
        between = folder.run(["secret", "set", "FOURTH"], { input: "theirs" });
        return between;
      },
    );
    await between;
    expect([code, screen]).toEqual([6, expect.stringContaining("FOURTH")]);
    expect((await folder.run(["secret", "show", "THIRD"])).code).toBe(5);
    expect((await folder.run(["run", "--", "sh", "-c", "printf %s $FOURTH"])).stdout).toBe("theirs");
  });

  test("`login --set-up` asks for the credential and the password twice, and shows neither", async () => {
    const credential = (await folder.start(["cat", "keys/owner-set-up.token"]).ended).stdout.trim();
    const waits = ["set-up credential", "New password", "once more"];
    const keys = [`${credential}\r`, "pass phrase typed\r", "pass phrase typed\r"];
    const { code, screen } = await type(["login", "--set-up"], waits, keys);
    expect(code).toBe(0);
    expect(screen).toContain("Signed in to main");
    expect(screen).not.toContain("sp_set_");
    expect(screen).not.toContain("phrase");
  });
});
