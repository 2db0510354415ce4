import { randomBytes } from "#crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeVault, problem } from "./fake-vault.ts";
import { fakeToken, sallyport, sallyportArgs } from "./harness.ts";
import type { Around } from "./harness.ts";

let vault: FakeVault;
let folder: string;
let around: Around & { env: Record<string, string> };

beforeEach(async () => {
  vault = new FakeVault();
  folder = mkdtempSync(join(tmpdir(), "sallyport-cli-"));
  around = {
    env: {
      XDG_CONFIG_HOME: folder,
      SALLYPORT_ADDRESS: await vault.listen(),
      SALLYPORT_TOKEN: fakeToken("svc"),
      SALLYPORT_NO_WARN: "1",
    },
    folder,
  };
});
afterEach(async () => {
  await vault.close();
  rmSync(folder, { recursive: true });
});

const SECRETS = "/v1/environments/dev/namespaces/default/secrets";
const secret = (name: string, more = {}) => ({
  id: "sec_1",
  environment: "dev",
  namespace: "default",
  name,
  version: 1,
  delivery: "inject",
  state: "active",
  description: "",
  tags: [],
  owner: "",
  rotateBy: null,
  policy: null,
  createdAt: "2026-01-31T12:00:00Z",
  createdBy: "ada",
  updatedAt: "2026-01-31T12:00:00Z",
  updatedBy: "ada",
  deletedAt: null,
  restorableUntil: null,
  ...more,
});

describe("secret set", () => {
  beforeEach(() => void vault.on(`PUT ${SECRETS}/X`, { body: secret("X", { created: true, changed: true }) }));

  test.each<[string, string | Buffer, string, unknown]>([
    ["one final line end of a pipe is not part of the value", "s3cret\n", "", { value: "s3cret", encoding: "utf8" }],
    ["nor is a final CR LF", "s3cret\r\n", "", { value: "s3cret", encoding: "utf8" }],
    ["only one", "a\n\n", "", { value: "a\n", encoding: "utf8" }],
    ["with --raw it is", "s3cret\n", "--raw", { value: "s3cret\n", encoding: "utf8" }],
    ["a byte order mark is part of the value", "\ufeffa", "", { value: "\ufeffa", encoding: "utf8" }],
    [
      "what is not UTF-8 goes as base64",
      Buffer.from([0xff, 0x00, 0x0a]),
      "--raw",
      { value: "/wAK", encoding: "base64" },
    ],
  ])("%s", async (_, stdin, flags, body) => {
    const ran = await sallyport(`secret set X ${flags}`, { ...around, stdin });
    expect(ran.code).toBe(0);
    expect(vault.seen[0]?.body).toEqual(body);
    expect(ran.out).toBe("dev/default/X was created; it is at version 1.\n");
  });

  test("a file is taken to the byte", async () => {
    writeFileSync(join(folder, "v"), "s3cret\n");
    expect((await sallyport(`secret set X --file ${folder}/v`, around)).code).toBe(0);
    expect(vault.seen[0]?.body).toEqual({ value: "s3cret\n", encoding: "utf8" });
  });

  test("conditions become If-None-Match and If-Match", async () => {
    await sallyport("secret set X --create", { ...around, stdin: "a" });
    await sallyport("secret set X --if-version 3", { ...around, stdin: "a" });
    expect(vault.seen.map(({ headers }) => [headers["if-none-match"], headers["if-match"]])).toEqual([
      ["*", undefined],
      [undefined, '"3"'],
    ]);
  });

  test("an argument as a value is warned of", async () => {
    expect((await sallyport("secret set X --insecure-value v", around)).stderr).toContain("warning");
  });

  test.each<[string, string, string | Buffer, number]>([
    ["an empty value that nobody said is meant", "", "", 2],
    ["more than 64 KiB", "", randomBytes(65_537), 7],
    ["two conditions at once", "--create --if-version 1", "a", 2],
  ])("refused before anything is sent: %s", async (_, flags, stdin, code) => {
    expect((await sallyport(`secret set X ${flags}`, { ...around, stdin })).code).toBe(code);
    expect(vault.seen).toEqual([]);
  });
});

describe("secret reveal", () => {
  const ask = ["secret", "reveal", "X", "--reason", "incident 4711"];
  const value = Buffer.from("\u001b[2Ja\n");

  test("gives a pipe exactly the bytes", async () => {
    const bytes = randomBytes(300);
    vault.on(`POST ${SECRETS}/X/reveal`, {
      body: { name: "X", version: 1, value: bytes.toString("base64"), encoding: "base64" },
    });
    const ran = await sallyportArgs(ask, around);
    expect(ran.stdout.equals(bytes)).toBe(true);
    expect(vault.seen[0]?.body).toEqual({ reason: "incident 4711" });
  });

  test("gives a terminal no control character, and says so", async () => {
    vault.on(`POST ${SECRETS}/X/reveal`, {
      body: { name: "X", version: 1, value: value.toString(), encoding: "utf8" },
    });
    const ran = await sallyportArgs(ask, { ...around, terminal: 80 });
    expect(ran.out).toBe("\\u{1b}[2Ja\n");
    expect(ran.stderr).toContain("warning");
  });

  test("takes a reason", async () => {
    expect((await sallyport("secret reveal X", around)).code).toBe(2);
  });
});

describe("lists", () => {
  const pages = () =>
    vault.on(`GET ${SECRETS}`, ({ path }) =>
      path.includes("after=p2")
        ? { body: { items: [secret("C")], next: null } }
        : { body: { items: [secret("A"), secret("B\u001b[31m")], next: "p2" } },
    );

  test("are tables with a header, page after page, without control characters", async () => {
    pages();
    const ran = await sallyport("secret list", around);
    expect(ran.out.split("\n").map((line) => line.slice(0, 13))).toEqual([
      "NAME         ",
      "A            ",
      "B\\u{1b}[31m  ",
      "C            ",
      "",
    ]);
  });

  test("are one JSON array for programs", async () => {
    pages();
    expect(JSON.parse((await sallyport("secret list --json", around)).out)).toMatchObject([
      { name: "A" },
      {},
      { name: "C" },
    ]);
  });

  test("stop at --limit and say that there is more", async () => {
    pages();
    const ran = await sallyport("secret list --limit 2", around);
    expect(ran.out.trimEnd().split("\n")).toHaveLength(3);
    expect(ran.stderr).toContain("--limit");
    expect(vault.seen).toHaveLength(1);
  });

  test("fit a narrow terminal", async () => {
    vault.on(`GET ${SECRETS}`, { body: { items: [secret("A", { description: "x".repeat(300) })], next: null } });
    const { out } = await sallyport("secret list", { ...around, terminal: 60 });
    for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(60);
  });

  test("that are empty say what to do", async () => {
    vault.on(`GET ${SECRETS}`, { body: { items: [], next: null } });
    const ran = await sallyport("secret list", around);
    expect([ran.code, ran.out]).toEqual([0, ""]);
    expect(ran.stderr).toContain("secret set");
  });
});

describe("refusals", () => {
  test.each<[string, number, number]>([
    ["unauthenticated", 401, 3],
    ["forbidden", 403, 4],
    ["not_found", 404, 5],
    ["precondition_failed", 412, 6],
    ["already_exists", 409, 6],
    ["invalid_input", 400, 7],
    ["rate_limited", 429, 9],
    ["store_unavailable", 503, 8],
    ["sealed", 503, 8],
    ["internal", 500, 1],
    ["a_code_of_tomorrow", 409, 6],
  ])("%s (%i) ends with %i", async (code, status, exit) => {
    vault.on(`GET ${SECRETS}/X`, problem(code, status));
    expect((await sallyport("secret show X", around)).code).toBe(exit);
  });

  test("show what is wrong, what to do and the request's id, on stderr, without control characters", async () => {
    vault.on(
      `GET ${SECRETS}/X`,
      problem("reference_refused", 422, {
        detail: "bad\u001b[2J",
        variables: [{ variable: "DB_URL", reason: "no such secret" }],
        missing: { permission: "secret.list", on: "dev" },
      }),
    );
    const ran = await sallyport("secret show X", around);
    expect(ran.out).toBe("");
    expect(ran.stderr).toBe(
      "sallyport: A variable's reference may not be made: bad\\u{1b}[2J\n  missing: secret.list on dev\n  DB_URL: no such secret\n" +
        "See `variables`: each names what is wrong.\nRequest: req-12345678\n",
    );
  });

  test("are the vault's problem document with --json", async () => {
    vault.on(`GET ${SECRETS}/X`, problem("forbidden", 403, { more: 1 }));
    expect(JSON.parse((await sallyport("secret show X --json", around)).stderr)).toMatchObject({
      code: "forbidden",
      more: 1,
    });
  });

  test("a vault that is away ends with 8", async () => {
    await vault.close();
    expect((await sallyport("secret show X", around)).code).toBe(8);
    await vault.listen();
  });

  test("what is no vault is not believed", async () => {
    vault.on(`GET ${SECRETS}/X`, { body: "<html>" });
    expect((await sallyport("secret show X", around)).code).toBe(8);
  });
});

describe("names", () => {
  test.each(["", ".", ".."])("“%s” does not become another path", async (name) => {
    expect((await sallyportArgs(["secret", "show", name], around)).code).toBe(2);
    expect(vault.seen).toEqual([]);
  });

  test("are escaped in paths", async () => {
    await sallyportArgs(["secret", "show", "a/../b?c"], around);
    expect(vault.seen[0]?.path).toBe(`${SECRETS}/a%2F..%2Fb%3Fc`);
  });

  test("the environment comes from option, variable, project, in this order", async () => {
    writeFileSync(join(folder, ".sallyport.json"), '{ "environment": "project", "namespace": "space" }');
    await sallyport("secret show X --env option", {
      ...around,
      env: { ...around.env, SALLYPORT_ENVIRONMENT: "variable" },
    });
    await sallyport("secret show X", { ...around, env: { ...around.env, SALLYPORT_ENVIRONMENT: "variable" } });
    await sallyport("secret show X", around);
    expect(vault.seen.map(({ path }) => path.split("/")[3])).toEqual(["option", "variable", "project"]);
    expect(vault.seen[2]?.path).toContain("/namespaces/space/");
  });

  test("a project's file says nothing about where the vault is", async () => {
    writeFileSync(join(folder, ".sallyport.json"), '{ "address": "https://evil.example" }');
    expect((await sallyport("secret show X", around)).code).toBe(2);
  });

  test("a grant without a scope is not made by leaving something out", async () => {
    expect((await sallyport("grant create ada viewer", around)).code).toBe(2);
    await sallyport("grant create ada viewer --workload data/etl --ends 2026-12-31", around);
    expect(vault.seen[0]?.body).toEqual({
      principal: "ada",
      role: "viewer",
      namespace: "data",
      workload: "etl",
      endsAt: "2026-12-31T00:00:00.000Z",
    });
  });

  test("a manifest is made of options as of a file", async () => {
    await sallyport(
      "workload save data/etl --secret A --optional B=pay/B@3 --value L=a=b --template D=x${A} --note why",
      around,
    );
    const variables = {
      A: { secret: "A" },
      B: { secret: "pay/B@3", required: false },
      L: { value: "a=b" },
      D: { template: "x${A}" },
    };
    await sallyport("workload save data/etl --file - --if-version 2", {
      ...around,
      stdin: JSON.stringify({ variables }),
    });
    expect(vault.seen.map(({ body }) => body)).toEqual([{ variables, note: "why" }, { variables }]);
    expect(vault.seen[1]?.headers["if-match"]).toBe('"2"');
  });

  test("what cannot be undone takes --yes where nobody can be asked", async () => {
    expect((await sallyport("env delete dev", around)).code).toBe(2);
    expect(vault.seen).toEqual([]);
    vault.on("DELETE /v1/environments/dev", { status: 204 });
    expect((await sallyport("env delete dev --yes", around)).code).toBe(0);
    expect(vault.seen[0]?.path).toBe("/v1/environments/dev?confirm=dev");
  });
});

test("`token mint` gives a pipe the tokens alone", async () => {
  const tokens = [fakeToken("inj", "4"), fakeToken("inj", "5")];
  vault.on("POST /v1/namespaces/data/workloads/etl/tokens", {
    status: 201,
    body: {
      items: tokens.map((token) => ({ token, injectionId: "inj_1" })),
      environment: "prod",
      workload: "data/etl",
      manifestVersion: 1,
      bound: true,
      expiresAt: "2026-01-31T12:00:00Z",
    },
  });
  const ran = await sallyport("token mint data/etl --env prod --ttl 5m --count 2", around);
  expect(ran.out).toBe(tokens.map((token) => `${token}\n`).join(""));
  expect(ran.stderr).toContain("Bound");
  expect(vault.seen[0]?.body).toEqual({ environment: "prod", ttlSeconds: 300, count: 2 });
});

test("`audit verify` ends with 1 where the log is not intact", async () => {
  vault.on("POST /v1/audit/verify", {
    body: { intact: false, events: 3, checkpoints: 1, faults: [{ where: "slot 0, seq 2", what: "hash" }] },
  });
  const ran = await sallyport("audit verify", around);
  expect(ran.code).toBe(1);
  expect(ran.out).toContain("NOT intact");
});
