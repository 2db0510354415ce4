import { VaultError } from "#base";
import type { ErrorCode } from "#base";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerOptions, ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Server as SecureServer } from "node:https";
import { Server as NetServer, Socket, isIP } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { HttpApp } from "./app.ts";
import { Connections } from "./connections.ts";
import type { ConnectionSettings } from "./connections.ts";
import { HANDSHAKE_LIMITS, Handshakes } from "./handshakes.ts";
import type { HandshakeLimits } from "./handshakes.ts";
import type { Logger } from "./log.ts";
import type { Tls } from "./tls.ts";

export interface DoorOptions {
  readonly app: HttpApp;
  /** TLS on TCP. */
  readonly tls?: Tls | null;
  readonly handshakes?: HandshakeLimits;
  readonly timeoutsMs?: Timeouts;
  readonly connections?: ConnectionSettings;
  readonly log: Logger;
}

/** How long a client may take, in ms: for its headers, for a whole request, between two; and how often that is checked. */
export interface Timeouts {
  readonly headers: number;
  readonly request: number;
  readonly keepAlive: number;
  readonly check: number;
}

/**
 * How a server stops. From the first moment each answer closes its connection. It goes on taking connections for `delayMs`,
 * in which balancers turn away; then takes what the kernel still holds and stops listening. A connection on which nothing
 * is asked may ask for `lingerMs` more: its request may be on the way. After `graceMs` in all what is left is closed.
 */
export interface Drain {
  readonly delayMs?: number;
  readonly lingerMs?: number;
}

const LINGER_MS = 1_000;
const TIMEOUTS_MS: Timeouts = { headers: 10_000, request: 30_000, keepAlive: 60_000, check: 2_000 };
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_REQUESTS_PER_SOCKET = 10_000;

/** One listening server with its connections. */
export class Door {
  readonly server: Server;
  readonly #app: HttpApp;
  readonly #machine: boolean;
  readonly #connections: Connections;
  readonly #handshakes: Handshakes | null;
  #lingered = false;

  constructor(options: DoorOptions, machine: boolean) {
    const { timeoutsMs: timeouts = TIMEOUTS_MS } = options;
    const tls = machine ? null : (options.tls ?? null);
    this.#app = options.app;
    this.#machine = machine;
    const { app } = options;
    this.#connections = new Connections(options.connections, (address) => machine || app.isProxy(address));
    const settings: ServerOptions = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: timeouts.headers,
      requestTimeout: timeouts.request,
      keepAliveTimeout: timeouts.keepAlive,
      connectionsCheckingInterval: timeouts.check,
      // Refused by the app with a problem that says so; node would answer without a body.
      requireHostHeader: false,
    };
    if (tls === null) {
      this.server = createServer(settings);
      this.#handshakes = null;
      this.server.on("connection", (socket: Socket) => {
        this.#connections.add(socket);
        this.#connections.read(socket);
      });
    } else {
      const server = createSecureServer({ ...settings, ...tls.options });
      this.server = server;
      this.#handshakes = this.#secure(server, tls, options);
    }
    this.server.maxHeadersCount = 0;
    this.server.maxRequestsPerSocket = MAX_REQUESTS_PER_SOCKET;
    const take = (request: IncomingMessage, response: ServerResponse) => this.#take(request, response);
    this.server.on("request", take).on("checkContinue", take).on("checkExpectation", take);
    this.server.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#refuse(codeOf(error), socket));
    this.server.on("connect", (_request, socket: Duplex) => this.#refuse("method_not_allowed", socket));
  }

  /** @throws {VaultError} as `listen`. */
  async open(bind: (server: Server) => unknown): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const failed = (error: NodeJS.ErrnoException) => reject(bindError(error));
      this.server.once("error", failed).once("listening", () => {
        this.server.off("error", failed);
        resolve();
      });
      bind(this.server);
    });
  }

  async drain(graceMs: number, { delayMs = 0, lingerMs = LINGER_MS }: Drain = {}): Promise<boolean> {
    const end = performance.now() + delayMs + graceMs;
    this.#connections.drain();
    let answered = true;
    if (delayMs > 0) await pause(delayMs);
    if (this.server.listening && graceMs > 0) await quiet();
    // Not http's own close, which ends idle connections at once: a request may be on its way on one.
    const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(this.server, () => resolve()));
    const linger = setTimeout(() => this.#endIdle(), Math.min(lingerMs, graceMs));
    const grace = setTimeout(
      () => {
        answered = this.#connections.allAnswered;
        this.#handshakes?.closeAll();
        this.server.closeAllConnections();
      },
      Math.max(0, end - performance.now()),
    );
    await closed;
    clearTimeout(linger);
    clearTimeout(grace);
    // Ends the check of timeouts, too.
    this.server.close();
    this.#connections.close();
    return answered;
  }

  /** Connections on which nothing was asked, or nothing more. */
  #endIdle(): void {
    this.#lingered = true;
    this.#handshakes?.closeAll();
    this.#connections.endSilent();
    this.server.closeIdleConnections();
  }

  #secure(server: SecureServer, tls: Tls, { handshakes = HANDSHAKE_LIMITS, log, app }: DoorOptions): Handshakes {
    tls.onChange((context) => {
      server.setSecureContext(context);
    });
    server.prependListener("secureConnection", (socket: TLSSocket) => {
      this.#connections.add(socket);
      // Whoever need not show a certificate, and shows one, shows a good one.
      if (tls.asksClients && !socket.authorized && socket.getPeerX509Certificate() !== undefined) socket.destroy();
    });
    server.on("secureConnection", (socket: TLSSocket) => this.#connections.read(socket));
    return new Handshakes(server, {
      limits: handshakes,
      log,
      plain: ({ remoteAddress }) => app.malformed("tls_required", remoteAddress, false),
    });
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    this.#connections.take(request, response, (begun, answer) => {
      answer.once("close", () => {
        // Its headers may have left before the drain began, and said that the connection stays.
        if (this.#lingered) this.server.closeIdleConnections();
      });
      this.#app.handle(begun, answer, this.#machine);
    });
  }

  /** Answers what is not a request, unless an answer is on its way on this connection: the two would mix. */
  #refuse(code: ErrorCode | null, socket: Duplex): void {
    if (code === null || !(socket instanceof Socket) || !socket.writable) {
      socket.destroy();
      return;
    }
    // A handshake that failed is of no known connection, and is cut: there is nobody to speak to in HTTP.
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

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const QUIET_TURN_MS = 2;
const MOST_TURNS = 50;

/**
 * Waits until the event loop has taken every connection that the kernel held, and has just done so: those that come
 * between that and the close are reset by the kernel, so a turn without other work is waited for.
 */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < MOST_TURNS; turn += 1) {
    const began = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    if (turn > 0 && performance.now() - began < QUIET_TURN_MS) return;
  }
}

function bindError(cause: NodeJS.ErrnoException & { address?: string; port?: number }): VaultError {
  if (cause.code === "EADDRINUSE") {
    const { address = "", port } = cause;
    const host = isIP(address) === 6 ? `[${address}]` : address;
    // A socket in the file system has no port.
    const place = port === undefined || port < 0 ? address : `${host}:${String(port)}`;
    return new VaultError("address_in_use", place === "" ? undefined : `${place} is taken by another process`, {
      cause,
    });
  }
  return new VaultError("config_invalid", undefined, {
    cause,
    detail: { faults: [{ field: "listen", message: "this address cannot be listened on" }] },
  });
}
