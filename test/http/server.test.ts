import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import type { IncomingMessage } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isVaultError } from "#base";
import type { Handlers } from "#http";
import { GOOD, enter, start } from "./fixture.ts";
import type { Fixture, Overrides } from "./fixture.ts";

let folder: string;
const opened: Fixture[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sallyport-http-"));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((vault) => vault.close()));
  await rm(folder, { recursive: true });
});

async function open(overrides: Overrides = {}): Promise<Fixture> {
  const vault = await start(overrides);
  opened.push(vault);
  return vault;
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  return isVaultError(error) ? error.code : String(error);
}

/** A handler that answers when it is told to. */
function held(): { handlers: Partial<Handlers>; started: Promise<void>; release: () => void } {
  let release = () => {};
  let begin = () => {};
  const started = new Promise<void>((resolve) => (begin = resolve));
  const gate = new Promise<void>((resolve) => (release = resolve));
  const handlers: Partial<Handlers> = {
    "user.list": async ({ call }) => {
      enter(call, "member.manage");
      begin();
      await gate;
      return { items: [], next: null };
    },
  };
  return { handlers, started, release };
}

function get(
  vault: Fixture,
  path: string,
  agent: Agent,
): Promise<{ status: number; headers: IncomingMessage["headers"] }> {
  return new Promise((resolve, reject) => {
    request(
      { agent, host: vault.servers.host, port: vault.servers.port, path, headers: { Authorization: `Bearer ${GOOD}` } },
      (response) => {
        response.resume().on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers }));
      },
    )
      .on("error", reject)
      .end();
  });
}

describe("Draining", () => {
  test("lets requests in flight finish, refuses new connections, and closes idle ones when nothing came on them", async () => {
    const { handlers, started, release } = held();
    const vault = await open({ handlers });
    const idle = connect(vault.servers.port, vault.servers.host);
    idle.write(`GET /v1/whoami HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer ${GOOD}\r\n\r\n`);
    await new Promise((resolve) => idle.once("data", resolve));
    const silent = connect(vault.servers.port, vault.servers.host);
    await new Promise((resolve) => silent.once("connect", resolve));
    const closed = [idle, silent].map((socket) => new Promise((resolve) => socket.once("close", resolve)));

    const slow = get(vault, "/v1/users", new Agent({ keepAlive: true }));
    await started;
    const drained = vault.servers.drain(8_000, { lingerMs: 200 });
    await Promise.all(closed);
    expect(await codeOf(get(vault, "/v1/whoami", new Agent()))).toContain("ECONNREFUSED");
    release();
    expect(await slow).toMatchObject({ status: 200, headers: { connection: "close" } });
    expect(await drained).toBe(true);
  });

  test("answers one request more on a connection that was idle, or had not asked yet", async () => {
    const vault = await open();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await get(vault, "/v1/whoami", agent)).headers.connection).toBe("keep-alive");
    const silent = connect(vault.servers.port, vault.servers.host);
    await new Promise((resolve) => silent.once("connect", resolve));
    const drained = vault.servers.drain(8_000, { lingerMs: 4_000 });
    await expect.poll(() => codeOf(get(vault, "/v1/whoami", new Agent()))).toContain("ECONNREFUSED");
    expect(await get(vault, "/v1/whoami", agent)).toMatchObject({ status: 200, headers: { connection: "close" } });
    const said = new Promise<string>((resolve) => silent.once("data", (bytes) => resolve(String(bytes))));
    silent.write(`GET /v1/whoami HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer ${GOOD}\r\n\r\n`);
    expect(await said).toMatch(/^HTTP\/1\.1 200/);
    expect(await drained).toBe(true);
  });

  test("goes on taking connections while balancers turn away", async () => {
    const vault = await open();
    const drained = vault.servers.drain(8_000, { delayMs: 1_500, lingerMs: 100 });
    for (let n = 0; n < 3; n += 1) {
      expect(await get(vault, "/v1/whoami", new Agent({ keepAlive: true }))).toMatchObject({
        status: 200,
        headers: { connection: "close" },
      });
    }
    expect(await drained).toBe(true);
    expect(await codeOf(get(vault, "/v1/whoami", new Agent()))).toContain("ECONNREFUSED");
  });

  test("closes what is not answered when its time is over, and says so", async () => {
    const { handlers, started, release } = held();
    const vault = await open({ handlers });
    const slow = codeOf(get(vault, "/v1/users", new Agent()));
    await started;
    const begun = performance.now();
    expect(await vault.servers.drain(100)).toBe(false);
    expect(performance.now() - begun).toBeLessThan(2_000);
    expect(await slow).toContain("socket hang up");
    release();
    await expect
      .poll(() => vault.lines.find(({ message }) => message === "request"))
      .toMatchObject({ operation: "user.list", aborted: true });
    expect(vault.settled.length).toBe(1);
  });

  test("with nothing to do is done at once", async () => {
    const vault = await open();
    expect(await vault.servers.drain(5_000)).toBe(true);
  });
});

describe("The machine's own socket", () => {
  test("is born with mode 0600, tells its requests apart, and leaves no file behind", async () => {
    const socketPath = join(folder, "vault.sock");
    await writeFile(join(folder, "before"), "");
    const vault = await open({ listen: { socketPath } });
    expect((await stat(socketPath)).mode & 0o777).toBe(0o600);
    await writeFile(join(folder, "after"), "");
    expect((await stat(join(folder, "after"))).mode).toBe((await stat(join(folder, "before"))).mode);
    const answer = await vault.raw(
      "GET /v1/users HTTP/1.1\r\nHost: vault\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n",
      socketPath,
    );
    expect(answer.status).toBe(200);
    expect(vault.lines.at(-1)).toMatchObject({ actor: { type: "machine" }, address: null });
    expect((await vault.send("GET", "/v1/users", { credential: null })).status).toBe(401);
    await vault.servers.drain(1_000);
    expect(await codeOf(stat(socketPath))).toContain("ENOENT");
  });

  test("knows no limit by source, which all its callers would share", async () => {
    const socketPath = join(folder, "vault.sock");
    const vault = await open({ listen: { socketPath }, doors: { limits: { requests: { count: 1, seconds: 10 } } } });
    for (let n = 0; n < 3; n++) {
      expect(
        (await vault.raw("GET /v1/users HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n\r\n", socketPath)).status,
      ).toBe(200);
    }
  });

  test("replaces the file of a process that died, and only that", async () => {
    const socketPath = join(folder, "vault.sock");
    const first = await open({ listen: { socketPath } });
    expect(await codeOf(open({ listen: { socketPath } }))).toBe("address_in_use");
    await expect(open({ listen: { socketPath } })).rejects.toThrow(`${socketPath} is taken by another process`);
    expect(
      (await first.raw("GET /healthz HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n\r\n", socketPath)).status,
    ).toBe(200);

    const stale = join(folder, "stale.sock");
    await leaveStaleSocket(stale);
    const second = await open({ listen: { socketPath: stale } });
    expect((await second.raw("GET /healthz HTTP/1.1\r\nHost: vault\r\nConnection: close\r\n\r\n", stale)).status).toBe(
      200,
    );

    const file = join(folder, "file.sock");
    await writeFile(file, "mine");
    expect(await codeOf(open({ listen: { socketPath: file } }))).toBe("address_in_use");
    expect((await stat(file)).size).toBe(4);
    expect(await codeOf(open({ listen: { socketPath: join(folder, "s".repeat(120)) } }))).toBe("config_invalid");
  });
});

describe("Listening", () => {
  test("on a taken port says so, and which", async () => {
    const { servers } = await open();
    expect(await codeOf(open({ listen: { port: servers.port } }))).toBe("address_in_use");
    await expect(open({ listen: { port: servers.port } })).rejects.toThrow(
      `127.0.0.1:${String(servers.port)} is taken by another process`,
    );
  });

  test("in plain HTTP beyond loopback is refused unless it is asked for", async () => {
    for (const host of ["0.0.0.0", "::", "192.0.2.1", "vault.example.test"]) {
      expect(await codeOf(open({ listen: { host } }))).toBe("config_invalid");
    }
    const vault = await open({ listen: { host: "0.0.0.0", insecurePlainHttp: true } });
    expect((await vault.send("GET", "/v1/users")).status).toBe(200);
    expect((await open({ listen: { host: "localhost" } })).servers.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
  });

  test("on an address that is not this machine's is refused", async () => {
    expect(await codeOf(open({ listen: { host: "192.0.2.1", insecurePlainHttp: true } }))).toBe("config_invalid");
  });

  test("a connection is kept for the next request, also after a refusal", async () => {
    const vault = await open();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (const [path, status] of [
      ["/v1/users", 200],
      ["/v1/nowhere", 404],
      ["/v1/users?limit=x", 400],
    ] as const) {
      expect(await get(vault, path, agent)).toMatchObject({ status, headers: { connection: "keep-alive" } });
    }
    agent.destroy();
  });

  test("a client that does not finish its headers or its body is told so and closed", async () => {
    const vault = await open({ listen: { timeoutsMs: { headers: 150, request: 300, keepAlive: 1_000, check: 50 } } });
    const headers = await vault.raw("GET /v1/users HTTP/1.1\r\nHost: vault\r\n");
    expect([headers.status, headers.body.code, headers.headers.connection]).toEqual([408, "timeout", "close"]);
    const head = `POST /v1/grants HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer ${GOOD}\r\n`;
    const body = await vault.raw(`${head}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{`);
    expect([body.status, body.body.code]).toEqual([408, "timeout"]);
    await expect
      .poll(() => vault.counted.map(({ operation }) => operation).sort())
      .toEqual(["grant.create", "unknown", "unknown"]);
  });

  test("two requests sent at once are answered one after the other", async () => {
    const vault = await open();
    const one = `GET /v1/users HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer ${GOOD}\r\n`;
    const { text } = await vault.raw(`${one}\r\n${one}Connection: close\r\n\r\n`);
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
  });

  test("what follows a request and is none does not mix with its answer", async () => {
    const { handlers, started, release } = held();
    const vault = await open({ handlers });
    void started.then(release);
    const { text } = await vault.raw(
      `GET /v1/users HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer ${GOOD}\r\n\r\nnot HTTP\r\n\r\n`,
    );
    expect(text.match(/HTTP\/1\.1/g) ?? []).toHaveLength(1);
  });
});

/** A socket file whose server is gone: it is closed without unlinking, as by a kill. */
async function leaveStaleSocket(path: string): Promise<void> {
  const { spawn } = await import("node:child_process");
  const child = spawn(process.execPath, [
    "-e",
    `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`,
  ]);
  await new Promise((resolve) => child.once("exit", resolve));
  expect((await stat(path)).isSocket()).toBe(true);
  expect(createServer().listening).toBe(false);
}
