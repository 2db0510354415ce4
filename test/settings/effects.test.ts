import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { request } from "node:https";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { readSettings } from "#settings";
import type { SettingName } from "#settings";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createVault } from "../../src/vault.ts";
import type { Vault } from "../../src/vault.ts";
import { Authority } from "../certificates.ts";
import type { Issued } from "../certificates.ts";
import { postgresDatabase } from "../postgres/database.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { connect as connectTo } from "../postgres/server.ts";
import { Client, PASSWORD, TEST_LAG_MS, cleanEnv, send, startServer } from "../harness.ts";

/**
 * What each setting does to a vault that runs: every row of the table, by what somebody outside of it sees, with the
 * setting and without.
 */
const EFFECTS: Readonly<Record<SettingName, () => Promise<void>>> = {
  data: async () => {
    await open({ data: join(folder, "elsewhere") });
    expect(["elsewhere/vault.db", "elsewhere/sallyport.sock", "data"].map(isThere)).toEqual([true, true, false]);
  },
  keys: async () => {
    await open({ keys: join(folder, "elsewhere") });
    expect(["elsewhere/root.key", "elsewhere/checkpoint.pub", "keys"].map(isThere)).toEqual([true, true, false]);
  },
  checkpoints: async () => {
    await open({ checkpoints: join(folder, "elsewhere.log") });
    expect(["elsewhere.log", "data/checkpoints.log"].map(isThere)).toEqual([true, false]);
  },
  listen: async () => {
    const { url } = await open({ listen: "[::1]:0" });
    expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/);
    expect((await get(url, "/healthz")).status).toBe(200);
  },
  logLevel: async () => {
    for (const [logLevel, isLogged] of [
      ["info", true],
      ["warn", false],
    ] as const) {
      const server = await startServer(folder, { env: cleanEnv({ SALLYPORT_LOG_LEVEL: logLevel }) });
      await get(server.url, "/healthz");
      server.kill("SIGTERM");
      const { stderr } = await server.ended;
      expect([logLevel, stderr.includes('"msg":"listening"'), stderr.includes('"msg":"request"')]).toEqual([
        logLevel,
        isLogged,
        isLogged,
      ]);
    }
  },
  org: async () => {
    expect((await open({ org: "acme" })).founded?.org.slug).toBe("acme");
  },
  owner: async () => {
    expect((await open({ owner: "ada" })).founded?.owner).toBe("ada");
  },
  store: async () => {
    expect((await open({ store: "sqlite" })).store).toBe("sqlite");
    expect(isThere("data/vault.db")).toBe(true);
    await reset();
    await withDatabase(async ({ url, ownerUrl }) => {
      const vault = await open({}, { SALLYPORT_STORE: url, SALLYPORT_STORE_MIGRATE: ownerUrl });
      expect([vault.store, isThere("data/vault.db"), isThere("data/sallyport.sock")]).toEqual([
        "postgres",
        false,
        true,
      ]);
      await reset();
    });
  },
  storePasswordFile: async () => {
    await withDatabase(async ({ url, ownerUrl }) => {
      const { password } = new URL(url);
      const store = url.replace(`:${password}@`, "@");
      const file = join(folder, "store.password");
      writeFileSync(file, `${decodeURIComponent(password)}\n`, { mode: 0o600 });
      const env = { SALLYPORT_STORE_MIGRATE: ownerUrl };
      await expect(open({ store }, env)).rejects.toMatchObject({ code: "store_unavailable" });
      expect((await open({ store, storePasswordFile: file }, env)).store).toBe("postgres");
      await reset();
    });
  },
  storeMigrate: async () => {
    await withDatabase(async ({ url, ownerUrl }) => {
      await expect(open({}, { SALLYPORT_STORE: url })).rejects.toMatchObject({ code: "migration_needed" });
      expect((await open({}, { SALLYPORT_STORE: url, SALLYPORT_STORE_MIGRATE: ownerUrl })).store).toBe("postgres");
      await reset();
    });
  },
  storeConnections: async () => {
    const most = async (storeConnections: string): Promise<number> => {
      let count = 0;
      await withDatabase(async ({ name, url, ownerUrl, superuserUrl }) => {
        const env = { SALLYPORT_STORE: url, SALLYPORT_STORE_MIGRATE: ownerUrl };
        const owner = await signedIn(await open({ storeConnections }, env));
        await Promise.all(Array.from({ length: 40 }, () => owner.do("environment.list")));
        const client = await connectTo(superuserUrl);
        const asked = "SELECT FROM pg_stat_activity WHERE usename = 'sallyport_app' AND datname = $1";
        count = (await client.query(asked, [name])).rows.length;
        await client.end();
        await reset();
      });
      return count;
    };
    expect(await most("3")).toBeLessThanOrEqual(3);
    expect(await most("12")).toBeGreaterThan(3);
  },
  insecurePlainHttp: async () => {
    await expect(read({ listen: "0.0.0.0:0" })).rejects.toMatchObject({ code: "config_invalid" });
    const { url } = await open({ listen: "0.0.0.0:0", insecurePlainHttp: "true" });
    const outside = addressOfThisMachine();
    expect((await get(url.replace("0.0.0.0", outside), "/healthz")).status).toBe(200);
  },
  trustedProxies: async () => {
    for (const [trustedProxies, address] of [
      ["127.0.0.1", "192.0.2.7"],
      ["10.0.0.1", "127.0.0.1"],
    ] as const) {
      await get((await open({ trustedProxies })).url, "/healthz", { "X-Forwarded-For": "192.0.2.7" });
      await expect.poll(() => lines.find(({ msg }) => msg === "request")).toMatchObject({ address });
      await reset();
    }
  },
  tlsCertificate: tls,
  tlsKey: tls,
  tlsClientAuthority: clientCertificates,
  tlsClientAuth: clientCertificates,
  requestsPerSecond: async () => {
    const { url } = await open({ requestsPerSecond: "3" });
    expect(await codesOf(20, () => get(url, "/v1/whoami"))).toContain("rate_limited");
    await reset();
    const { url: other } = await open({ requestsPerSecond: "1000" });
    expect(await codesOf(20, () => get(other, "/v1/whoami"))).toEqual(["unauthenticated"]);
  },
  requestsPerSecondPerCredential: async () => {
    const vault = await open({ requestsPerSecondPerCredential: "2" });
    const owner = await signedIn(vault);
    expect(await codesOf(20, () => owner.try("whoami.get"))).toContain("rate_limited");
    expect(await codesOf(20, () => get(vault.url, "/v1/whoami"))).toEqual(["unauthenticated"]);
  },
  maxFailures: async () => {
    const vault = await open({ maxFailures: "2" });
    const guess = (login: string) =>
      new Client(vault.url, null).try("session.create", { body: { org: "main", login, password: "wrong password" } });
    const codes = [];
    for (const login of ["a", "b", "c"]) codes.push((await guess(login)).body.code);
    expect(codes).toEqual(["sign_in_failed", "sign_in_failed", "rate_limited"]);
  },
  maxInFlight: async () => {
    const guess = (vault: Vault, n: number) =>
      new Client(vault.url, null).try("session.create", {
        body: { org: "main", login: `nobody-${String(n)}`, password: "wrong password" },
      });
    const few = await open({ maxInFlight: "1" });
    expect(await codesOf(12, (n) => guess(few, n))).toEqual(["overloaded", "sign_in_failed"]);
    await reset();
    const many = await open({ maxInFlight: "1000" });
    expect(await codesOf(12, (n) => guess(many, n))).toEqual(["sign_in_failed"]);
  },
  maxMemoryMb: async () => {
    // Any process of Node has more than this.
    const full = await open({ maxMemoryMb: "64" });
    expect(process.memoryUsage.rss()).toBeGreaterThan(64 * 1024 * 1024);
    expect((await get(full.url, "/v1/whoami")).body).toMatchObject({ code: "overloaded" });
    expect((await get(full.url, "/healthz")).status).toBe(200);
    await reset();
    const roomy = await open({ maxMemoryMb: "100000" });
    expect((await get(roomy.url, "/v1/whoami")).body).toMatchObject({ code: "unauthenticated" });
  },
  metrics: async () => {
    const afar = { "X-Forwarded-For": "192.0.2.7" };
    for (const [metrics, near, far] of [
      ["off", 404, 404],
      ["machine", 200, 404],
      ["any", 200, 200],
    ] as const) {
      const { url } = await open({ metrics, trustedProxies: "127.0.0.1" });
      const statuses = [await get(url, "/metrics"), await get(url, "/metrics", afar)].map(({ status }) => status);
      expect([metrics, ...statuses]).toEqual([metrics, near, far]);
      await reset();
    }
  },
  drainDelaySeconds: async () => {
    const vault = await open({ drainDelaySeconds: "2" });
    const closed = vault.close();
    vaults = [];
    const { status, body } = await get(vault.url, "/readyz");
    expect([status, body]).toMatchObject([503, { checks: { door: "draining" } }]);
    await closed;

    const abrupt = await open({ drainDelaySeconds: "0", drainSeconds: "0" });
    await abrupt.close();
    vaults = [];
    await expect(get(abrupt.url, "/readyz")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  },
  drainSeconds: async () => {
    expect(await answerWhileClosing("0")).toBe("");
    await reset();
    expect(await answerWhileClosing("60")).toMatch(/^HTTP\/1\.1 401 /);
  },
};

let folder: string;
let vaults: Vault[] = [];
let lines: Readonly<Record<string, unknown>>[] = [];
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "sallyport-effects-"))));
afterEach(async () => {
  await reset();
  rmSync(folder, { recursive: true });
});

describe("Each setting", () => {
  test.each(Object.entries(EFFECTS))("`%s` does to a running vault what the table says", async (_, proof) => {
    expect.hasAssertions();
    await proof();
  });
});

/** The same certificate is asked for by either setting: one does not stand without the other. */
async function tls(): Promise<void> {
  const authority = new Authority();
  const { url } = await open(certified(authority));
  expect(url).toMatch(/^https:/);
  expect(await getSecurely(url, authority)).toBe(200);
  await expect(getSecurely(url, new Authority("another"))).rejects.toThrow();
}

async function clientCertificates(): Promise<void> {
  const [authority, clients] = [new Authority(), new Authority("clients")];
  const [good, bad] = [clients.issue("runner"), new Authority("others").issue("runner")];
  const tlsClientAuthority = pem("clients.pem", clients.certificate);
  for (const [tlsClientAuth, withNone] of [
    ["required", "refused"],
    ["optional", 200],
  ] as const) {
    const { url } = await open({ ...certified(authority), tlsClientAuthority, tlsClientAuth });
    const seen = [];
    for (const client of [good, bad, undefined])
      seen.push(await getSecurely(url, authority, client).catch(() => "refused"));
    expect([tlsClientAuth, ...seen]).toEqual([tlsClientAuth, 200, "refused", withNone]);
    await reset();
  }
}

function certified(authority: Authority): Record<string, string> {
  const { certificate, key } = authority.issue("vault", { hosts: ["127.0.0.1"] });
  return { tlsCertificate: pem("vault.pem", certificate), tlsKey: pem("vault.key", key) };
}

function pem(name: string, text: string): string {
  writeFileSync(join(folder, name), text, { mode: 0o600 });
  return join(folder, name);
}

function getSecurely(url: string, { certificate: ca }: Authority, client?: Issued): Promise<number> {
  const own = client === undefined ? {} : { cert: client.certificate, key: client.key };
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/healthz`, { ca, ...own, agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
      response.once("error", reject);
    });
    sent.once("error", reject).end();
  });
}

/** What came back for a request whose body was still on its way when the vault was told to close, and went on then. */
async function answerWhileClosing(drainSeconds: string): Promise<string> {
  const vault = await open({ drainSeconds });
  const { hostname, port } = new URL(vault.url);
  const socket: Socket = connect(Number(port), hostname);
  let heard = "";
  socket.on("data", (chunk) => (heard += chunk.toString())).on("error", () => undefined);
  const gone = once(socket, "close");
  const body = JSON.stringify({ org: "main", login: "nobody", password: "wrong password" });
  socket.write(
    `POST /v1/sign-in HTTP/1.1\r\nHost: vault\r\nContent-Type: application/json\r\nContent-Length: ${String(body.length)}\r\n\r\n{`,
  );
  await expect.poll(async () => (await get(vault.url, "/metrics")).text).toMatch(/^sallyport_requests_in_flight 2$/m);
  const closed = vault.close();
  vaults = [];
  if (drainSeconds === "0") await gone;
  else socket.write(body.slice(1));
  await Promise.all([gone, closed]);
  return heard;
}

async function read(settings: Readonly<Record<string, string>>, env: Readonly<Record<string, string>> = {}) {
  const flags = { data: join(folder, "data"), keys: join(folder, "keys"), listen: "127.0.0.1:0", ...settings };
  return (await readSettings({ flags, env, folder })).config;
}

async function open(
  settings: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string>> = {},
): Promise<Vault> {
  const write = (fields: object, msg: string) => void lines.push({ ...fields, msg });
  const vault = await createVault(
    await read(settings, env),
    "0.0.0-test",
    { info: write, warn: write, error: write },
    // Long enough that what came together is at work together.
    { passwords: { insecureParams: { memoryKiB: 8_192, passes: 2, lanes: 1 } }, maxLagMs: TEST_LAG_MS },
  );
  vaults.push(vault);
  return vault;
}

async function withDatabase(test: (database: VaultDatabase) => Promise<void>): Promise<void> {
  const database = await postgresDatabase();
  try {
    await test(database);
  } finally {
    await reset();
    await database.remove();
  }
}

/** No vault, and nothing of one. */
async function reset(): Promise<void> {
  for (const vault of vaults) await vault.close();
  vaults = [];
  lines = [];
  for (const one of ["data", "keys"]) rmSync(join(folder, one), { recursive: true, force: true });
}

function isThere(name: string): boolean {
  return existsSync(join(folder, name));
}

function get(url: string, path: string, headers: Record<string, string> = {}) {
  return send(url, { method: "GET", path, headers });
}

async function signedIn({ url, founded }: Vault): Promise<Client> {
  const setUp = new Client(url, founded?.setUpToken.reveal() ?? "");
  return setUp.as((await setUp.do("set-up.complete", { body: { password: PASSWORD } })).token);
}

/** What the answers to requests that are sent together say, each once. */
async function codesOf(count: number, ask: (n: number) => Promise<{ status: number; body: unknown }>) {
  const answers = await Promise.all(Array.from({ length: count }, (_, n) => ask(n)));
  const codes = answers.map(({ body }) => (body as { code?: string } | undefined)?.code ?? "ok");
  return [...new Set(codes)].sort();
}

/** One that is not loopback; loopback by another name where there is none. */
function addressOfThisMachine(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}
