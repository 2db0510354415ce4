import { connect } from "node:net";
import type { Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Reply } from "#http";
import type { Handlers } from "#http";
import { GOOD, enter, start } from "./fixture.ts";
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
async function dial(): Promise<{
  socket: Socket;
  heard: () => string;
  closed: Promise<void>;
  isClosed: () => boolean;
}> {
  const socket = connect(vault.servers.port, vault.servers.host);
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

  test("a thousand pipelined requests are too many: it closes, and what had no place is not begun", async () => {
    await open();
    const { socket, heard, closed } = await dial();
    socket.write(HEALTH.repeat(1_000));
    await closed;
    expect(answersIn(heard()).length).toBeLessThanOrEqual(17);
    expect(vault.lines.length).toBeLessThanOrEqual(17);
    expect((await vault.send("GET", "/healthz", { credential: null })).status).toBe(200);
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

describe("A client that takes its time", () => {
  test("with its answers is cut off, and what it held is let go", async () => {
    const bytes = Buffer.alloc(1024 * 1024, "x");
    await open({
      handlers: { "openapi.get": async () => Reply.bytes(bytes, "application/json") },
      listen: { connections: { most: 100, slowestReader: { bytes: 16 * 1024, ms: 300 } } },
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
  const listen = { connections: { most: 3, slowestReader: { bytes: 1, ms: 60_000 } } };

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
