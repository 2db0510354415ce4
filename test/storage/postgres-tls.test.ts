import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VaultError } from "#base";
import { migrateDatabase, openPostgres, readAddress } from "#storage";
import { Authority } from "../certificates.ts";
import type { Wanted } from "../certificates.ts";
import { sallyport } from "../harness.ts";
import { postgresDatabase } from "../postgres/database.ts";
import { APP, createRoles, createVaultDatabase } from "../postgres/roles.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { PostgresServer } from "../postgres/server.ts";

const authority = new Authority("The database's authority");
const stranger = new Authority("Nobody's authority");

let folder: string;
let server: PostgresServer;
let database: VaultDatabase;

const file = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-tls-"));
  await writeFile(file("ca.pem"), authority.certificate);
  await writeFile(file("stranger.pem"), stranger.certificate);
  const { certificate, key } = authority.issue("database", { hosts: ["localhost"] });
  await writeFile(file("server.crt"), certificate);
  await writeFile(file("server.key"), key);
  server = await PostgresServer.start({
    tls: { certificate: file("server.crt"), key: file("server.key"), required: true },
  });
  await createRoles(server);
  database = await createVaultDatabase(server.facts());
  await migrateDatabase(readAddress(urlFor("localhost", "verify-full", "ca.pem", database.ownerUrl)));
});
afterAll(async () => {
  await server.remove();
  await rm(folder, { recursive: true });
});

/** The address of the database at a host, in a mode, with an authority. */
function urlFor(host: string, mode: string | null, ca: string | null, url = database.url): string {
  const { username, password, port, pathname } = new URL(url);
  const options = [...(mode === null ? [] : [`sslmode=${mode}`]), ...(ca === null ? [] : [`sslrootcert=${file(ca)}`])];
  const hosts = host.split(",").map((one) => `${one}:${port}`);
  return `postgres://${username}:${password}@${hosts.join(",")}${pathname}?${options.join("&")}`;
}

/** "open", with what the server says of each connection's encryption; or the refusal. */
async function opened(url: string): Promise<string> {
  const scribe = {
    write(): never {
      throw new Error("nothing is written");
    },
  };
  try {
    const engine = await openPostgres({
      address: readAddress(url),
      owner: null,
      node: "node",
      scribe,
      clock: { now: () => new Date() },
    });
    await Promise.all([engine.slots(), engine.bytes()]);
    const root = await server.superuser();
    const { rows } = await root.query<{ version: string | null }>(
      "SELECT DISTINCT version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = $1",
      [APP],
    );
    await Promise.all([root.end(), engine.close()]);
    return `open ${rows.map(({ version }) => version ?? "plain").join(" ")}`;
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    const said = error.message + JSON.stringify(error) + JSON.stringify(error.detail);
    const password = /:([^:@/]+)@/.exec(url)?.[1];
    if (password !== undefined && said.includes(password))
      throw new Error("the refusal holds the password", { cause: error });
    return error.code === "store_unavailable" ? error.message : `${error.code} ${JSON.stringify(error.detail)}`;
  }
}

/** From now on the server shows another certificate. */
async function shows(from: Authority, wanted: Wanted): Promise<void> {
  const { certificate, key } = from.issue("database", wanted);
  // In place, so that they stay the server's own files.
  await writeFile(join(server.dataFolder, "server.crt"), certificate);
  await writeFile(join(server.dataFolder, "server.key"), key);
  await server.configure({});
}

const UNTRUSTED = /the certificate of the database server is signed by nobody who is trusted \([A-Z_]+\)/;
const OTHER_NAME = /the certificate of the database server is another name's \(ERR_TLS_CERT_ALTNAME_INVALID\)/;
const ENCRYPTED = /^open TLSv1\.[23]$/;

describe("TLS to the database", () => {
  it.each([
    ["the right name and authority", "localhost", "verify-full", "ca.pem", ENCRYPTED],
    ["an authority alone, on this machine", "localhost", null, "ca.pem", ENCRYPTED],
    ["another name, where the chain alone is asked about", "127.0.0.1", "verify-ca", "ca.pem", ENCRYPTED],
    ["another name, tried before the right one", "127.0.0.1,localhost", "verify-full", "ca.pem", ENCRYPTED],
    ["an address that the certificate does not name", "127.0.0.1", "verify-full", "ca.pem", OTHER_NAME],
    ["an authority that did not sign it", "localhost", "verify-full", "stranger.pem", UNTRUSTED],
    ["an authority that did not sign it, by chain", "localhost", "verify-ca", "stranger.pem", UNTRUSTED],
    ["the system's authorities", "localhost", "verify-full", null, UNTRUSTED],
    [
      "no TLS where the server asks for it",
      "localhost",
      "disable",
      null,
      /does not let this role in: .*without TLS.* \(28000\)/,
    ],
    [
      "no TLS by default, on this machine",
      "127.0.0.1",
      null,
      null,
      /does not let this role in: .*without TLS.* \(28000\)/,
    ],
    ["sslmode=require", "localhost", "require", "ca.pem", /^config_invalid .*TLS that is not verified/],
    ["sslmode=prefer", "localhost", "prefer", null, /^config_invalid .*TLS that is not verified/],
    ["sslmode=allow", "localhost", "allow", null, /^config_invalid .*TLS that is not verified/],
  ] as const)("with %s", async (_, host, mode, ca, wanted) => {
    await shows(authority, { hosts: ["localhost"] });
    expect(await opened(urlFor(host, mode, ca))).toMatch(wanted);
  });

  it.each([
    ["that names the address", { hosts: ["127.0.0.1"] }, "127.0.0.1", ENCRYPTED],
    ["that names the address and not the name", { hosts: ["127.0.0.1"] }, "localhost", OTHER_NAME],
    ["that names both", { hosts: ["127.0.0.1", "localhost"] }, "localhost", ENCRYPTED],
    ["that names neither", { hosts: ["db.example.org"] }, "localhost", OTHER_NAME],
    ["that names nothing but its subject", {}, "localhost", OTHER_NAME],
    ["with a wildcard for the whole name", { hosts: ["*"] }, "localhost", OTHER_NAME],
    [
      "that has ended",
      { hosts: ["localhost"], from: new Date("2020-01-01"), to: new Date("2021-01-01") },
      "localhost",
      /has expired \(CERT_HAS_EXPIRED\)/,
    ],
    [
      "that has not begun",
      { hosts: ["localhost"], from: new Date(Date.now() + 9e8), to: new Date(Date.now() + 9e9) },
      "localhost",
      /is not valid \(CERT_NOT_YET_VALID\)/,
    ],
    ["with an RSA key", { hosts: ["localhost"], rsa: true }, "localhost", ENCRYPTED],
  ] as const)("a certificate %s", async (_, wanted, host, outcome) => {
    await shows(authority, wanted);
    expect(await opened(urlFor(host, "verify-full", "ca.pem"))).toMatch(outcome);
  });

  it("that ended is not taken by the chain alone either, and one of another authority under the same name is not", async () => {
    await shows(authority, { hosts: ["localhost"], from: new Date("2020-01-01"), to: new Date("2021-01-01") });
    expect(await opened(urlFor("localhost", "verify-ca", "ca.pem"))).toMatch(/has expired/);
    await shows(new Authority("The database's authority"), { hosts: ["localhost"] });
    for (const mode of ["verify-full", "verify-ca"])
      expect(await opened(urlFor("localhost", mode, "ca.pem"))).not.toMatch(/^open/);
    await shows(authority, { hosts: ["localhost"] });
    expect(await opened(urlFor("localhost", "verify-full", "ca.pem"))).toMatch(ENCRYPTED);
  });

  it("is at least 1.2, whatever the server would take", async () => {
    await shows(authority, { hosts: ["localhost"] });
    for (const version of ["TLSv1.2", "TLSv1.3"]) {
      await server.configure({ ssl_min_protocol_version: version, ssl_max_protocol_version: version });
      expect(await opened(urlFor("localhost", "verify-full", "ca.pem"))).toBe(`open ${version}`);
    }
    await server.configure({
      ssl_min_protocol_version: "TLSv1",
      ssl_max_protocol_version: "TLSv1.1",
      ssl_ciphers: "ALL:@SECLEVEL=0",
    });
    const refused = await opened(urlFor("localhost", "verify-full", "ca.pem"));
    expect(refused).toMatch(/do not agree on TLS \((?:ERR_SSL_|EPROTO)/);
    await server.configure({ ssl_min_protocol_version: "TLSv1.2", ssl_max_protocol_version: "", ssl_ciphers: "HIGH" });
    expect(await opened(urlFor("localhost", "verify-full", "ca.pem"))).toMatch(ENCRYPTED);
  });

  it("shows the vault's own certificate to a server that asks for one", async () => {
    await shows(authority, { hosts: ["localhost"] });
    const rules = join(server.dataFolder, "pg_hba.conf");
    const before = await readFile(rules, "utf8");
    await writeFile(join(server.dataFolder, "clients.pem"), authority.certificate, { mode: 0o644 });
    await writeFile(rules, `hostssl all ${APP} 127.0.0.1/32 cert\n${before}`);
    await server.configure({ ssl_ca_file: "clients.pem" });
    const clients = { right: [authority, APP], other: [authority, "somebody"], stranger: [stranger, APP] } as const;
    for (const [name, [from, subject]] of Object.entries(clients)) {
      const { certificate, key } = from.issue(subject);
      await writeFile(file(`${name}.crt`), certificate);
      await writeFile(file(`${name}.key`), key);
    }
    const url = urlFor("localhost", "verify-full", "ca.pem");
    const as = (name: string): string => `${url}&sslcert=${file(`${name}.crt`)}&sslkey=${file(`${name}.key`)}`;
    expect(await opened(as("right"))).toMatch(ENCRYPTED);
    expect(await opened(as("right").replace(/:[^:@]+@/, "@"))).toMatch(ENCRYPTED);
    expect(await opened(as("other"))).toMatch(/does not let this role in: .*without a certificate \(28000\)/);
    expect(await opened(as("stranger"))).not.toMatch(/^open/);
    expect(await opened(url)).toMatch(/does not let this role in: .*without a certificate \(28000\)/);
    await writeFile(rules, before);
    await server.configure({ ssl_ca_file: "" });
  });

  it("is not given up for a server that speaks none, or something else", async () => {
    const plain = await postgresDatabase();
    for (const mode of ["verify-full", "verify-ca"])
      expect(await opened(urlFor("127.0.0.1", mode, "ca.pem", plain.url))).toMatch(
        /the database server does not speak TLS/,
      );
    await plain.remove();

    let asked: Buffer[] = [];
    const fake = async (answer: (socket: Socket) => void): Promise<string> => {
      asked = [];
      const listening: Server = createServer((socket) => {
        socket.on("error", () => undefined);
        socket.on("data", (chunk: Buffer) => {
          if (asked.push(chunk) === 1) answer(socket);
        });
      });
      await new Promise<void>((resolve) => listening.listen(0, "127.0.0.1", resolve));
      const { port } = listening.address() as AddressInfo;
      const url = `postgres://vault:${"geheim".repeat(3)}@localhost:${String(port)}/x?sslrootcert=${file("ca.pem")}`;
      const said = await opened(url);
      await new Promise((resolve) => listening.close(resolve));
      // The eight bytes that ask for TLS, and nothing in the open of who asks.
      expect(Buffer.concat(asked).includes("vault")).toBe(false);
      expect(Buffer.concat(asked).includes("geheim")).toBe(false);
      return said;
    };
    // "No"; an error; welcome without TLS; "yes" with more behind it, which came in the open; "yes" and then none; the end.
    const authenticated = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]);
    const said = [
      await fake((socket) => void socket.write("N")),
      await fake((socket) => void socket.write("E\0\0\0\x0bSFATAL\0\0")),
      await fake((socket) => void socket.write(authenticated)),
      await fake((socket) => void socket.write(Buffer.concat([Buffer.from("S"), authenticated]))),
      await fake((socket) => {
        socket.write("S");
        setTimeout(() => socket.end("no TLS at all"), 50);
      }),
      await fake((socket) => socket.destroy()),
    ];
    expect(said[0]).toMatch(/does not speak TLS/);
    for (const one of said.slice(1, 4)) expect(one).toMatch(/does not answer as one that speaks TLS/);
    for (const one of said) expect(one).toMatch(/^The database cannot be used: /);
  });

  it("ends the process with 28 and the reason, where it cannot be", async () => {
    await shows(authority, { hosts: ["localhost"] });
    for (const [url, reason] of [
      [urlFor("localhost", "verify-full", "stranger.pem"), UNTRUSTED],
      [urlFor("127.0.0.1", "verify-full", "ca.pem"), OTHER_NAME],
    ] as const) {
      const env = {
        SALLYPORT_STORE: url,
        SALLYPORT_LISTEN: "127.0.0.1:0",
        SALLYPORT_DATA: file("data"),
        SALLYPORT_KEYS: file("keys"),
      };
      const { code, stdout, stderr } = await sallyport(["up"], { cwd: folder, env });
      expect([code, stderr]).toEqual([28, expect.stringMatching(reason)]);
      expect(stdout + stderr).not.toContain(new URL(url).password);
      expect(stdout + stderr).not.toContain("DeprecationWarning");
    }
  });
});

describe("a password", () => {
  it("that is missing or wrong is said so, and none is taken from the environment", async () => {
    await shows(authority, { hosts: ["localhost"] });
    const url = urlFor("localhost", "verify-full", "ca.pem");
    const right = new URL(url).password;
    const without = url.replace(`:${right}@`, "@");
    expect(await opened(url.replace(right, "wrong"))).toMatch(/refuses the role or its password \(28P01\)/);
    const missing = /asks for a password, and its address has none and storePasswordFile names none \(NO_PASSWORD\)/;
    expect(await opened(without)).toMatch(missing);
    process.env.PGPASSWORD = right;
    try {
      expect(await opened(without)).toMatch(missing);
    } finally {
      delete process.env.PGPASSWORD;
    }
  });
});
