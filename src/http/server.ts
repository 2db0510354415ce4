import { VaultError, isLoopback } from "#base";
import type { ErrorCode } from "#base";
import { lstat, unlink } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { Socket, connect, isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { HttpApp } from "./app.ts";
import { Connections } from "./connections.ts";
import type { ConnectionSettings } from "./connections.ts";

export interface ListenOptions {
  readonly app: HttpApp;
  /** An address, or `localhost`. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Where the machine's own socket is made, mode 0600. */
  readonly socketPath?: string;
  /** Plain HTTP beyond loopback: behind a proxy that speaks TLS. */
  readonly insecurePlainHttp?: boolean;
  readonly timeoutsMs?: Timeouts;
  readonly connections?: ConnectionSettings;
}

/** How long a client may take, in ms: for its headers, for a whole request, between two; and how often that is checked. */
export interface Timeouts {
  readonly headers: number;
  readonly request: number;
  readonly keepAlive: number;
  readonly check: number;
}

export interface HttpServers {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly socketPath: string | null;
  /**
   * Takes no new connection, closes idle ones at once and the others after the answer they wait for; after `graceMs`
   * closes what is left. True when everything was answered.
   */
  drain(graceMs: number): Promise<boolean>;
}

const TIMEOUTS_MS: Timeouts = { headers: 10_000, request: 30_000, keepAlive: 60_000, check: 2_000 };
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_REQUESTS_PER_SOCKET = 10_000;
/** What the address of a Unix socket holds on every platform, in bytes. */
const MAX_SOCKET_PATH = 103;

/**
 * Opens the doors: TCP, and the machine's own socket.
 *
 * @throws {VaultError} `address_in_use`; `config_invalid` for an address that cannot be listened on, or that plain HTTP
 * may not be spoken on.
 */
export async function listen(options: ListenOptions): Promise<HttpServers> {
  const { app, socketPath, timeoutsMs: timeouts = TIMEOUTS_MS } = options;
  const host = options.host === "localhost" ? "127.0.0.1" : options.host;
  if (!isLoopback(host) && options.insecurePlainHttp !== true) {
    throw invalid("listen", "plain HTTP only on a loopback address: put a proxy that speaks TLS in front and say so");
  }
  const tcp = new Door(app, false, timeouts, options.connections);
  const doors = [tcp];
  await tcp.open(() => tcp.server.listen({ host, port: options.port }));
  try {
    if (socketPath !== undefined) {
      const machine = new Door(app, true, timeouts, options.connections);
      await openSocket(machine, socketPath);
      doors.push(machine);
    }
  } catch (error) {
    await tcp.drain(0);
    throw error;
  }
  const address = tcp.server.address();
  const port = typeof address === "object" && address !== null ? address.port : options.port;
  return {
    host,
    port,
    url: `http://${isIP(host) === 6 ? `[${host}]` : host}:${String(port)}`,
    socketPath: socketPath ?? null,
    drain: async (graceMs) => (await Promise.all(doors.map((door) => door.drain(graceMs)))).every(Boolean),
  };
}

/** One listening server with its connections. */
class Door {
  readonly server: Server;
  readonly #app: HttpApp;
  readonly #machine: boolean;
  readonly #connections: Connections;
  #draining = false;

  constructor(app: HttpApp, machine: boolean, timeouts: Timeouts, connections?: ConnectionSettings) {
    this.#app = app;
    this.#machine = machine;
    this.#connections = new Connections(connections);
    // The one place where TLS fits: an https server takes the same options and events.
    this.server = createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: timeouts.headers,
      requestTimeout: timeouts.request,
      keepAliveTimeout: timeouts.keepAlive,
      connectionsCheckingInterval: timeouts.check,
      // Refused by the app with a problem that says so; node would answer without a body.
      requireHostHeader: false,
    });
    this.server.maxHeadersCount = 0;
    this.server.maxRequestsPerSocket = MAX_REQUESTS_PER_SOCKET;
    const take = (request: IncomingMessage, response: ServerResponse) => this.#take(request, response);
    this.server.on("request", take).on("checkContinue", take).on("checkExpectation", take);
    this.server.on("connection", (socket: Socket) => this.#connections.add(socket));
    this.server.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#refuse(codeOf(error), socket));
    this.server.on("connect", (_request, socket: Duplex) => this.#refuse("method_not_allowed", socket));
  }

  /** @throws {VaultError} as `listen`. */
  async open(bind: () => unknown): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => reject(bindError(error));
      this.server.once("error", failed).once("listening", () => {
        this.server.off("error", failed);
        resolve();
      });
      bind();
    });
  }

  async drain(graceMs: number): Promise<boolean> {
    this.#draining = true;
    let answered = true;
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.#connections.drain();
    this.server.closeIdleConnections();
    const grace = setTimeout(() => {
      answered = this.#connections.allAnswered;
      this.server.closeAllConnections();
    }, graceMs);
    await closed;
    clearTimeout(grace);
    this.#connections.close();
    return answered;
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    response.once("close", () => {
      if (this.#draining) this.server.closeIdleConnections();
    });
    this.#connections.take(request, response, (...turn) => this.#app.handle(...turn, this.#machine));
  }

  /** Answers what is not a request, unless an answer is on its way on this connection: the two would mix. */
  #refuse(code: ErrorCode | null, socket: Duplex): void {
    if (code === null || !(socket instanceof Socket) || !socket.writable) {
      socket.destroy();
      return;
    }
    const act = this.#connections.broken(socket);
    if (act === "cut") socket.destroy();
    if (act !== "answer") return;
    socket.end(this.#app.malformed(code, socket.remoteAddress, this.#machine), () => socket.destroy());
  }
}

/** `null` for a client that is gone. */
function codeOf({ code }: NodeJS.ErrnoException): ErrorCode | null {
  if (code === "ECONNRESET" || code === "EPIPE") return null;
  if (code === "HPE_HEADER_OVERFLOW") return "headers_too_large";
  return code === "ERR_HTTP_REQUEST_TIMEOUT" ? "timeout" : "bad_request";
}

/**
 * The socket is born with mode 0600: with a chmod after the bind instead of a mask there would be a moment in which anybody could connect.
 * Node binds a path before `listen` returns, so the mask is changed for no other file of this thread.
 * A socket file that nothing answers on was left by a process that died, and is removed.
 */
async function openSocket(door: Door, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH)
    throw invalid("data", "the folder's path is too long for a socket in it");
  await removeStale(path);
  await door.open(() => {
    const mask = process.umask(0o177);
    try {
      door.server.listen({ path });
    } finally {
      process.umask(mask);
    }
  });
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket()) throw new VaultError("address_in_use", "another file stands where the socket should be");
  const answers = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
  if (answers) throw new VaultError("address_in_use");
  await unlink(path);
}

function bindError(cause: NodeJS.ErrnoException): VaultError {
  if (cause.code === "EADDRINUSE") return new VaultError("address_in_use", undefined, { cause });
  return new VaultError("config_invalid", undefined, {
    cause,
    detail: { faults: [{ field: "listen", message: "this address cannot be listened on" }] },
  });
}

function invalid(field: string, message: string): VaultError {
  return new VaultError("config_invalid", undefined, { detail: { faults: [{ field, message }] } });
}
