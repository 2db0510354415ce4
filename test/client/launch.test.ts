import { Sallyport, SallyportError } from "#client";
import type { Launch, LaunchOptions } from "#client";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { inspect } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fakeToken } from "../cli/harness.ts";
import { HostileServer, problem } from "../cli/hostile-server.ts";
import { Folder } from "../cli/process.ts";
import { Tap } from "../cli/tap.ts";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const DEV = { environment: "dev", namespace: "default" };
const MINT = "POST /v1/namespaces/default/workloads/default/tokens";
const EXCHANGE = "POST /v1/exchange";
const END = "POST /v1/leases/self/end";
const VALUE = "postgres://db.example.com/app?word=canary-7281";

let vault: TestVault;
let ci: Client;
let tap: Tap;
let folder: Folder;
const launches: Launch[] = [];

beforeAll(async () => {
  vault = await startVault();
  ci = await vault.service("builds", "ci");
  await vault.owner.do("secret.write", { params: { ...DEV, secret: "DB_URL" }, body: { value: VALUE } });
});
afterAll(() => vault.close());
beforeEach(async () => {
  tap = await Tap.before(vault.url);
  folder = new Folder();
});
afterEach(async () => {
  await Promise.all(launches.splice(0).map((one) => one.end()));
  await tap.close();
  await folder.remove();
});

async function launch(options: LaunchOptions = {}): Promise<Launch> {
  const one = await Sallyport.launch({ address: tap.url, env: {}, ...options });
  launches.push(one);
  return one;
}
const mint = async () => {
  const { items } = await ci.do("token.mint", {
    params: { namespace: "default", workload: "default" },
    body: { environment: "dev" },
  });
  return items[0] ?? { token: "", injectionId: "" };
};
const codeOf = async (failing: Promise<unknown>): Promise<string> =>
  failing.then(
    () => "nothing failed",
    (error: unknown) => (error instanceof SallyportError ? error.code : String(error)),
  );

describe("Sallyport.launch (R105)", () => {
  test("exchanges a token from the environment, which is removed from there", async () => {
    const env = { SALLYPORT_TOKEN: (await mint()).token, SALLYPORT_ADDRESS: tap.url, OTHER: "kept" };
    const one = await Sallyport.launch({ env });
    launches.push(one);
    expect(env).toEqual({ SALLYPORT_ADDRESS: tap.url, OTHER: "kept" });
    expect(one.secret("DB_URL")).toBe(VALUE);
    expect(one).toMatchObject({ workload: "default/default", environment: "dev", names: ["DB_URL"] });
  });

  test("takes the token in two variables (R104), from a file, or from the program", async () => {
    const [a, b, c] = [(await mint()).token, (await mint()).token, (await mint()).token];
    const env = { SALLYPORT_TOKEN_ID: a.slice(0, 60), SALLYPORT_TOKEN_SECRET: a.slice(60) };
    expect((await launch({ env })).secret("DB_URL")).toBe(VALUE);
    expect(env).toEqual({});
    const file = join(folder.path, "token");
    writeFileSync(file, `${b}\n`, { mode: 0o600 });
    expect((await launch({ env: { SALLYPORT_TOKEN_FILE: file } })).secret("DB_URL")).toBe(VALUE);
    expect((await launch({ token: c })).secret("DB_URL")).toBe(VALUE);
    expect(tap.asked(MINT)).toEqual([]);
  });

  test("mints with a service user's file, with a key, and exchanges", async () => {
    const file = join(folder.path, "credential");
    writeFileSync(file, ci.token ?? "", { mode: 0o600 });
    await launch({ credentialFile: file, workload: "default/default", environment: "dev" });
    expect(tap.seen.map(({ asked, status }) => [asked, status])).toEqual([
      [MINT, 201],
      [EXCHANGE, 200],
    ]);
    for (const { headers } of tap.seen) expect(headers["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
  });

  test("asks once more where the answer of the exchange was lost, with the same key; not a third time", async () => {
    tap.cut(EXCHANGE);
    await launch({ token: (await mint()).token });
    const keys = tap.asked(EXCHANGE).map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(2);
    expect(new Set(keys).size).toBe(1);
    tap.cut(EXCHANGE, 2);
    expect(await codeOf(launch({ token: (await mint()).token }))).toBe("unreachable");
    expect(tap.asked(EXCHANGE)).toHaveLength(4);
  });

  test("where the answer of the mint was lost, what it made is revoked and another is minted", async () => {
    tap.cut(MINT);
    await launch({ credential: ci.token ?? "" });
    expect(tap.seen.map(({ asked, status }) => [asked.split("/").at(-1), status])).toEqual([
      ["tokens", 201],
      ["tokens", 409],
      ["revoke", 200],
      ["tokens", 201],
      ["exchange", 200],
    ]);
  });

  test("is refused: a used token, another kind of token, a file for all, nothing at all, two places", async () => {
    const { token } = await mint();
    await launch({ token });
    expect(await codeOf(launch({ token }))).toBe("token_invalid");
    expect(await codeOf(launch({ token: fakeToken("lease") }))).toBe("usage");
    const file = join(folder.path, "open");
    writeFileSync(file, token, { mode: 0o644 });
    expect(await codeOf(launch({ tokenFile: file }))).toBe("usage");
    expect(await codeOf(launch())).toBe("unauthenticated");
    expect(await codeOf(launch({ socket: "/x" }))).toBe("usage");
    expect(await codeOf(launch({ address: "http://vault.example.com", token }))).toBe("usage");
    expect(await codeOf(launch({ credential: ci.token ?? "", workload: "a/b/c" }))).toBe("usage");
  });

  test("a launch that may not be delivered is refused, and its token is revoked", async () => {
    await vault.owner.do("grant.create", { body: { principal: "builds", role: "operator", environment: "prod" } });
    await vault.owner.do("deployment.set", {
      params: { namespace: "default", workload: "default", environment: "prod" },
      body: {},
    });
    expect(await codeOf(launch({ credential: ci.token ?? "", environment: "prod" }))).toBe("runner_required");
    expect(tap.seen.at(-1)?.asked).toMatch(/^POST .*\/revoke$/);
  });
});

describe("A launch", () => {
  test("shows no value and no token, however it is looked at, and neither do its errors", async () => {
    const one = await launch({ token: (await mint()).token });
    const seen = [
      inspect(one, { showHidden: true, depth: 20, getters: true }),
      JSON.stringify(one),
      ...["toString", "DB_URLS", "__proto__"].map((name) => inspect(errorOf(() => one.secret(name)))),
    ].join("\n");
    for (const secret of ["canary", "sp_", "db.example"]) expect(seen).not.toContain(secret);
    // An unknown name does not list the known ones.
    expect(inspect(errorOf(() => one.secret("NOTHING")))).not.toContain("DB_URL");
    expect(errorOf(() => one.secret("NOTHING"))).toMatchObject({ code: "unknown_variable" });
    // The test can fail: what is asked for does hold it.
    expect(inspect(one.env())).toContain("canary");
  });

  test("gives bytes as bytes, text as text, and an environment only what one can hold", async () => {
    const bytes = { NUL: Buffer.from("a\0b"), BYTES: Buffer.from([0xff, 0xfe]), TEXT: Buffer.from("\ufeffé") };
    await vault.owner.do("workload.create", { params: { namespace: "default" }, body: { name: "binary" } });
    for (const [secret, value] of Object.entries(bytes))
      await vault.owner.do("secret.write", {
        params: { ...DEV, secret },
        body: { value: value.toString("base64"), encoding: "base64" },
      });
    const variables = Object.fromEntries(Object.keys(bytes).map((secret) => [secret, { secret }]));
    const params = { namespace: "default", workload: "binary" };
    await vault.owner.do("manifest.save", { params, body: { variables } });
    await vault.owner.do("deployment.set", { params: { ...params, environment: "dev" }, body: {} });
    const one = await launch({ credential: ci.token ?? "", workload: "binary" });
    expect(Buffer.from(one.secretBytes("BYTES"))).toEqual(bytes.BYTES);
    expect([one.secret("NUL"), one.secret("TEXT")]).toEqual(["a\0b", "\ufeffé"]);
    expect(errorOf(() => one.secret("BYTES"))).toMatchObject({ code: "not_text" });
    const target = { TEXT: "before" };
    expect(errorOf(() => one.apply(target))).toMatchObject({
      code: "not_an_environment",
      detail: { variables: [{ variable: "BYTES" }, { variable: "NUL" }] },
    });
    expect(target).toEqual({ TEXT: "before" });
    one.secretBytes("BYTES").fill(0);
    expect(Buffer.from(one.secretBytes("BYTES"))).toEqual(bytes.BYTES);
    for (const secret of Object.keys(bytes)) await vault.owner.do("secret.delete", { params: { ...DEV, secret } });
  });

  test("ends once, with its exit code, and with its scope", async () => {
    const one = await launch({ token: (await mint()).token });
    await Promise.all([one.end(-1), one.end(3)]);
    await one[Symbol.asyncDispose]();
    expect(tap.asked(END).map(({ status, body }) => [status, body])).toEqual([[200, { exitCode: 255 }]]);
    expect(process.listeners("beforeExit").length).toBe(0);
  });

  test("whose vault is gone ends all the same", async () => {
    const one = await launch({ token: (await mint()).token });
    await tap.close();
    await one.end(0);
    tap = await Tap.before(vault.url);
  });
});

describe("A program", () => {
  const PROLOGUE = `import { Sallyport } from "sallyport/client";\n`;
  const program = (code: string, node: readonly string[] = []) => {
    if (!existsSync(join(folder.path, "node_modules"))) {
      mkdirSync(join(folder.path, "node_modules"));
      symlinkSync(ROOT, join(folder.path, "node_modules/sallyport"));
    }
    writeFileSync(join(folder.path, "app.mjs"), code);
    return (env: Record<string, string>) =>
      folder.start([process.execPath, ...node, join(folder.path, "app.mjs")], { env });
  };
  const given = async () => ({ SALLYPORT_ADDRESS: tap.url, SALLYPORT_TOKEN: (await mint()).token });

  test("of the README works as it stands, where one person's vault runs in the folder", async () => {
    const code = /```js\n(\/\/ app\.mjs\n[\s\S]*?)```/.exec(readFileSync(join(ROOT, "README.md"), "utf8"))?.[1] ?? "";
    expect(code.trim().split("\n")).toHaveLength(8);
    await folder.up();
    await folder.run(["secret", "set", "DB_URL"], { input: VALUE });
    const ran = await program(code)({}).ended;
    expect(ran).toMatchObject({ code: 0, stdout: "default/default in dev uses db.example.com\n", stderr: "" });
    const { stdout } = await folder.run(["injection", "list", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject([{ state: "exchanged", lease: { state: "ended", exitCode: 0 } }]);
  });

  test("that has nothing left to do ends its lease by itself, with its exit code", async () => {
    const start = program(
      `${PROLOGUE}const v = await Sallyport.launch(); process.exitCode = 4; console.log(v.names[0]);`,
    );
    expect(await start(await given()).ended).toMatchObject({ code: 4, stdout: "DB_URL\n", stderr: "" });
    expect(tap.asked(END)[0]?.body).toEqual({ exitCode: 4 });
  });

  test("dies of a signal as it would without the client, and its own listener is the only one", async () => {
    const wait = `await Sallyport.launch(); console.log(process.listenerCount("SIGTERM")); setInterval(() => {}, 1e6);`;
    const one = program(PROLOGUE + wait)(await given());
    await new Promise((resolve) => one.child.stdout?.once("data", resolve));
    one.child.kill("SIGTERM");
    expect(await one.ended).toMatchObject({ signal: "SIGTERM", stdout: "0\n" });
    expect(tap.asked(END)).toEqual([]);
  });

  test("ends its lease at a signal as the chapter shows it, and dies of the signal", async () => {
    const chapter = readFileSync(join(ROOT, "src/client/README.md"), "utf8");
    const loop = /```js\n(for \(const signal[\s\S]*?)```/.exec(chapter)?.[1] ?? "";
    const code = `${PROLOGUE}const vault = await Sallyport.launch();\n${loop}\nconsole.log("up"); setInterval(() => {}, 1e6);`;
    const one = program(code)(await given());
    await new Promise((resolve) => one.child.stdout?.once("data", resolve));
    one.child.kill("SIGTERM");
    expect(await one.ended).toMatchObject({ signal: "SIGTERM" });
    expect(tap.asked(END)[0]?.body).toEqual({ exitCode: 1 });
  });

  test("loads nothing but the client, base and the contract's table: no package, no schema", async () => {
    const code = `${PROLOGUE}console.log(typeof Sallyport.launch);`;
    const trace = join(folder.path, "trace.mjs");
    writeFileSync(
      trace,
      `import { register } from "node:module";
register("data:text/javascript," + encodeURIComponent('export async function load(u, c, n) { if (u.startsWith("file:")) (await import("node:fs")).writeSync(2, u + "\\\\n"); return n(u, c); }'));`,
    );
    const { code: exit, stderr } = await program(code, ["--import", trace])({}).ended;
    expect(exit).toBe(0);
    const loaded = stderr.split("\n").filter((line) => line.startsWith("file:") && !/trace|app\.mjs/.test(line));
    const rooms = loaded.map((url) => /\/dist\/(\w+)\//.exec(url)?.[1] ?? url);
    expect([...new Set(rooms)].sort()).toEqual(["base", "client", "contract"]);
    expect(loaded.length).toBeGreaterThan(10);
    expect(loaded.filter((url) => /node_modules|\/contract\/(wire|openapi|fields)/.test(url))).toEqual([]);
  });
});

describe("Sallyport.connect", () => {
  test("calls operations typed, page after page, and reads refusals", async () => {
    const client = Sallyport.connect({ address: tap.url, credential: ci.token ?? "", env: {} });
    const { items } = await client.call("secret.list", { params: DEV, query: { limit: 1 } });
    expect(items.map(({ name }) => name)).toEqual(["DB_URL"]);
    expect((await client.list("secret.list", { params: DEV })).more).toBe(false);
    const refusal = await client.call("org.update", { body: {} }).catch((error: unknown) => error);
    expect(refusal).toMatchObject({
      code: "forbidden",
      status: 403,
      detail: { missing: { permission: "org.manage" } },
    });
    expect(refusal).toHaveProperty("requestId", expect.stringMatching(/^req_/));
    expect(inspect(client, { showHidden: true, depth: 20 })).not.toContain("sp_svc_");
    expect(await codeOf(client.call("secret.get", { params: { ...DEV, secret: ".." } }))).toBe("usage");
    client.close();
  });

  describe("to what misbehaves", () => {
    let server: HostileServer;
    let url: string;
    const secret = "GET /v1/environments/dev/namespaces/default/secrets/X";
    const params = { ...DEV, secret: "X" };
    beforeEach(async () => {
      server = new HostileServer();
      url = await server.listen();
    });
    afterEach(() => server.close());
    const connect = () => Sallyport.connect({ address: url, credential: fakeToken("svc"), env: {} });

    test("waits for a busy vault as long as it says, within its patience, and only where that does no harm", async () => {
      const busy = problem("overloaded", 503);
      let left = 1;
      server.on(secret, (response) => {
        response.writeHead(left > 0 ? 503 : 200, { "Content-Type": "application/json", "Retry-After": "1" });
        left -= 1;
        response.end(JSON.stringify(left < 0 ? { name: "X" } : busy.body));
      });
      const client = connect();
      expect(await client.call("secret.get", { params })).toMatchObject({ name: "X" });
      expect(server.seen).toHaveLength(2);
      left = 9;
      expect(await codeOf(client.call("secret.get", { params, patienceMs: 500 }))).toBe("overloaded");
      expect(server.seen).toHaveLength(3);
      server.on("PUT /v1/environments/dev/namespaces/default/secrets/X", { ...busy, headers: { "Retry-After": "1" } });
      expect(await codeOf(client.call("secret.write", { params, body: { value: "v" } }))).toBe("overloaded");
      expect(server.seen).toHaveLength(4);
      client.close();
    });

    test("a read is asked once more where the connection was lost; a creation, a mint and a write are not", async () => {
      const lost = (route: string) => server.on(route, (response) => void response.destroy());
      lost(secret);
      lost("POST /v1/service-users");
      lost(MINT);
      lost("PUT /v1/environments/dev/namespaces/default/secrets/X");
      const client = connect();
      const asked = async (failing: Promise<unknown>) => {
        const before = server.seen.length;
        expect(await codeOf(failing)).toBe("unreachable");
        return server.seen.length - before;
      };
      expect(await asked(client.call("secret.get", { params }))).toBe(2);
      expect(await asked(client.call("secret.write", { params, body: { value: "v" } }))).toBe(1);
      expect(await asked(client.call("service-user.create", { body: { name: "x", kind: "ci" } }))).toBe(1);
      const mintAsked = { params: { namespace: "default", workload: "default" }, body: { environment: "dev" } };
      expect(await asked(client.call("token.mint", mintAsked))).toBe(1);
      expect(
        await asked(client.call("token.mint", { ...mintAsked, headers: { idempotencyKey: "k".repeat(22) } })),
      ).toBe(2);
      client.close();
    });

    test("a broken answer that holds a value is not repeated by the error", async () => {
      server.on(secret, { body: '{"value": "canary-1", canary-2' });
      const client = connect();
      const error = await client.call("secret.get", { params }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: "unreachable" });
      expect(inspect(error, { showHidden: true, depth: 20 })).not.toContain("canary");
      server.on(secret, (response) => void response.socket?.end("HTTP/1.1 canary-3\r\n\r\n"));
      const other = await client.call("secret.get", { params }).catch((thrown: unknown) => thrown);
      expect(other).toMatchObject({ code: "unreachable" });
      expect(inspect(other, { showHidden: true, depth: 20 })).not.toContain("canary");
      client.close();
    });

    test("a redirect is not followed, silence is not waited for, and a signal gives up", async () => {
      server.on(secret, { status: 307, headers: { Location: vault.url } });
      const client = connect();
      expect(await codeOf(client.call("secret.get", { params }))).toBe("unreachable");
      expect(server.seen).toHaveLength(1);
      server.on(secret, () => undefined);
      expect(await codeOf(client.call("secret.get", { params, timeoutMs: 200 }))).toBe("unreachable");
      expect(server.seen).toHaveLength(2);
      expect(await codeOf(client.call("secret.get", { params, signal: AbortSignal.timeout(200) }))).toBe("interrupted");
      client.close();
    });
  });
});

function errorOf(failing: () => unknown): unknown {
  try {
    return failing();
  } catch (error) {
    return error;
  }
}
