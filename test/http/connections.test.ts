import { BlockList, connect } from "node:net";
import type { Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Reply } from "#http";
import type { Handlers } from "#http";
import { GOOD, enter, settle, start } from "./fixture.ts";
import type { Fixture, Overrides } from "./fixture.ts";

let vault: Fixture;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await vault.close();
});

async function open(overrides: Overrides = {}): Promise<void> {
  vault = await start(overrides);
}

/** A connection that only opens its mouth. */
async function dial(localAddress = "127.0.0.1"): Promise<{
  socket: Socket;
  heard: () => string;
  closed: Promise<void>;
  isClosed: () => boolean;
}> {
  const socket = connect({ port: vault.servers.port, host: vault.servers.host, localAddress });
  sockets.push(socket);
  let text = "";
  let over = false;
  socket.on("data", (chunk) => (text += chunk.toString("latin1"))).on("error", () => undefined);
  const closed = new Promise<void>((resolve) =>
    socket.once("close", () => {
      over = true;
      resolve();
    }),
  );
  await new Promise((resolve) => socket.once("connect", resolve));
  return { socket, heard: () => text, closed, isClosed: () => over };
}

const HEALTH = "GET /healthz HTTP/1.1\r\nHost: vault\r\n\r\n";
const USERS = `GET /v1/users HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer ${GOOD}\r\n`;
const answersIn = (text: string) => text.match(/HTTP\/1\.1 \d{3}/g) ?? [];

describe("On one connection", () => {
  test("as many pipelined requests as have a place are answered in their order", async () => {
    await open();
    const warnings: string[] = [];
    const hear = (warning: Error) => void warnings.push(warning.name);
    process.on("warning", hear);
    const { socket, heard, isClosed } = await dial();
    socket.write(HEALTH.repeat(17));
    await expect.poll(() => answersIn(heard())).toEqual(Array.from({ length: 17 }, () => "HTTP/1.1 200"));
    expect(isClosed()).toBe(false);
    socket.write(HEALTH.repeat(10));
    await expect.poll(() => answersIn(heard())).toHaveLength(27);
    process.off("warning", hear);
    // Node would say on stderr, between the lines of the log, that an answer that is over is still listened to.
    expect(warnings).toEqual([]);
  });

  test("forty pipelined requests, and a thousand, are all answered in their order, as the client takes them", async () => {
    await open();
    const { socket, heard, isClosed } = await dial();
    const ask = (from: number, to: number) => {
      const named = Array.from({ length: to - from }, (_, n) => `X-Request-Id: pipelined-${String(from + n)}`);
      return named.map((id) => `GET /healthz HTTP/1.1\r\nHost: vault\r\n${id}\r\n\r\n`).join("");
    };
    const answeredIds = () => [...heard().matchAll(/X-Request-Id: pipelined-(\d+)/g)].map(([, id]) => Number(id));
    socket.write(ask(0, 40));
    await expect.poll(answeredIds, { timeout: 60_000 }).toEqual(Array.from({ length: 40 }, (_, n) => n));
    socket.write(ask(40, 1_040));
    await expect.poll(() => answeredIds().length, { timeout: 120_000 }).toBe(1_040);
    expect(answeredIds()).toEqual(Array.from({ length: 1_040 }, (_, n) => n));
    expect(isClosed()).toBe(false);
  });

  test("bodies arrive whole behind each other, whatever their length and however they are cut", async () => {
    const heardOf: number[] = [];
    await open({
      handlers: {
        "namespace.create": async ({ call, body }) => {
          settle(enter(call, "namespace.manage"));
          heardOf.push(body.name.length);
          return {} as never;
        },
      },
    });
    const { socket, heard } = await dial();
    const post = (padding: number, chunked: boolean) => {
      const body = `{"name":"a"}${" ".repeat(padding)}`;
      const head = `POST /v1/namespaces HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer ${GOOD}\r\nContent-Type: application/json\r\n`;
      return chunked
        ? `${head}Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`
        : `${head}Content-Length: ${String(body.length)}\r\n\r\n${body}`;
    };
    const paddings = [0, 1, 50, 100, 200, 243, 244, 245, 500, 512, 513, 5_000, 200_000, 3];
    const all = paddings.flatMap((padding) => [post(padding, false), post(padding, true)]).join("");
    for (let at = 0; at < all.length; at += 9_973) socket.write(all.slice(at, at + 9_973));
    await expect.poll(() => answersIn(heard()).length, { timeout: 60_000 }).toBe(2 * paddings.length);
    expect(new Set(answersIn(heard()))).toEqual(new Set(["HTTP/1.1 201"]));
    expect(heardOf).toEqual(Array.from({ length: 2 * paddings.length }, () => 1));
  });

  test("one request is at work at a time", async () => {
    const release: (() => void)[] = [];
    const handlers: Partial<Handlers> = {
      "user.list": async ({ call }) => {
        enter(call, "member.manage");
        await new Promise<void>((resolve) => release.push(resolve));
        return { items: [], next: null };
      },
    };
    await open({ handlers });
    const { socket, heard } = await dial();
    socket.write(`${USERS}\r\n${USERS}\r\n`);
    await expect.poll(() => release.length).toBe(1);
    expect((await vault.send("GET", "/healthz", { credential: null })).status).toBe(200);
    expect(release.length).toBe(1);
    release[0]?.();
    await expect.poll(() => release.length).toBe(2);
    expect(answersIn(heard())).toEqual(["HTTP/1.1 200"]);
    release[1]?.();
    await expect.poll(() => answersIn(heard())).toEqual(["HTTP/1.1 200", "HTTP/1.1 200"]);
  });

  test.each([
    ["another request", HEALTH],
    ["no request", "not HTTP\r\n\r\n"],
  ])("what follows the last request, as it says itself, is not begun: %s", async (_name, after) => {
    await open();
    const { socket, heard, closed } = await dial();
    socket.write(`${USERS}Connection: close\r\n\r\n${after}`);
    await closed;
    expect(answersIn(heard())).toEqual(["HTTP/1.1 200"]);
    expect(vault.lines.filter(({ message }) => message === "request")).toHaveLength(1);
  });

  test("a good request is answered although what follows it is none", async () => {
    await open();
    const { socket, heard, closed } = await dial();
    socket.write(`${USERS}\r\n${USERS}\r\nnot HTTP\r\n\r\n`);
    await closed;
    expect(answersIn(heard())).toEqual(["HTTP/1.1 200", "HTTP/1.1 200"]);
  });

  test("nothing is begun behind a request that could not be read", async () => {
    await open();
    const { socket, heard, closed } = await dial();
    socket.write(`GET /v1//users HTTP/1.1\r\nHost: vault\r\n\r\n${USERS}\r\n`);
    await closed;
    expect(answersIn(heard())).toEqual(["HTTP/1.1 400"]);
    expect(vault.settled).toEqual([]);
  });
});

describe("Who asks for more than its rate", () => {
  const limits = { requests: { count: 2, seconds: 60 } };

  test("is read on only after a moment each time, and none of it is lost", async () => {
    await open({ doors: { limits } });
    const { socket, heard } = await dial();
    const began = performance.now();
    socket.write(`${USERS}\r\n`.repeat(6));
    await expect.poll(() => answersIn(heard()).length, { timeout: 60_000 }).toBe(6);
    expect(answersIn(heard()).map((answer) => answer.slice(-3))).toEqual(["200", "200", "429", "429", "429", "429"]);
    // Three times it was waited behind a refusal, a quarter of a second each.
    expect(performance.now() - began).toBeGreaterThan(700);
  });

  test("is still told that the process lives", async () => {
    await open({ doors: { limits } });
    for (let n = 0; n < 3; n++) await vault.send("GET", "/v1/users");
    expect((await vault.send("GET", "/v1/users")).status).toBe(429);
    for (const path of ["/healthz", "/readyz", "/healthz"])
      expect((await vault.send("GET", path, { credential: null })).status, path).toBe(200);
    for (const path of ["/healthz?x", "/healthz/", "/metrics", "/v1/openapi.json"])
      expect((await vault.send("GET", path, { credential: null })).status, path).toBe(429);
  });
});

describe("A client that takes its time", () => {
  test("with its answers is cut off, and what it held is let go", async () => {
    const bytes = Buffer.alloc(1024 * 1024, "x");
    await open({
      handlers: { "openapi.get": async () => Reply.bytes(bytes, "application/json") },
      listen: { connections: { most: 100, mostOfSource: 100, slowestReader: { bytes: 16 * 1024, ms: 300 } } },
    });
    const { socket, isClosed } = await dial();
    socket.pause();
    socket.write("GET /v1/openapi.json HTTP/1.1\r\nHost: vault\r\n\r\n".repeat(17));
    const began = () => vault.lines.filter(({ operation }) => operation === "openapi.get").length;
    // Paused, it hears of no end; the server does.
    await expect.poll(() => vault.lines.some(({ aborted }) => aborted === true), { timeout: 60_000 }).toBe(true);
    expect(began()).toBeLessThan(17);
    socket.resume();
    await expect.poll(isClosed, { timeout: 60_000 }).toBe(true);
  });

  test("with its headers, a byte at a time, is told so", async () => {
    await open({ listen: { timeoutsMs: { headers: 400, request: 800, keepAlive: 1_000, check: 50 } } });
    const { socket, heard, closed } = await dial();
    const trickle = setInterval(() => socket.writable && socket.write("x"), 20);
    socket.write("GET /healthz HTTP/1.1\r\nX-Slow: ");
    await closed;
    clearInterval(trickle);
    expect(heard()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("with its body, a byte at a time, is told so", async () => {
    await open({ listen: { timeoutsMs: { headers: 400, request: 800, keepAlive: 1_000, check: 50 } } });
    const { socket, heard, closed } = await dial();
    socket.write(
      `POST /v1/grants HTTP/1.1\r\nHost: vault\r\nAuthorization: Bearer ${GOOD}\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n`,
    );
    const trickle = setInterval(() => socket.writable && socket.write(" "), 20);
    await closed;
    clearInterval(trickle);
    expect(heard()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("and says nothing at all is closed", async () => {
    await open({ listen: { timeoutsMs: { headers: 400, request: 800, keepAlive: 1_000, check: 50 } } });
    const { closed } = await dial();
    await closed;
  });
});

describe("When there are as many connections as may be", () => {
  const listen = { connections: { most: 3, mostOfSource: 3, slowestReader: { bytes: 1, ms: 60_000 } } };

  test("the one that was idle for longest makes room for a new one", async () => {
    await open({ listen });
    const [first, second, third] = [await dial(), await dial(), await dial()];
    // It was served, so it has been idle for the shortest time.
    first.socket.write(HEALTH);
    await expect.poll(() => answersIn(first.heard())).toHaveLength(1);
    const fourth = await dial();
    fourth.socket.write(HEALTH);
    await second.closed;
    await expect.poll(() => answersIn(fourth.heard())).toEqual(["HTTP/1.1 200"]);
    expect([first.isClosed(), third.isClosed()]).toEqual([false, false]);
  });

  test("none is closed whose request is at work", async () => {
    let release = () => {};
    const gate = new Promise<void>((resolve) => (release = resolve));
    let begun = 0;
    await open({
      listen,
      handlers: {
        "user.list": async ({ call }) => {
          enter(call, "member.manage");
          begun++;
          await gate;
          return { items: [], next: null };
        },
      },
    });
    const busy = [await dial(), await dial(), await dial()];
    for (const { socket } of busy) socket.write(`${USERS}\r\n`);
    await expect.poll(() => begun).toBe(3);
    const refused = await dial();
    await refused.closed;
    release();
    for (const one of busy) await expect.poll(() => answersIn(one.heard())).toEqual(["HTTP/1.1 200"]);
  });
});

describe("When one source has as many connections as it may", () => {
  const listen = { connections: { most: 100, mostOfSource: 2, slowestReader: { bytes: 1, ms: 60_000 } } };

  test("it makes room among its own, and nobody else is closed", async () => {
    await open({ listen });
    const other = await dial("127.0.0.2");
    const [first, second] = [await dial(), await dial()];
    const third = await dial();
    await first.closed;
    third.socket.write(HEALTH);
    other.socket.write(HEALTH);
    await expect.poll(() => [answersIn(third.heard()), answersIn(other.heard())]).toEqual([[OK], [OK]]);
    expect([second.isClosed(), other.isClosed()]).toEqual([false, false]);
    // What was closed counts no longer.
    third.socket.destroy();
    second.socket.write(HEALTH);
    await expect.poll(() => answersIn(second.heard())).toEqual([OK]);
    await expect.poll(async () => answersOf(await dial())).toEqual([OK]);
    expect(second.isClosed()).toBe(false);
  });

  test("a trusted proxy has no bound of its own, since many are behind it", async () => {
    const trustedProxies = new BlockList();
    trustedProxies.addAddress("127.0.0.2");
    await open({ listen, doors: { trustedProxies } });
    const passed = [await dial("127.0.0.2"), await dial("127.0.0.2"), await dial("127.0.0.2"), await dial("127.0.0.2")];
    for (const { socket } of passed) socket.write(HEALTH);
    for (const { heard } of passed) await expect.poll(() => answersIn(heard())).toEqual([OK]);
    expect(passed.map(({ isClosed }) => isClosed())).toEqual([false, false, false, false]);
  });

  const OK = "HTTP/1.1 200";
  async function answersOf({ socket, heard }: Awaited<ReturnType<typeof dial>>): Promise<string[]> {
    socket.write(HEALTH);
    await expect.poll(() => answersIn(heard())).toHaveLength(1);
    return answersIn(heard());
  }
});
