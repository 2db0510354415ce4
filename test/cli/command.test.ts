import { ERRORS } from "#base";
import { randomBytes } from "#crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";
import { fakeToken, sallyport, sallyportArgs, surroundings } from "./harness.ts";
import type { Around } from "./harness.ts";
import { Tap } from "./tap.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";

const Driver = loadDriver();

let vault: TestVault;
let owner: Client;
let tap: Tap;
let folder: string;
let around: Around & { env: Record<string, string> };

beforeAll(async () => {
  vault = await startVault();
  ({ owner } = vault);
  await owner.do("namespace.create", { body: { name: "data" } });
  await owner.do("workload.create", { params: { namespace: "data" }, body: { name: "etl" } });
  await owner.do("user.create", { body: { login: "ada" } });
});
afterAll(() => vault.close());
beforeEach(async () => {
  tap = await Tap.before(vault.url);
  folder = mkdtempSync(join(tmpdir(), "sallyport-cli-"));
  around = as(owner);
});
afterEach(async () => {
  await tap.close();
  rmSync(folder, { recursive: true });
});

const as = ({ token }: Client) => ({
  env: surroundings(folder, { SALLYPORT_ADDRESS: tap.url, SALLYPORT_TOKEN: token ?? "" }),
  folder,
});
const SECRETS = "/v1/environments/dev/namespaces/default/secrets";
const DEV = { environment: "dev", namespace: "default" };
const write = (secret: string, value: Buffer | string, more = {}) =>
  owner.do("secret.write", {
    params: { ...DEV, secret },
    body: { value: Buffer.from(value).toString("base64"), encoding: "base64", ...more },
  });
const valueOf = async (secret: string) => {
  const { value, encoding } = await owner.do("secret.reveal", {
    params: { ...DEV, secret },
    body: { reason: "a test" },
  });
  return Buffer.from(value, encoding);
};

describe("secret set", () => {
  test.each<[string, string | Buffer, string, string | Buffer]>([
    ["one final line end of a pipe is not part of the value", "s3cret\n", "", "s3cret"],
    ["nor is a final CR LF", "s3cret\r\n", "", "s3cret"],
    ["only one", "a\n\n", "", "a\n"],
    ["with --raw it is", "s3cret\n", "--raw", "s3cret\n"],
    ["a byte order mark is part of the value", "\ufeffa", "", "\ufeffa"],
    ["any bytes are a value", Buffer.from([0xff, 0x00, 0x0a]), "--raw", Buffer.from([0xff, 0x00, 0x0a])],
    ["as many as 64 KiB", randomBytes(65_536), "--raw", ""],
    ["an empty one where that is said", "", "--allow-empty", ""],
  ])("%s", async (name, stdin, flags, value) => {
    const secret = `SET_${name.replace(/\W/g, "_")}`;
    const ran = await sallyport(`secret set ${secret} ${flags}`, { ...around, stdin });
    expect(ran.code).toBe(0);
    expect(ran.out).toBe(`dev/default/${secret} was created; it is at version 1.\n`);
    const expected = stdin.length === 65_536 ? stdin : value;
    expect((await valueOf(secret)).equals(Buffer.from(expected))).toBe(true);
  });

  test("a file is taken to the byte", async () => {
    writeFileSync(join(folder, "v"), "s3cret\n");
    expect((await sallyport(`secret set OF_FILE --file ${folder}/v`, around)).code).toBe(0);
    expect((await valueOf("OF_FILE")).toString()).toBe("s3cret\n");
  });

  test("only if there is none, or only if it is at a version", async () => {
    const set = async (flags: string) => (await sallyport(`secret set COND ${flags}`, { ...around, stdin: "a" })).code;
    expect(await set("--if-version 1")).not.toBe(0);
    expect(await set("--create")).toBe(0);
    expect(await set("--create")).toBe(6);
    expect(await set("--if-version 2")).toBe(6);
    expect(await set("--if-version 1")).toBe(0);
  });

  test("an argument as a value is warned of", async () => {
    expect((await sallyport("secret set ARG --insecure-value v", around)).stderr).toContain("warning");
  });

  test.each<[string, string, string | Buffer, number]>([
    ["an empty value that nobody said is meant", "", "", 2],
    ["more than 64 KiB", "", randomBytes(65_537), 7],
    ["two conditions at once", "--create --if-version 1", "a", 2],
  ])("refused before anything is sent: %s", async (_, flags, stdin, code) => {
    expect((await sallyport(`secret set X ${flags}`, { ...around, stdin })).code).toBe(code);
    expect(tap.seen).toEqual([]);
  });
});

describe("secret reveal", () => {
  const reveal = (name: string) => ["secret", "reveal", name, "--reason", "incident 4711"];

  test("gives a pipe exactly the bytes, and the log the reason", async () => {
    const bytes = randomBytes(300);
    await write("BYTES", bytes);
    const ran = await sallyportArgs(reveal("BYTES"), around);
    expect(ran.stdout.equals(bytes)).toBe(true);
    const { items } = await owner.do("audit.list", { query: { action: "secret.reveal" } });
    expect(JSON.stringify(items)).toContain("incident 4711");
  });

  test("gives a terminal no control character, and says so", async () => {
    await write("UGLY", "\u001b[2Ja\n");
    const ran = await sallyportArgs(reveal("UGLY"), { ...around, terminal: 80 });
    expect(ran.out).toBe("\\u{1b}[2Ja\n");
    expect(ran.stderr).toContain("warning");
  });

  test("takes a reason", async () => {
    expect((await sallyport("secret reveal UGLY", around)).code).toBe(2);
  });
});

test("`secret delete` tells how it is brought back, from where it was", async () => {
  await owner.do("secret.write", {
    params: { environment: "prod", namespace: "data", secret: "OLD" },
    body: { value: "v" },
  });
  const ran = await sallyport("secret delete OLD -e prod -n data --yes", around);
  expect(ran.out).toBe("OLD was deleted. Bring it back: sallyport secret restore OLD --env prod --namespace data\n");
  expect((await sallyport(/sallyport (.*)/.exec(ran.out)?.[1] ?? "", around)).code).toBe(0);
  await write("OLD", "v");
  expect((await sallyport("secret delete OLD --yes", around)).out).toMatch(/ secret restore OLD\n$/);
});

describe("lists", () => {
  test("are tables with a header, page after page, or one JSON array for programs", async () => {
    const params = { namespace: "default", workload: "default" };
    await owner.do("token.mint", { params, body: { environment: "dev", count: 600 } });
    const ran = await sallyport("injection list --limit 600", around);
    expect(ran.out.split("\n")[0]).toMatch(/^ID +WORKLOAD +ENVIRONMENT/);
    expect(new Set(ran.out.match(/^inj_\w+/gm)).size).toBe(600);
    expect(tap.seen).toHaveLength(2);
    const all = JSON.parse((await sallyport("injection list --limit 600 --json", around)).out) as unknown[];
    expect(all).toHaveLength(600);
  });

  test("stop at --limit and say that there is more", async () => {
    for (const name of ["L_1", "L_2", "L_3"]) await write(name, "v");
    const ran = await sallyport("secret list --prefix L_ --limit 2", around);
    expect(ran.out.trimEnd().split("\n")).toHaveLength(3);
    expect(ran.stderr).toContain("--limit");
    expect((await sallyport("secret list --prefix L_ --limit 3", around)).stderr).toBe("");
  });

  test("fit a narrow terminal", async () => {
    await write("WIDE", "v", { description: "x".repeat(300) });
    const { out } = await sallyport("secret list --prefix WIDE", { ...around, terminal: 60 });
    for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(60);
  });

  test("that are empty say what to do", async () => {
    const ran = await sallyport("secret list --env prod", around);
    expect([ran.code, ran.out]).toEqual([0, ""]);
    expect(ran.stderr).toContain("secret set");
  });
});

describe("refusals", () => {
  test.each<[string, string, string, string]>([
    ["secret set X --env stagin --insecure-value v", "--env", "stagin", "env list"],
    ["secret list --env dev -n dta", "--namespace", "dta", "ns list"],
    ["secret copy X --to stagin --preview", "--to", "stagin", "env list"],
    ["secret compare dev stagin", "environment", "stagin", "env list"],
    ["secret show NOT_THERE", "secret", "NOT_THERE", "secret list"],
    ["workload list -n dta", "--namespace", "dta", "ns list"],
    ["workload show data/elt", "workload", "elt", "workload list --all"],
    ["token mint data/etl --env stagin", "--env", "stagin", "env list"],
    ["deploy data/etl --env stagin", "--env", "stagin", "env list"],
    ["grant create ada viewer --env stagin", "--env", "stagin", "env list"],
    ["user show adda", "user", "adda", "user list"],
  ])("`%s` names what is not there, and how to see what is", async (line, field, name, list) => {
    const ran = await sallyport(line, around);
    expect(ran.code).toBe(5);
    expect(ran.stderr).toContain(`\n  ${field}: “${name}”: there is no such `);
    expect(ran.stderr).toContain(`\nSee what there is: \`sallyport ${list}\``);
  });

  test.each<[string, string, number]>([
    ["forbidden", "user list", 4],
    ["not_found", "secret show NOT_THERE", 5],
    ["already_exists", "ns create data", 6],
    ["last_owner", "user update owner --role member", 6],
    ["not_deployed", "token mint data/etl", 6],
    ["invalid_input", "secret show no-name", 7],
    ["invalid_input", "token mint default --ttl 20m", 7],
  ])("%s: `%s` ends with %i", async (code, argv, exit) => {
    await write("L_1", "v");
    const who = code === "forbidden" ? await vault.service(`m${String(Date.now())}`, "ci") : owner;
    const ran = await sallyport(`${argv} --json`, as(who));
    expect([ran.code, ran.out]).toEqual([exit, ""]);
    expect(JSON.parse(ran.stderr)).toMatchObject({ code });
  });

  test.each<[string, string, RegExp]>([
    ["token mint default --ttl 20m", "a time", /^ {2}--ttl: at most 15m$/m],
    ["token mint default --cidr nonsense", "one of many", /^ {2}--cidr: /m],
    [
      "service-user create old --kind ci --expires 2001-01-01",
      "another name",
      /^ {2}--expires: must be in the future$/m,
    ],
    ["secret list --env UPPER", "the path's part", /^ {2}--env: /m],
    ["secret show no-name", "an argument, as the vault calls it", /^ {2}secret: /m],
    ["grant create ada king --everywhere", "no address of the API", /^ {2}role: not a role .*`sallyport role list`$/m],
  ])("of `%s` name %s", async (argv, _, said) => {
    const ran = await sallyport(argv, around);
    expect([ran.code, ran.out]).toEqual([7, ""]);
    expect(ran.stderr).toMatch(said);
    expect(ran.stderr).not.toMatch(/Seconds|cidrs|expiresAt|\/v1/);
  });

  test("of a token that is good no more say who can give another", async () => {
    const file = join(folder, "token");
    writeFileSync(file, fakeToken("inj"), { mode: 0o600 });
    for (const [argv, code] of [
      [`run --token-file ${file} -- true`, 125],
      [`exchange --token-file ${file}`, 3],
      [`token lookup --token-file ${file}`, 3],
    ] as const) {
      const ran = await sallyport(argv, around);
      expect([argv, ran.code]).toEqual([argv, code]);
      expect(ran.stderr).toContain("\nAsk whoever minted it for a new one.\n");
      expect(ran.stderr).not.toContain("Mint a new");
    }
  });

  test("unauthenticated ends with 3", async () => {
    const env = { ...around.env, SALLYPORT_TOKEN: fakeToken("svc") };
    expect((await sallyport("secret show X", { ...around, env })).code).toBe(3);
  });

  test("rate_limited: too many wrong passwords end with 9, and it is said when to try again", async () => {
    const strict = await startVault({ settings: { maxFailures: "2" } });
    const guess = (login: string) =>
      sallyport(`login --address ${strict.url} --login ${login} --password-stdin`, {
        env: surroundings(folder),
        stdin: "a guess",
      });
    for (const login of ["ada", "eve"]) expect((await guess(login)).code).toBe(3);
    const ran = await guess("olaf");
    expect(ran.code).toBe(9);
    expect(ran.stderr).toMatch(/ {2}try again in \d+ s\n/);
    await strict.close();
  });

  test("name each variable that is wrong, what is missing and the request's id, on stderr", async () => {
    const refused = await sallyport("workload save data/etl --secret A=default/NOT_THERE --secret B", around);
    expect(refused.code).toBe(0);
    const deployed = await sallyport("deploy data/etl --env prod", around);
    expect([deployed.code, deployed.out]).toEqual([7, ""]);
    const remedy = ERRORS.reference_refused.remedy.replace(".", "\\.");
    expect(deployed.stderr).toMatch(
      new RegExp(
        `^sallyport: ${ERRORS.reference_refused.title}\n(?: {2}[AB]: .+\n){2}${remedy}\nRequest: req_\\w+\nMore: sallyport help reference_refused\n$`,
      ),
    );

    const forbidden = await sallyport("env create nope", as(await vault.service("nobody", "agent")));
    expect(forbidden.code).toBe(4);
    expect(forbidden.stderr).toContain("missing: environment.manage on ");
  });

  test("a vault that is away ends with 8", async () => {
    await tap.close();
    expect((await sallyport("secret show X", around)).code).toBe(8);
    tap = await Tap.before(vault.url);
  });
});

describe("names", () => {
  test.each(["", ".", ".."])("“%s” does not become another path", async (name) => {
    expect((await sallyportArgs(["secret", "show", name], around)).code).toBe(2);
    expect(tap.seen).toEqual([]);
  });

  test("are escaped in paths", async () => {
    expect((await sallyportArgs(["secret", "show", "a/../b?c"], around)).code).toBe(7);
    expect(tap.seen[0]?.asked).toBe(`GET ${SECRETS}/a%2F..%2Fb%3Fc`);
  });

  test("the environment comes from option, variable, project, in this order", async () => {
    writeFileSync(join(folder, ".sallyport.json"), '{ "environment": "project", "namespace": "space" }');
    const withVariable = { ...around, env: { ...around.env, SALLYPORT_ENVIRONMENT: "variable" } };
    await sallyport("secret show X --env option", withVariable);
    await sallyport("secret show X", withVariable);
    await sallyport("secret show X", around);
    expect(tap.seen.map(({ asked }) => asked.split("/")[3])).toEqual(["option", "variable", "project"]);
    expect(tap.seen[2]?.asked).toContain("/namespaces/space/");
  });

  test("a project's file says nothing about where the vault is", async () => {
    writeFileSync(join(folder, ".sallyport.json"), '{ "address": "https://evil.example" }');
    expect((await sallyport("secret show X", around)).code).toBe(2);
  });

  test("a grant without a scope is not made by leaving something out", async () => {
    expect((await sallyport("grant create ada viewer", around)).code).toBe(2);
    expect(tap.seen).toEqual([]);
    expect((await sallyport("grant create ada viewer --workload data/etl --ends 2099-12-31", around)).code).toBe(0);
    const { items } = await owner.do("grant.list", { query: { principal: "ada" } });
    expect(items).toMatchObject([
      { role: "viewer", environment: null, namespace: "data", workload: "etl", endsAt: "2099-12-31T00:00:00.000Z" },
    ]);
  });

  test("a manifest is made of options as of a file", async () => {
    await owner.do("workload.create", { params: { namespace: "data" }, body: { name: "both" } });
    const options = "--secret A --optional B=pay/B@3 --value L=a=b --template D=x${A} --note why";
    expect((await sallyport(`workload save data/both ${options}`, around)).code).toBe(0);
    const variables = {
      A: { secret: "A", required: true },
      B: { secret: "pay/B@3", required: false },
      L: { value: "a=b" },
      D: { template: "x${A}" },
    };
    const params = { namespace: "data", workload: "both" };
    const first = await owner.do("manifest.get", { params: { ...params, version: "1" } });
    expect(first).toMatchObject({ note: "why" });
    const stdin = JSON.stringify({ variables: { ...variables, MORE: { value: "x" } } });
    expect((await sallyport("workload save data/both --file - --if-version 2", { ...around, stdin })).code).toBe(6);
    expect((await sallyport("workload save data/both --file - --if-version 1", { ...around, stdin })).code).toBe(0);
    const second = await owner.do("manifest.get", { params: { ...params, version: "2" } });
    expect(second.variables).toMatchObject({ ...first.variables, MORE: { value: "x" } });
    expect(first.variables).toMatchObject({ B: { secret: "pay/B@3", required: false }, D: { template: "x${A}" } });
  });

  test("what cannot be undone takes --yes where nobody can be asked", async () => {
    await owner.do("environment.create", { body: { name: "gone" } });
    expect((await sallyport("env delete gone", around)).code).toBe(2);
    expect(tap.seen).toEqual([]);
    expect((await sallyport("env delete gone --yes", around)).code).toBe(0);
    expect(await owner.code("environment.get", { params: { environment: "gone" } })).toBe("not_found");
  });
});

test("`token mint` gives a pipe the tokens alone, each good once", async () => {
  const ran = await sallyport("token mint default --ttl 5m --count 2 --note nightly", around);
  const tokens = ran.out.trimEnd().split("\n");
  expect(tokens).toHaveLength(2);
  for (const token of tokens) {
    const looked = await vault.anonymous.as(token).do("token.lookup");
    expect(looked).toMatchObject({ state: "minted", workload: "default/default", environment: "dev" });
    expect(Date.parse(looked.expiresAt) - Date.now()).toBeGreaterThan(4 * 60_000);
  }
});

test("`audit verify` ends with 1 where somebody changed the log behind the vault's back", async () => {
  const other = await startVault();
  const here = {
    env: surroundings(folder, { SALLYPORT_ADDRESS: other.url, SALLYPORT_TOKEN: other.owner.token ?? "" }),
  };
  const intact = await sallyport("audit verify", here);
  expect([intact.code, intact.out.split(":")[0]]).toEqual([0, "The audit log is intact"]);
  expect(intact.out).toMatch(/, 0 checkpoints; the next checkpoint is signed within a minute\.\n$/);
  const db = new Driver(join(other.folder, "data", "vault.db"));
  db.prepare("UPDATE audit_events SET time = time + 1 WHERE seq = 1").run();
  db.close();
  const ran = await sallyport("audit verify", here);
  expect(ran.code).toBe(1);
  expect(ran.out).toContain("NOT intact");
  await other.close();
});
