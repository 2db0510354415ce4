import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PROGRAM } from "../harness.ts";
import type { ServerProcess } from "../harness.ts";
import { sallyport, sallyportArgs, surroundings } from "./harness.ts";
import { Folder, script } from "./process.ts";

const VALUE = "p'a\"ss $HOME `x`\n\tlast line, with ünïcödé";

describe("One person alone, in an empty folder", () => {
  let folder: Folder;
  let server: ServerProcess;
  beforeAll(async () => {
    folder = new Folder();
    server = await folder.up();
    const set = await folder.run(["secret", "set", "X"], { input: `${VALUE}\n` });
    expect(set).toMatchObject({ code: 0, stdout: "dev/default/X was created; it is at version 1.\n", stderr: "" });
  });
  afterAll(() => folder.remove());

  const run = (...argv: readonly string[]) => folder.run(["run", "--", ...argv]);
  const around = () => ({ folder: folder.path, env: surroundings(folder.path) });
  /** A command line in this process, which is quicker, and the vault is the same. */
  const aside = (argv: string, stdin?: string) =>
    sallyport(argv, { ...around(), ...(stdin === undefined ? {} : { stdin }) });
  const lastLaunch = async (): Promise<unknown> => {
    const [launch] = JSON.parse((await aside("injection list --limit 1 --json")).out) as [{ id: string }];
    return JSON.parse((await aside(`injection show ${launch.id} --json`)).out);
  };

  test("needs three commands: up, secret set, run (R69)", async () => {
    expect(await run(...script("process.stdout.write(process.env.X)"))).toMatchObject({
      code: 0,
      stdout: VALUE,
      stderr: "",
    });
  });

  test("finds key and database closed to everybody else", () => {
    const mode = (...path: string[]) => statSync(join(folder.path, ...path)).mode & 0o777;
    expect(mode("keys", "root.key")).toBe(0o600);
    expect(mode("keys", "owner-set-up.token")).toBe(0o600);
    expect(mode("data", "vault.db")).toBe(0o600);
    expect(mode("data", "sallyport.sock")).toBe(0o600);
    expect([mode("data"), mode("keys")]).toEqual([0o700, 0o700]);
    expect(server.output()).not.toContain(readFileSync(join(folder.path, "keys", "owner-set-up.token"), "utf8").trim());
  });

  test("has the arguments of a command passed on untouched, without a shell", async () => {
    const args = ["a b", "", "'\"", "two\nlines", "*", "$HOME", "`id`", "\\", "--", "--env", "x", "-h", "--json", "ü"];
    const { code, stdout } = await run(...script("console.log(JSON.stringify(process.argv.slice(1)))", ...args));
    expect([code, JSON.parse(stdout)]).toEqual([0, args]);
  });

  test("has stdin, stdout and stderr passed through, to the byte", async () => {
    const bytes = Buffer.from(Array.from({ length: 70_000 }, (_, at) => at % 127));
    const code = "process.stdin.pipe(process.stdout); process.stderr.write('to stderr')";
    const ran = await folder.run(["run", "--", ...script(code)], { input: bytes });
    expect(ran).toMatchObject({ code: 0, stderr: "to stderr" });
    expect(ran.stdout === bytes.toString()).toBe(true);
  });

  test("has nothing of the vault in the environment of a command, and no descriptor", async () => {
    const { stdout } = await folder.run(
      [
        "run",
        "--",
        ...script(
          "const fs = require('fs'); console.log(JSON.stringify([process.env, fs.readdirSync('/proc/self/fd').map(n => { try { return fs.readlinkSync('/proc/self/fd/' + n) } catch { return '' } })]))",
        ),
      ],
      { env: { SALLYPORT_ENVIRONMENT: "dev", SALLYPORT_NAMESPACE: "default", OTHER: "kept" } },
    );
    const [env, descriptors] = JSON.parse(stdout) as [Record<string, string>, string[]];
    expect(env).toMatchObject({ X: VALUE, OTHER: "kept" });
    expect(Object.keys(env).filter((name) => name.startsWith("SALLYPORT"))).toEqual([]);
    expect(stdout).not.toMatch(/sp_[a-z]+_/);
    expect(descriptors.filter((path) => path.includes(folder.path))).toEqual([]);
  });

  test("has a command run in the same folder, with the same umask", async () => {
    const { stdout } = await folder.start([
      "sh",
      "-c",
      'umask 0027 && exec "$@"',
      "sh",
      process.execPath,
      PROGRAM,
      "run",
      "--",
      "sh",
      "-c",
      "umask; pwd",
    ]).ended;
    expect(stdout).toBe(`0027\n${folder.path}\n`);
  });

  test.each<[string, readonly string[], number]>([
    ["success", ["true"], 0],
    ["its own code", ["sh", "-c", "exit 7"], 7],
    ["128+N after signal N", ["sh", "-c", "kill -KILL $$"], 137],
    ["127 when there is no such command", ["no-such-command-here"], 127],
    ["126 when it cannot be executed", ["/etc/passwd"], 126],
    ["126 when it is a folder", ["/tmp"], 126],
  ])("sees how a command ended, and so does the record of the launch: %s", async (_, argv, code) => {
    expect((await sallyportArgs(["run", "--", ...argv], around())).code).toBe(code);
    expect(await lastLaunch()).toMatchObject({
      state: "exchanged",
      workload: "default/default",
      lease: { state: "ended", exitCode: code },
    });
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"] as const)(
    "has %s passed on to the command, once",
    async (signal) => {
      const code = `let n = 0; process.on("${signal}", () => { n += 1; setTimeout(() => process.exit(40 + n), 100); }); console.log("ready"); setInterval(() => {}, 1000);`;
      const { child, ended } = folder.start([process.execPath, PROGRAM, "run", "--", ...script(code)]);
      child.stdout?.once("data", () => child.kill(signal));
      expect((await ended).code).toBe(41);
    },
  );

  test("has nothing started, and 125, when a required variable is missing (R65)", async () => {
    const started = join(folder.path, "started");
    for (const argv of [
      "workload create job",
      "secret set NEEDED",
      "workload save job --secret NEEDED --secret X",
      "deploy job",
      "secret delete NEEDED --yes",
    ])
      expect(await aside(argv, "v")).toMatchObject({ code: 0 });
    const ran = await folder.run(["run", "--workload", "job", "--", "touch", started]);
    expect(ran.code).toBe(125);
    expect(ran.stderr).toContain("NEEDED");
    expect(() => statSync(started)).toThrow("ENOENT");
    expect(await aside("secret restore NEEDED")).toMatchObject({ code: 0 });
    expect(await folder.run(["run", "--workload", "job", "--", "touch", started])).toMatchObject({ code: 0 });
  });

  test("launches with a token from a 0600 file or a descriptor, once each (R70)", async () => {
    const file = join(folder.path, "token");
    const mint = () => aside(`token mint default --output ${file}`);
    expect((await mint()).code).toBe(0);
    const launch = ["run", "--token-file", file, "--", "sh", "-c", 'printf %s "$X"'];
    expect(await folder.run(launch)).toMatchObject({ code: 0, stdout: VALUE, stderr: "" });
    const again = await folder.run(launch);
    expect(again).toMatchObject({ code: 125, stdout: "" });
    expect(again.stderr).toContain("used");

    expect((await mint()).code).toBe(0);
    const by3 = `exec "${process.execPath}" "${PROGRAM}" run --token-fd 3 -- sh -c 'printf %s "$X"; test ! -e /proc/self/fd/3' 3< token`;
    expect(await folder.start(["sh", "-c", by3]).ended).toMatchObject({ code: 0, stdout: VALUE, stderr: "" });
  });

  test("can ask whether all of it was recorded: the log is intact (R71)", async () => {
    expect(await folder.run(["audit", "verify"])).toMatchObject({ code: 0 });
    expect(JSON.parse((await aside("audit list --action token.replayed --json")).out)).toHaveLength(1);
  });

  test("works from a folder below, as a project does", async () => {
    const below = join(folder.path, "app");
    writeFileSync(join(folder.path, ".sallyport.json"), '{ "workload": "job" }');
    expect((await folder.start(["mkdir", below]).ended).code).toBe(0);
    const argv = ["run", "--", ...script("console.log(process.cwd(), process.env.NEEDED)")];
    expect(await folder.run(argv, { cwd: below })).toMatchObject({ code: 0, stdout: `${below} v\n` });
  });
});

test("`up` twice is the same vault, without a human; SIGTERM ends it with 0", async () => {
  const folder = new Folder();
  try {
    const first = await folder.up();
    expect(await folder.run(["secret", "set", "X"], { input: "v" })).toMatchObject({ code: 0 });
    first.kill("SIGTERM");
    expect(await first.ended).toMatchObject({ code: 0 });
    expect(first.output()).toContain("First start");

    const second = await folder.up();
    expect(second.output()).not.toContain("First start");
    expect(await folder.run(["run", "--", "sh", "-c", "echo $X"])).toMatchObject({ code: 0, stdout: "v\n" });
    second.kill("SIGINT");
    expect(await second.ended).toMatchObject({ code: 0 });
    const without = await folder.run(["run", "--", "true"]);
    expect(without.code).toBe(125);
    expect(without.stderr).toContain("sallyport up");
  } finally {
    await folder.remove();
  }
});
