import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openDesk } from "./desk.ts";
import { sallyport, sallyportArgs } from "./harness.ts";
import type { Around, Ran } from "./harness.ts";
import { HostileServer, problem } from "./hostile-server.ts";

const desk = openDesk();
const { at, builder, write, valueOf, names } = desk;
const file = (name: string, content: string | Buffer, mode = 0o600): string => {
  const path = join(desk.folder, name);
  writeFileSync(path, content, { mode });
  return path;
};
const run = (flags: string, path: string, more: Around = {}): Promise<Ran> =>
  sallyportArgs(["secret", "import", path, ...flags.split(" ").filter(Boolean)], { ...desk.around, ...more });
const rows = (out: string) =>
  Object.fromEntries(
    out.split("\n").flatMap((line) => {
      const [, name = "", what = "", version = ""] =
        /^(\w+) +(create|write|describe|unchanged|missing) +(\S+)$/.exec(line) ?? [];
      return name === "" ? [] : [[name, `${what} ${version}`]];
    }),
  );
const previewed = () => desk.tap.asked("POST").map(({ body }) => (body as { preview?: boolean }).preview === true);

const DOTENV = "# of the app\nDB_URL='postgres://c4nary@db/app'\nAPI_KEY=c4nary-2\nexport MODE=c4nary-3\n";

describe("secret import", () => {
  test("writes a dotenv file in one transaction, and shows names, what became of them and versions", async () => {
    await write("API_KEY", "old");
    await write("MODE", "c4nary-3");
    const ran = await run("--yes", file(".env", DOTENV));
    expect(ran).toMatchObject({ code: 0 });
    expect(rows(ran.out)).toEqual({ DB_URL: "create 1", API_KEY: "write 2", MODE: "unchanged 1" });
    expect(ran.out).toMatch(new RegExp(`^2 secrets written to dev/${desk.namespace}\\.$`, "m"));
    expect(ran.stderr).toBe(
      `create: 1, write: 1, unchanged: 1\n${desk.folder}/.env still holds the values as plain text: remove it where it is not needed any more.\n`,
    );
    expect(desk.tap.asked("POST").map(({ asked }) => asked)).toEqual([
      `POST /v1/environments/dev/namespaces/${desk.namespace}/secrets`,
    ]);
    expect([await valueOf("DB_URL"), await valueOf("API_KEY")]).toEqual(["postgres://c4nary@db/app", "c4nary-2"]);
    expect(ran.out + ran.stderr).not.toContain("c4nary");
  });

  test("--preview shows the same and writes nothing", async () => {
    await write("API_KEY", "old");
    const ran = await run("--preview", file(".env", DOTENV));
    expect([ran.code, rows(ran.out)]).toEqual([0, { DB_URL: "create -", API_KEY: "write 1", MODE: "create -" }]);
    expect(ran.out).not.toContain("written");
    expect(ran.stderr).not.toContain("still holds");
    expect([await names(), await valueOf("API_KEY"), previewed()]).toEqual([["API_KEY"], "old", [true]]);
    expect(ran.out + ran.stderr).not.toContain("c4nary");
  });

  test("asks, and where nobody can be asked nothing is written", async () => {
    const ran = await run("", file(".env", DOTENV));
    expect([ran.code, previewed(), await names()]).toEqual([2, [true], []]);
    expect(rows(ran.out)).toEqual({ DB_URL: "create -", API_KEY: "create -", MODE: "create -" });
    expect(ran.stderr).toContain(
      `Write 3 secrets to dev/${desk.namespace}? There is no terminal to ask at: say --yes.`,
    );
  });

  test.each(["json", "yaml"])("takes %s with what else is known of a name; bytes come as base64", async (format) => {
    const bytes = Buffer.from([0xff, 0x00, 0x0a]).toString("base64");
    const content = JSON.stringify({
      PLAIN: "007",
      KEY: {
        value: bytes,
        encoding: "base64",
        description: "of the proxy",
        tags: ["tls"],
        owner: "ops",
        rotateBy: "2090-01-31",
      },
    });
    expect(await run(`--yes --format ${format}`, file("x", content))).toMatchObject({ code: 0 });
    const { value, encoding } = await desk.owner.do("secret.reveal", { params: at("KEY"), body: { reason: "a test" } });
    expect([value, encoding]).toEqual([bytes, "base64"]);
    expect(await valueOf("PLAIN")).toBe("007");
    expect(await desk.owner.do("secret.get", { params: at("KEY") })).toMatchObject({
      description: "of the proxy",
      tags: ["tls"],
      owner: "ops",
      rotateBy: "2090-01-31T00:00:00.000Z",
    });
  });

  test("without a value sets the metadata of names that are there, and lists those that are not", async () => {
    await write("THERE", "v", { description: "old" });
    await write("SAME", "v", { description: "same" });
    const content = "THERE: { description: new }\nSAME: { description: same }\nNOT: { description: x }\n";
    const ran = await run("--yes", file("m.yaml", content));
    expect([ran.code, rows(ran.out)]).toEqual([0, { THERE: "describe 1", SAME: "unchanged 1", NOT: "missing -" }]);
    expect(ran.stderr).not.toContain("plain text");
    expect(ran.out).toContain("1 secret written");
    expect((await desk.owner.do("secret.get", { params: at("THERE") })).description).toBe("new");
    expect(await names()).toEqual(["SAME", "THERE"]);
  });

  test("of what is there already asks nothing and writes nothing", async () => {
    await write("A", "1");
    for (const flags of ["", "--json", "--yes"]) {
      const ran = await run(flags, file(".env", "A=1"));
      expect([flags, ran.code, await names()]).toEqual([flags, 0, ["A"]]);
      expect(ran.out).toContain("unchanged");
    }
    expect((await run("--yes", file("m.yaml", "NOT: { owner: x }"))).out).toContain("0 secrets written");
    expect((await desk.owner.do("secret.get", { params: at("A") })).version).toBe(1);
  });

  test("is one event of the log, with every name and no value", async () => {
    await run("--yes", file(".env", DOTENV));
    const { items } = await desk.owner.do("audit.list", { query: { action: "secret.bulk", limit: "1" } });
    for (const name of ["API_KEY", "DB_URL", "MODE"]) expect(JSON.stringify(items)).toContain(`"${name}"`);
    expect(JSON.stringify(items)).not.toContain("c4nary");
  });

  test("takes stdin where --format says what it is, with --yes or --preview", async () => {
    expect((await run("--yes", "-", { stdin: DOTENV })).code).toBe(2);
    expect((await run("--format dotenv", "-", { stdin: DOTENV })).code).toBe(2);
    expect(desk.tap.seen).toEqual([]);
    const ran = await run("--format dotenv --yes", "-", { stdin: DOTENV });
    expect([ran.code, (await names()).length]).toEqual([0, 3]);
    expect(ran.stderr).not.toContain("plain text");
  });

  test("gives programs the vault's answer", async () => {
    const ran = await run("--yes --json", file(".env", "A=1\nB=2"));
    expect(JSON.parse(ran.out)).toEqual({
      preview: false,
      items: [
        { name: "A", action: "create", version: 1 },
        { name: "B", action: "create", version: 1 },
      ],
    });
    const again = await run("--preview --json", file(".env", "A=1\nB=3"));
    expect(JSON.parse(again.out)).toEqual({
      preview: true,
      items: [
        { name: "A", action: "unchanged", version: 1 },
        { name: "B", action: "write", version: 1 },
      ],
    });
  });

  test("warns of a file that others can read", async () => {
    const path = file(".env", "A=1", 0o644);
    const ran = await run("--preview", path);
    expect(ran.stderr).toContain(`warning: ${path} can be read by others: chmod 600 ${path}\n`);
    chmodSync(path, 0o600);
    expect((await run("--preview", path)).stderr).not.toContain("warning");
  });
});

describe("secret import refuses before anything is sent:", () => {
  test.each<[string, string, string | Buffer, string, number, RegExp]>([
    ["a name that stands twice", ".env", "A=1\nB=2\nA=3", "", 7, /^ {2}line 3: the name of line 1 stands here again$/m],
    ["lines that cannot be read, all of them", ".env", "c4nary\nA='c4nary\n", "", 7, /^ {2}line 1: .*\n {2}line 2: /m],
    ["names that are none", ".env", "c4nary-x=1", "", 7, /^ {2}line 1: it has no name/m],
    ["a NUL byte", ".env", "A=c4nary\0", "", 7, /^ {2}line 1: it has a NUL byte/m],
    ["bytes that are no text", "a.json", Buffer.from([0x7b, 0xff, 0xfe, 0x00]), "", 7, /line 1/],
    ["a picture", ".env", Buffer.from("\u0089PNG\r\n\u001a\n", "latin1"), "", 7, /^ {2}line 1: it is not UTF-8/m],
    ["half of a JSON file", "a.json", '{ "A": "c4nary"', "", 7, /^ {2}line 1: the JSON ends too soon$/m],
    ["an empty file", ".env", "", "", 7, /holds no secret/],
    [
      "an empty value that nobody said is meant",
      ".env",
      "A=",
      "",
      7,
      /^ {2}line 1: the value is empty: say --allow-empty/m,
    ],
    [
      "a value of more than 64 KiB",
      ".env",
      `A=${"x".repeat(65_537)}`,
      "",
      7,
      /^ {2}line 1: the value holds more than 64 KiB$/m,
    ],
    ["a file whose name does not say what it is", "secrets", "A=1", "", 2, /--format/],
    ["two wishes at once", ".env", "A=1", "--preview", 2, /exclude/],
    [
      "501 names",
      ".env",
      lines(501),
      "",
      7,
      /holds 501 names, and one transaction takes 500\nNothing was written\..*--in-parts: 2 transactions/,
    ],
    ["a file of 2 MB", ".env", lines(400, "x".repeat(5_000)), "", 7, /holds 400 names, more than 1 MiB together/],
  ])("%s", async (_, name, content, flags, code, said) => {
    const ran = await run(`--yes ${flags}`, file(name, content));
    expect([ran.code, ran.out]).toEqual([code, ""]);
    expect(ran.stderr).toMatch(said);
    expect(ran.stderr).not.toMatch(/c4nary|\n\s+at /);
    expect(desk.tap.seen).toEqual([]);
  });

  test("more than 20 faults are counted", async () => {
    const ran = await run("--yes", file(".env", "x\n".repeat(31)));
    expect(ran.stderr).toMatch(/ {2}line 20: [^\n]*\n {2}and: 11 more faults\n/);
  });

  test("a folder, a file that is not there, a file that may not be read", async () => {
    mkdirSync(join(desk.folder, ".env.d"));
    const locked = file(".env.locked", "A=1", 0o000);
    const cases: [string, RegExp][] = [
      [join(desk.folder, ".env.d"), /is a folder\./],
      [join(desk.folder, ".env.none"), /cannot be read: there is no such file\./],
      // Opens, and cannot be read.
      ...(existsSync("/proc/self/mem") ? [["/proc/self/mem", /cannot be read: EIO\./] satisfies [string, RegExp]] : []),
      // The superuser may read it.
      ...(process.getuid?.() === 0 ? [] : [[locked, /cannot be read: this user may not\./] satisfies [string, RegExp]]),
    ];
    for (const [path, said] of cases) {
      const ran = await run("--yes --format dotenv", path);
      expect([ran.code, ran.stderr]).toEqual([2, expect.stringMatching(said)]);
    }
    expect(desk.tap.seen).toEqual([]);
  });
});

function lines(count: number, value = "c4nary", prefix = "N"): string {
  return Array.from({ length: count }, (_, at) => `${prefix}_${String(at + 1).padStart(4, "0")}=${value}`).join("\n");
}

describe("secret import is all or nothing:", () => {
  test("500 names at once, n = 500", async () => {
    const ran = await run("--yes", file(".env", lines(500)));
    expect([
      ran.code,
      desk.tap.asked("POST").length,
      (
        await desk.owner.do("secret.list", {
          params: { environment: "dev", namespace: desk.namespace },
          query: { limit: "1000" },
        })
      ).items.length,
    ]).toEqual([0, 1, 500]);
  });

  test("what the vault refuses in one of them, it says by its line, and none is written", async () => {
    const content = { A: "1", B: { value: "2", description: "x".repeat(501) } };
    const ran = await run("--yes", file("a.json", JSON.stringify(content, null, 1)));
    expect([ran.code, ran.out, await names()]).toEqual([7, "", []]);
    expect(ran.stderr).toMatch(/^ {2}line 3, B description: /m);
  });

  test("who may not write learns that, and nothing is written", async () => {
    const ran = await run("--yes", file(".env", DOTENV), desk.as(await builder()));
    expect([ran.code, ran.out, await names()]).toEqual([4, "", []]);
    expect(ran.stderr).toContain("missing: secret.write");
    expect(ran.stderr).not.toContain("c4nary");
  });
});

describe("secret import --in-parts", () => {
  test("writes more than one transaction takes, and says how far it is, n = 1,100", async () => {
    const ran = await run("--yes --in-parts", file(".env", lines(1_100)));
    expect([ran.code, Object.keys(rows(ran.out)).length, desk.tap.asked("POST").length]).toEqual([0, 1_100, 3]);
    expect(ran.stderr).toContain(
      "Part 1 of 3 is written: 500 names.\nPart 2 of 3 is written: 500 names.\nPart 3 of 3 is written: 100 names.\n",
    );
    expect(ran.out).toContain("1100 secrets written");
  });

  test("divides by bytes as well", async () => {
    const ran = await run("--yes --in-parts", file(".env", lines(40, "ü".repeat(30_000))));
    expect(ran.code).toBe(0);
    const sizes = desk.tap.asked("POST").map(({ headers }) => Number(headers["content-length"]));
    expect(sizes.length).toBeGreaterThan(2);
    for (const size of sizes) expect(size).toBeLessThanOrEqual(1024 * 1024);
    expect((await names()).length).toBe(40);
  });

  test("that fails on its way says which names are written and which are not", async () => {
    const content = Object.fromEntries(
      Array.from({ length: 1_200 }, (_, at) => [
        `N_${String(at).padStart(4, "0")}`,
        at === 777 ? { value: "v", owner: "o".repeat(101) } : "v",
      ]),
    );
    const ran = await run("--yes --in-parts", file("a.json", JSON.stringify(content, null, 1)));
    expect(ran.code).toBe(7);
    expect(Object.keys(rows(ran.out))).toEqual(Object.keys(content).slice(0, 500));
    expect(ran.stderr).toMatch(/line 7\d\d, N_0777 owner: /);
    expect(ran.stderr).toContain(
      "Written: the 500 names above. Not written: the 700 names from N_0500 (line 502) to N_1199. Import the file again",
    );
    const { items } = await desk.owner.do("secret.list", {
      params: { environment: "dev", namespace: desk.namespace },
      query: { limit: "1000" },
    });
    expect(items.length).toBe(500);
  });

  test("whose answer is lost says of which names nothing is known", async () => {
    const path = file(".env", lines(700));
    await write("N_0001", "before");
    let left = 1;
    const cutLater = setInterval(() => {
      if (desk.tap.asked("POST").length === 1 && left-- === 1)
        desk.tap.cut(`POST /v1/environments/dev/namespaces/${desk.namespace}/secrets`);
    }, 1);
    const ran = await run("--yes --in-parts", path);
    clearInterval(cutLater);
    expect(ran.code).toBe(8);
    expect(ran.stderr).toContain(
      "Written: the 500 names above. Not known: the 200 names from N_0501 (line 501) to N_0700.",
    );
    expect((await run("--preview --in-parts", path)).stderr).toBe("unchanged: 700\n");
  });
});

describe("What answers an import and is no vault is not believed:", () => {
  test.each<[string, unknown]>([
    ["nothing", {}],
    ["a list that is none", { preview: false, items: { length: 2 } }],
    ["items that are none", { preview: false, items: [null] }],
    ["JSON of another service", { hello: "world" }],
  ])("%s", async (_, body) => {
    const server = new HostileServer();
    const url = await server.listen();
    server.on(`POST /v1/environments/dev/namespaces/${desk.namespace}/secrets`, { body });
    const ran = await run("--yes", file(".env", DOTENV), { env: { ...desk.around.env, SALLYPORT_ADDRESS: url } });
    expect(ran.code).toBe(8);
    expect(ran.stderr).toContain("not a vault");
    expect(ran.out + ran.stderr).not.toMatch(/c4nary|\n\s+at |undefined/);
    await server.close();
  });

  test("control characters in its names do not reach the terminal", async () => {
    const server = new HostileServer();
    const url = await server.listen();
    server.on(`POST /v1/environments/dev/namespaces/${desk.namespace}/secrets`, {
      body: { preview: false, items: [{ name: "A\u001b[2J", action: "create\u001b", version: 1 }] },
    });
    const ran = await run("--yes", file(".env", "A=1"), { env: { ...desk.around.env, SALLYPORT_ADDRESS: url } });
    expect(ran.out + ran.stderr).not.toContain("\u001b");
    await server.close();
  });

  test("a conflict ends with 6", async () => {
    const server = new HostileServer();
    const url = await server.listen();
    server.on(`POST /v1/environments/dev/namespaces/${desk.namespace}/secrets`, problem("precondition_failed", 412));
    const ran = await run("--yes", file(".env", DOTENV), { env: { ...desk.around.env, SALLYPORT_ADDRESS: url } });
    expect([ran.code, ran.out]).toEqual([6, ""]);
    await server.close();
  });
});

describe("secret export", () => {
  test.each(["yaml", "json"])("as %s holds no value, and sets the metadata of another scope", async (format) => {
    await write("DB_URL", "c4nary", {
      description: 'a "main" one, = yes',
      tags: ["db"],
      owner: "007",
      rotateBy: "2090-01-01T00:00:00Z",
    });
    await write("PLAIN", "c4nary");
    const ran = await sallyport(`secret export --format ${format}`, desk.around);
    expect([ran.code, ran.stderr]).toEqual([0, "2 names, and no value.\n"]);
    expect(ran.out).not.toContain("c4nary");

    await desk.owner.do("secret.write", { params: at("DB_URL", "prod"), body: { value: "other" } });
    const imported = await sallyport(`secret import - --format ${format} --env prod --yes`, {
      ...desk.around,
      stdin: ran.out,
    });
    expect([imported.code, rows(imported.out)]).toEqual([0, { DB_URL: "describe 1", PLAIN: "missing -" }]);
    expect(await desk.owner.do("secret.get", { params: at("DB_URL", "prod") })).toMatchObject({
      description: 'a "main" one, = yes',
      tags: ["db"],
      owner: "007",
      rotateBy: "2090-01-01T00:00:00.000Z",
    });
  });

  test("as CSV has a line for each name, and nothing that a spreadsheet would compute", async () => {
    await write("A", "c4nary", { description: '=HYPERLINK("x"),y', tags: ["a", "b"] });
    const { out } = await sallyport("secret export --format csv", desk.around);
    const [header, line, end] = out.split("\r\n");
    expect(header).toBe(
      "environment,namespace,name,version,description,tags,owner,rotateBy,createdAt,createdBy,updatedAt,updatedBy,lastUsedAt",
    );
    expect(line).toMatch(
      new RegExp(`^dev,${desk.namespace},A,1,"'=HYPERLINK\\(""x""\\),y",a b,,,\\d{4}-[^,]*,owner,\\d{4}-[^,]*,owner,$`),
    );
    expect(end).toBe("");
  });

  test("--all lists every scope, which an import does not take", async () => {
    await write("A", "c4nary");
    const ran = await sallyport("secret export --all --format json", desk.around);
    expect(JSON.parse(ran.out)).toContainEqual(
      expect.objectContaining({
        environment: "dev",
        namespace: desk.namespace,
        name: "A",
        version: 1,
        lastUsedAt: null,
      }),
    );
    expect(ran.out).not.toContain("c4nary");
    const imported = await run("--yes --format json", "-", { stdin: ran.out });
    expect(imported.code).toBe(7);
    expect(imported.stderr).toContain("an export of all scopes");
    expect((await sallyport("secret export --all --env dev", desk.around)).code).toBe(2);
    expect((await sallyport("secret export --json --format csv", desk.around)).code).toBe(2);
  });

  test.each(["yaml", "json", "csv"])("as %s holds no character that a terminal would obey", async (format) => {
    const server = new HostileServer();
    const url = await server.listen();
    const one = {
      environment: "dev",
      namespace: desk.namespace,
      name: "A",
      version: 1,
      description: "x\u001b[2J\u202ey",
      tags: ["a\u0007"],
      owner: "\r",
      rotateBy: null,
      createdAt: "",
      createdBy: "",
      updatedAt: "",
      updatedBy: "",
      lastUsed: null,
    };
    server.on(`GET /v1/environments/dev/namespaces/${desk.namespace}/secrets`, { body: { items: [one], next: null } });
    const env = { ...desk.around.env, SALLYPORT_ADDRESS: url };
    const ran = await sallyport(`secret export --format ${format}`, { ...desk.around, env });
    expect([ran.code, ["\u001b", "\u202e", "\u0007"].filter((bad) => ran.out.includes(bad))]).toEqual([0, []]);
    expect(ran.out).toMatch(/x\\u(001b|\{1b\})/);
    await server.close();
  });

  test("of what nobody wrote is a file without names", async () => {
    expect(await sallyport("secret export --format json", desk.around)).toMatchObject({
      code: 0,
      out: "{}\n",
      stderr: "0 names, and no value.\n",
    });
    expect(await sallyport("secret export", desk.around)).toMatchObject({ code: 0, out: "{}\n" });
  });
});
