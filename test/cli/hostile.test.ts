import { ERRORS } from "#base";
import { connect } from "#client";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HostileServer, problem } from "./hostile-server.ts";
import { fakeToken, sallyport, surroundings } from "./harness.ts";
import type { Around } from "./harness.ts";

let server: HostileServer;
let url: string;
let folder: string;
let around: Around & { env: Record<string, string> };

const LIST = "GET /v1/environments/dev/namespaces/default/secrets";
const ONE = `${LIST}/X`;

beforeEach(async () => {
  server = new HostileServer();
  url = await server.listen();
  folder = mkdtempSync(join(tmpdir(), "sallyport-cli-"));
  around = { env: surroundings(folder, { SALLYPORT_ADDRESS: url, SALLYPORT_TOKEN: fakeToken("svc") }), folder };
});
afterEach(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

describe("A failure of the vault itself", () => {
  test.each<[string, number, number]>([
    ["store_unavailable", 503, 8],
    ["sealed", 503, 8],
    ["overloaded", 503, 8],
    ["outcome_unknown", 500, 1],
    ["integrity_failed", 500, 1],
    ["internal", 500, 1],
    ["a_code_of_tomorrow", 409, 6],
  ])("%s (%i) ends with %i", async (code, status, exit) => {
    server.on(ONE, problem(code, status));
    const ran = await sallyport("secret show X", around);
    expect([ran.code, ran.out]).toEqual([exit, ""]);
  });

  test("is shown on stderr: what is wrong, what to do and the request's id, without control characters", async () => {
    const variables = [{ variable: "DB_URL", reason: "no such\u001b[1m secret" }];
    server.on(
      ONE,
      problem("launch_refused", 422, {
        detail: "bad\u001b[2J",
        variables,
        missing: { permission: "secret.list", on: "dev" },
      }),
    );
    const ran = await sallyport("secret show X", around);
    expect(ran.stderr).toBe(
      `sallyport: ${ERRORS.launch_refused.title}: bad\\u{1b}[2J\n  missing: secret.list on dev\n` +
        `  DB_URL: no such\\u{1b}[1m secret\n${ERRORS.launch_refused.remedy}\nRequest: req-12345678\nMore: sallyport help launch_refused\n`,
    );
  });

  test("is its problem document with --json, with fields that this version does not know", async () => {
    server.on(ONE, problem("forbidden", 403, { more: "\u001b[2J" }));
    const { stderr } = await sallyport("secret show X --json", around);
    expect(JSON.parse(stderr)).toMatchObject({ code: "forbidden", more: "\u001b[2J" });
    expect(stderr).not.toContain("\u001b");
  });
});

describe("What is no vault is not believed:", () => {
  test("a redirect is not followed, and no credential goes where it leads", async () => {
    const other = new HostileServer();
    const there = await other.listen();
    server.on("GET /v1/whoami", { status: 302, headers: { Location: `${there}/v1/whoami` } });
    const ran = await sallyport("whoami", around);
    expect(ran.code).toBe(8);
    expect(server.seen).toEqual([{ asked: "GET /v1/whoami", authorization: `Bearer ${fakeToken("svc")}` }]);
    expect(other.seen).toEqual([]);
    await other.close();
  });

  test.each<[string, Parameters<HostileServer["on"]>[1]]>([
    ["HTML", { body: "<html>" }],
    ["half of a JSON text", { body: '{ "items": [' }],
    ["a failure that is HTML", { status: 502, body: "<html>", headers: { "Content-Type": "text/html" } }],
    ["JSON of another service", { body: { hello: "world" } }],
    ["JSON null", { body: "null" }],
    ["a list that is none", { body: { items: { length: 3 }, next: null } }],
    [
      "an answer that breaks off",
      (response) => void response.writeHead(200, { "Content-Length": "100" }).write("{", () => response.destroy()),
    ],
    ["no answer", (response) => void response.destroy()],
    ["no HTTP", (response) => void response.socket?.end("SSH-2.0-OpenSSH_9.2\r\n")],
  ])("%s is a failure, said in one or two lines", async (_, reply) => {
    server.on(LIST, reply).on(ONE, reply).on("GET /v1/whoami", reply);
    for (const argv of ["secret list", "secret show X", "whoami", "secret list --json"]) {
      const ran = await sallyport(argv, around);
      if (argv !== "secret list --json") expect([argv, ran.code]).toEqual([argv, 8]);
      expect(ran.stderr).not.toMatch(/\n\s+at |undefined|is not iterable/);
    }
  });

  test("an answer that does not come is not waited for for ever", async () => {
    server.on("GET /readyz", () => undefined);
    const transport = connect({ kind: "url", url: new URL(url) });
    const asked = transport.send({
      method: "GET",
      path: "/readyz",
      headers: {},
      body: null,
      timeoutMs: 100,
      repeatable: false,
    });
    await expect(asked).rejects.toMatchObject({ code: "unreachable" });
    transport.close();
  });

  test("an answer without an end is cut off", async () => {
    const part = Buffer.alloc(4 * 1024 * 1024);
    server.on(ONE, (response) => {
      response.writeHead(200, { "Content-Type": "application/json" });
      const more = (): void => {
        if (!response.destroyed) response.write(part, more);
      };
      more();
    });
    expect((await sallyport("secret show X", around)).code).toBe(8);
  });

  test("a variable whose name is none is not put into an environment", async () => {
    server.on("POST /v1/exchange", {
      body: {
        variables: { "A=B": { value: "x", encoding: "utf8" } },
        lease: { token: fakeToken("lease"), expiresAt: "2099-01-01T00:00:00Z" },
      },
    });
    const env = { ...around.env, SALLYPORT_TOKEN: fakeToken("inj") };
    expect((await sallyport("run -- true", { ...around, env })).code).toBe(125);
    expect((await sallyport("exchange", { ...around, env })).code).toBe(8);
  });
});

describe("Control and direction characters", () => {
  const secret = (name: string) => ({
    name,
    version: 1,
    delivery: "inject",
    updatedAt: "2026-01-31T12:00:00Z",
    updatedBy: "a\u202eda",
    description: "\u001b]0;title\u0007",
  });

  test("do not reach a terminal from a list; programs get the same value without them", async () => {
    server.on(LIST, { body: { items: [secret("B\u001b[31m")], next: null } });
    const table = await sallyport("secret list", around);
    expect(table.out).toContain("B\\u{1b}[31m");
    expect(table.out).toContain("a\\u{202e}da");
    const json = await sallyport("secret list --json", around);
    expect(JSON.parse(json.out)).toMatchObject([{ name: "B\u001b[31m" }]);
    for (const { out } of [table, json]) expect(["\u001b", "\u202e"].filter((one) => out.includes(one))).toEqual([]);
  });

  test("do not make a file's name or a command's argument of a name", async () => {
    server.on(ONE, {
      body: {
        ...secret("../../etc/passwd\n"),
        environment: "dev",
        namespace: "default",
        tags: [],
        policy: null,
        lastUsed: null,
        deletedAt: null,
      },
    });
    expect((await sallyport("secret show X", around)).out).toContain("../../etc/passwd\\n");
  });
});
