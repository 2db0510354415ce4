import { chmod, mkdtemp, rename, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import type { RequestOptions } from "node:https";
import type { IncomingHttpHeaders } from "node:http";
import { connect as connectPlain } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket, connect, createServer } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DAY, isVaultError, systemClock } from "#base";
import type { Clock } from "#base";
import { Tls } from "#http";
import type { TlsFiles } from "#settings";
import { Authority, encrypted } from "../certificates.ts";
import type { Issued, Wanted } from "../certificates.ts";
import { GOOD, start } from "./fixture.ts";
import type { Fixture, Overrides } from "./fixture.ts";

const authority = new Authority();
const stranger = new Authority("Another authority");
const HOSTS = ["127.0.0.1", "localhost"];

let folder: string;
const opened: { close(): unknown }[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-tls-"));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()));
  await rm(folder, { recursive: true });
});

const file = (name: string) => join(folder, name);

async function lay(issued: Issued, name = "server"): Promise<{ certificateFile: string; keyFile: string }> {
  const paths = { certificateFile: file(`${name}.crt`), keyFile: file(`${name}.key`) };
  await writeFile(paths.certificateFile, issued.certificate);
  await writeFile(paths.keyFile, issued.key, { mode: 0o600 });
  return paths;
}

interface Laid extends Partial<TlsFiles> {
  readonly wanted?: Wanted;
  readonly clock?: Clock;
  readonly lines?: { level: string; message: string }[];
}

async function load({ wanted, clock = systemClock, lines = [], ...files }: Laid = {}): Promise<Tls> {
  const laid =
    files.certificateFile === undefined ? await lay(authority.issue("vault", { hosts: HOSTS, ...wanted })) : {};
  const write = (level: string) => (fields: object, message: string) => void lines.push({ ...fields, level, message });
  const tls = await Tls.load(
    { certificateFile: "", keyFile: "", clientAuthorityFile: null, clientAuth: "none", ...laid, ...files },
    {
      log: { info: write("info"), warn: write("warn"), error: write("error") },
      clock,
      paces: { poll: 50, settle: 100 },
    },
  );
  opened.push(tls);
  return tls;
}

async function open(tls: Tls, overrides: Overrides = {}): Promise<Fixture> {
  const vault = await start({ ...overrides, listen: { tls, ...overrides.listen } });
  opened.push(vault);
  return vault;
}

interface Asked {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly protocol: string | null;
}

function ask(
  vault: Fixture,
  options: ConnectionOptions & Pick<RequestOptions, "agent" | "path" | "localAddress"> = {},
): Promise<Asked> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: vault.servers.host,
        port: vault.servers.port,
        path: "/v1/users",
        headers: { Authorization: `Bearer ${GOOD}` },
        ca: authority.certificate,
        agent: false,
        timeout: 60_000,
        ...options,
      },
      (response) => {
        const protocol = response.socket instanceof TLSSocket ? response.socket.getProtocol() : null;
        response
          .resume()
          .on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, protocol }))
          .on("error", reject);
      },
    );
    sent.on("error", reject);
    sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
    sent.end();
  });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (isVaultError(error))
    return `${error.code} ${(error.detail.faults ?? []).map(({ field, message }) => `${field}: ${message}`).join()}`;
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

/** That a client with these options can connect at all: to a server that takes anything. */
async function isSpokenElsewhere(options: ConnectionOptions, rsa: boolean): Promise<boolean> {
  const { certificate: cert, key } = authority.issue("anything", { hosts: HOSTS, rsa });
  const lax = createServer({ cert, key, minVersion: "TLSv1", ciphers: "ALL:@SECLEVEL=0", dhparam: "auto" });
  await new Promise<void>((resolve) => lax.listen(0, "127.0.0.1", resolve));
  const { port } = lax.address() as AddressInfo;
  const connected = await new Promise<boolean>((resolve) => {
    const socket = connect({ port, host: "127.0.0.1", ca: authority.certificate, ...options }, () => {
      resolve(true);
      socket.destroy();
    });
    socket.on("error", () => resolve(false));
  });
  lax.close();
  return connected;
}

describe("Over TLS", () => {
  test("1.2 and 1.3 are spoken, with either kind of key, and the answer says that the way stays encrypted", async () => {
    for (const rsa of [false, true]) {
      const vault = await open(await load({ wanted: { rsa } }));
      expect(vault.servers.url).toMatch(/^https:/);
      for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
        const answer = await ask(vault, { minVersion: version, maxVersion: version });
        expect(answer).toMatchObject({ status: 200, protocol: version });
        expect(answer.headers["strict-transport-security"]).toMatch(/max-age=\d{8}/);
      }
    }
  });

  test.each(["TLSv1", "TLSv1.1"] as const)("%s is refused", async (version) => {
    const vault = await open(await load());
    const weak: ConnectionOptions = { minVersion: version, maxVersion: version, ciphers: "ALL:@SECLEVEL=0" };
    expect(await isSpokenElsewhere(weak, false)).toBe(true);
    expect(await codeOf(ask(vault, weak))).toMatch(/PROTOCOL_VERSION|EPROTO|ECONNRESET|UNSUPPORTED/);
  });

  test.each([
    "AES128-SHA",
    "AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES128-SHA256",
    "DHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-CCM",
  ])(
    "the cipher suite %s is refused: no forward secrecy, no authenticated encryption, or not on the list",
    async (ciphers) => {
      const rsa = !ciphers.includes("ECDSA");
      const vault = await open(await load({ wanted: { rsa } }));
      const weak: ConnectionOptions = { maxVersion: "TLSv1.2", ciphers: `${ciphers}:@SECLEVEL=0` };
      expect(await isSpokenElsewhere(weak, rsa)).toBe(true);
      const code = await codeOf(ask(vault, weak));
      expect(code).toMatch(/HANDSHAKE_FAILURE|EPROTO|ECONNRESET/);
      expect((await ask(vault)).status).toBe(200);
    },
  );

  test.each(["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"])("%s is spoken", async (ciphers) => {
    const vault = await open(await load());
    expect((await ask(vault, { maxVersion: "TLSv1.2", ciphers })).status).toBe(200);
  });

  test("nothing but HTTP/1.1 is negotiated", async () => {
    const vault = await open(await load());
    const negotiate = (ALPNProtocols: string[]) =>
      new Promise<string>((resolve) => {
        const { port, host } = vault.servers;
        const socket = connect({ port, host, ca: authority.certificate, ALPNProtocols }, () => {
          resolve(String(socket.alpnProtocol));
          socket.destroy();
        });
        socket.on("error", (error: NodeJS.ErrnoException) => resolve(String(error.code)));
      });
    expect(await negotiate(["h2", "http/1.1"])).toBe("http/1.1");
    expect(await negotiate(["h2"])).toMatch(/NO_APPLICATION_PROTOCOL|ECONNRESET/);
  });

  test("plain HTTP gets an answer that says so, and other bytes do not hold the connection", async () => {
    const vault = await open(await load());
    const answer = await vault.raw("GET /v1/users HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer x\r\n\r\n");
    expect([answer.status, answer.body.code, answer.headers.connection]).toEqual([400, "tls_required", "close"]);
    expect((await vault.raw("\0\0\0\0")).status).toBe(400);
    expect(vault.counted.map(({ reason }) => reason)).toEqual(["malformed", "malformed"]);
    expect((await ask(vault)).status).toBe(200);
  });

  test("a client that does not finish its handshake is closed, in time and beyond a number", async () => {
    const vault = await open(await load(), {
      listen: { handshakes: { most: 100, mostOfSource: 5, timeoutMs: 500 } },
    });
    const sockets = Array.from({ length: 8 }, (_, at) => {
      const socket = connectPlain(vault.servers.port, vault.servers.host);
      socket.on("error", () => undefined);
      // Some say nothing, some begin a handshake.
      if (at % 2 === 0) socket.write(Buffer.from([22, 3, 1]));
      return new Promise((resolve) => socket.once("close", resolve));
    });
    await Promise.all(sockets);
    expect((await ask(vault)).status).toBe(200);
    const [line] = vault.lines.filter(({ event }) => event === "tls_handshakes_failed");
    expect(line).toMatchObject({ level: "warn" });
  });

  test.each([
    ["its source", { most: 100, mostOfSource: 5 }],
    ["all together", { most: 5, mostOfSource: 100 }],
  ])("who connects is served while %s has as many handshakes that stall as may be", async (_name, limits) => {
    const vault = await open(await load(), { listen: { handshakes: { ...limits, timeoutMs: 600_000 } } });
    let closed = 0;
    const stalled = Array.from({ length: 5 }, () => {
      const socket = connectPlain(vault.servers.port, vault.servers.host);
      opened.push({ close: () => socket.destroy() });
      return socket.on("error", () => undefined).on("close", () => closed++);
    });
    await Promise.all(stalled.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
    for (let n = 0; n < 3; n++) expect((await ask(vault)).status).toBe(200);
    // The first of them made room; whose handshake is done holds no place.
    await expect.poll(() => closed).toBe(1);
  });

  test("beyond loopback it listens without more being said", async () => {
    const vault = await open(await load(), { listen: { host: "0.0.0.0" } });
    expect((await ask(vault, { host: "127.0.0.1" })).status).toBe(200);
    expect(vault.servers.loopbackOnly).toBe(false);
  });

  test("a drain lets a request in flight finish and a handshake under way ask its one request", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    let begin = () => {};
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const vault = await open(await load(), {
      handlers: {
        "health.live": async () => {
          begin();
          await gate;
          return { status: "ok" };
        },
      },
    });
    const slow = ask(vault, { path: "/healthz" });
    await begun;
    // It is connected, and its handshake begins when the drain has begun.
    const plain = connectPlain(vault.servers.port, vault.servers.host);
    await new Promise((resolve) => plain.once("connect", resolve));
    const drained = vault.servers.drain(8_000, { lingerMs: 4_000 });
    const late = ask(vault, {
      createConnection: () => connect({ socket: plain, ca: authority.certificate, servername: "localhost" }),
    } as ConnectionOptions);
    expect(await late).toMatchObject({ status: 200, headers: { connection: "close" } });
    release();
    expect(await slow).toMatchObject({ status: 200 });
    expect(await drained).toBe(true);
  });
});

describe("Answers over TLS that nobody takes", () => {
  test("are as many as one source may have, also of what is one buffer for all, since each is encrypted anew", async () => {
    const vault = await open(await load(), { doors: { limits: { maxAnswerBytes: 32 * 1024 * 1024 } } });
    const request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: vault\r\n\r\n";
    const sockets = Array.from({ length: 12 }, () => {
      // Nobody listens for data, so no more is read than a little.
      const socket = connect({ port: vault.servers.port, host: "127.0.0.1", ca: authority.certificate }, () =>
        socket.write(request.repeat(17)),
      );
      return socket.on("error", () => undefined);
    });
    opened.push({ close: () => sockets.forEach((socket) => socket.destroy()) });
    const codes = () => new Set(vault.lines.filter(({ message }) => message === "request").map(({ code }) => code));
    await expect.poll(codes, { timeout: 20_000 }).toContain("overloaded");
    const path = "/v1/openapi.json";
    // The kernel takes some more, and those that were refused ask again, until all hold what they do not take.
    const askMore = async () => {
      for (const socket of sockets) socket.write(request);
      return (await ask(vault, { path })).status;
    };
    await expect.poll(askMore, { timeout: 60_000, interval: 100 }).toBe(503);
    expect((await ask(vault, { path, localAddress: "127.0.0.2" })).status).toBe(200);
    expect((await ask(vault, { path: "/docs/start.js", localAddress: "127.0.0.2" })).status).toBe(200);
  });
});

describe("Client certificates", () => {
  const good = authority.issue("etl-host");
  const strange = stranger.issue("etl-host");
  const over = authority.issue("etl-host", { to: new Date(Date.now() - DAY) });
  const shown = ({ certificate: cert, key }: Issued): ConnectionOptions => ({ cert, key });

  async function asking(clientAuth: "optional" | "required"): Promise<Fixture> {
    const clientAuthority = file("clients.crt");
    await writeFile(clientAuthority, authority.certificate);
    return open(await load({ clientAuth, clientAuthorityFile: clientAuthority }));
  }

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "where one is required, %s serves nobody without a good one",
    async (v) => {
      const vault = await asking("required");
      expect((await ask(vault, { ...shown(good), maxVersion: v, minVersion: v })).status).toBe(200);
      for (const wrong of [{}, shown(strange), shown(over)]) {
        expect(await codeOf(ask(vault, { ...wrong, maxVersion: v, minVersion: v }))).toMatch(/ALERT|ECONNRESET|EPROTO/);
      }
      expect(vault.settled.length + vault.lines.filter(({ message }) => message === "request").length).toBe(2);
    },
  );

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "where one is optional, %s serves without, and not with a bad one",
    async (v) => {
      const vault = await asking("optional");
      expect((await ask(vault, { ...shown(good), maxVersion: v, minVersion: v })).status).toBe(200);
      expect((await ask(vault, { maxVersion: v, minVersion: v })).status).toBe(200);
      for (const wrong of [shown(strange), shown(over)]) {
        expect(await codeOf(ask(vault, { ...wrong, maxVersion: v, minVersion: v }))).not.toBe("null");
      }
      expect(vault.lines.filter(({ message }) => message === "request")).toHaveLength(2);
    },
  );

  test("cannot be asked for without an authority", async () => {
    expect(await codeOf(load({ clientAuth: "required" }))).toMatch(/config_invalid tlsClientAuthority/);
  });
});

describe("The files of a certificate are refused", () => {
  const issued = authority.issue("vault", { hosts: HOSTS });
  const other = authority.issue("vault", { hosts: HOSTS });
  const cases: readonly (readonly [
    string,
    (paths: { certificateFile: string; keyFile: string }) => unknown,
    RegExp,
  ])[] = [
    [
      "a certificate that is not there",
      ({ certificateFile: certificate }) => unlink(certificate),
      /tlsCertificate.*is not there/,
    ],
    ["a key that is not there", ({ keyFile: key }) => unlink(key), /tlsKey.*is not there/],
    ["no PEM", ({ certificateFile: certificate }) => writeFile(certificate, "hello"), /tlsCertificate.*no certificate/],
    [
      "a damaged certificate",
      ({ certificateFile: certificate }) => writeFile(certificate, issued.certificate.replace(/\n[^\n]{64}\n/, "\n")),
      /tlsCertificate.*damaged/,
    ],
    ["no key", ({ keyFile: key }) => writeFile(key, "hello"), /tlsKey.*no private key/],
    ["a key of another", ({ keyFile: key }) => writeFile(key, other.key), /tlsKey.*not the key of/],
    ["an encrypted key", ({ keyFile: key }) => writeFile(key, encrypted(issued)), /tlsKey.*encrypted/],
    ["a key that others can read", ({ keyFile: key }) => chmod(key, 0o644), /key_file_unsafe/],
    ["a folder that others can write", () => chmod(folder, 0o777), /key_file_unsafe/],
    ["a key that is too large", ({ keyFile: key }) => writeFile(key, "x".repeat(20_000)), /tlsKey.*too large/],
  ];
  test.each(cases)("with %s", async (_what, spoil, code) => {
    const paths = await lay(issued);
    await spoil(paths);
    expect(await codeOf(load(paths))).toMatch(code);
  });

  test("and nothing else: links, as renewal lays them, are followed", async () => {
    const paths = await lay(issued, "real");
    await symlink(paths.certificateFile, file("link.crt"));
    await symlink(paths.keyFile, file("link.key"));
    const vault = await open(await load({ certificateFile: file("link.crt"), keyFile: file("link.key") }));
    expect((await ask(vault)).status).toBe(200);
  });

  test("and none for its time: it starts, and the log says so", async () => {
    const cases = [
      [{ to: new Date(Date.now() - DAY) }, "error", "has expired"],
      [{ from: new Date(Date.now() + DAY) }, "error", "not valid before"],
      [{ to: new Date(Date.now() + 3 * DAY) }, "warn", "expires on"],
    ] as const;
    for (const [wanted, level, words] of cases) {
      const lines: { level: string; message: string }[] = [];
      const vault = await open(await load({ wanted, lines }));
      expect(lines).toMatchObject([{ level, message: expect.stringContaining(words) }]);
      expect(await codeOf(ask(vault))).toBe(
        words === "expires on" ? "null" : words === "has expired" ? "CERT_HAS_EXPIRED" : "CERT_NOT_YET_VALID",
      );
    }
  });
});

describe("When the files change", () => {
  const fingerprint = (vault: Fixture) =>
    new Promise<string>((resolve, reject) => {
      const { port, host } = vault.servers;
      const socket = connect({ port, host, ca: authority.certificate }, () => {
        resolve(socket.getPeerCertificate().fingerprint256.replaceAll(":", "").toLowerCase());
        socket.destroy();
      });
      socket.on("error", reject);
    });

  test("new connections get the new certificate, under load and without a request that fails", async () => {
    const lines: { level: string; message: string; fingerprint?: string }[] = [];
    const vault = await open(await load({ lines }));
    const kept = new Agent({ keepAlive: true, maxSockets: 4 });
    let running = true;
    const failures: string[] = [];
    let answered = 0;
    const load8 = Array.from({ length: 8 }, async (_, at) => {
      while (running) {
        const code = await codeOf(
          ask(vault, at < 4 ? { agent: kept } : {}).then(({ status }) => expect(status).toBe(200)),
        );
        if (code !== "null") failures.push(code);
        answered += 1;
      }
    });
    for (let round = 0; round < 5; round += 1) {
      const before = lines.filter(({ message }) => message === "TLS certificate reloaded").length;
      const next = authority.issue("vault", { hosts: HOSTS });
      // As a careful renewal does it: whole files, one after the other.
      await writeFile(file("server.crt.new"), next.certificate);
      await writeFile(file("server.key.new"), next.key, { mode: 0o600 });
      await rename(file("server.crt.new"), file("server.crt"));
      await rename(file("server.key.new"), file("server.key"));
      await expect
        .poll(() => lines.filter(({ message }) => message === "TLS certificate reloaded").length, { timeout: 60_000 })
        .toBe(before + 1);
      expect(await fingerprint(vault)).toBe(lines.at(-1)?.fingerprint);
    }
    running = false;
    await Promise.all(load8);
    kept.destroy();
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(50);
    expect(lines.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("a pair that does not fit, or is out of its time, is refused and the old one goes on", async () => {
    const lines: { level: string; message: string; code?: string; event?: string }[] = [];
    const tls = await load({ lines });
    const vault = await open(tls);
    const before = await fingerprint(vault);
    const refused = () => lines.filter(({ event }) => event === "tls_reload_refused").length;
    const spoilers = [
      () => writeFile(file("server.key"), authority.issue("other").key),
      () => writeFile(file("server.crt"), "nothing"),
      () => unlink(file("server.crt")),
      () => lay(authority.issue("vault", { hosts: HOSTS, to: new Date(Date.now() - DAY) })),
      () => chmod(file("server.key"), 0o644),
    ];
    for (const spoil of spoilers) {
      const known = refused();
      await spoil();
      // A write is two changes where it is looked at between them.
      await expect.poll(refused, { timeout: 60_000 }).toBeGreaterThan(known);
      expect(await fingerprint(vault)).toBe(before);
      expect(await tls.reload()).toBe(false);
    }
    expect(new Set(lines.map(({ level, code }) => `${level} ${code ?? ""}`))).toEqual(
      new Set(["error config_invalid", "error key_file_unsafe"]),
    );
    await unlink(file("server.key"));
    await lay(authority.issue("vault", { hosts: HOSTS }));
    await expect.poll(() => fingerprint(vault), { timeout: 60_000 }).not.toBe(before);
    expect(JSON.stringify(lines)).not.toContain("PRIVATE");
  });

  test("one refusal is one line, however often it is told to look meanwhile", async () => {
    const lines: { level: string; message: string; event?: string }[] = [];
    const tls = await load({ lines });
    const refused = () => lines.filter(({ event }) => event === "tls_reload_refused").length;
    await writeFile(file("server.key"), authority.issue("other").key);
    expect(await Promise.all([tls.reload(), tls.reload(), tls.reload()])).toEqual([false, false, false]);
    expect(refused()).toBe(1);
    // Told while it waits whether the other file is still on its way.
    await writeFile(file("server.crt"), "nothing");
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await Promise.all([tls.reload(), tls.reload()])).toEqual([false, false]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(refused()).toBe(2);
    // Whoever asks again is told again.
    expect(await tls.reload()).toBe(false);
    expect(refused()).toBe(3);
  });

  test("when told, it looks at once, and says when nothing is new", async () => {
    const lines: { level: string; message: string }[] = [];
    const tls = await load({ lines });
    expect(await tls.reload()).toBe(true);
    expect(lines.at(-1)?.message).toBe("TLS certificate unchanged");
    await lay(authority.issue("vault", { hosts: HOSTS }));
    expect(await tls.reload()).toBe(true);
    expect(lines.map(({ message }) => message)).toContain("TLS certificate reloaded");
  });
});
