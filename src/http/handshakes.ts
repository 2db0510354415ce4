import { sourceOf } from "#base";
import type { Server } from "node:https";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Logger } from "./log.ts";

/** How many handshakes may be under way, in all and of one source, and how long each may take. */
export interface HandshakeLimits {
  readonly most: number;
  readonly mostOfSource: number;
  readonly timeoutMs: number;
}

export const HANDSHAKE_LIMITS: HandshakeLimits = { most: 1_000, mostOfSource: 256, timeoutMs: 10_000 };

/** The content type of a TLS handshake record (RFC 8446, section 5.1). Every client begins with one. */
const HANDSHAKE_RECORD = 22;
const REPORT_MS = 60_000;

/** From a connection to its first encrypted byte: who says nothing, too little, or plain HTTP, is closed here. */
export class Handshakes {
  readonly #limits: HandshakeLimits;
  readonly #log: Logger;
  readonly #plain: (socket: Socket) => Buffer;
  readonly #secure: (socket: Socket) => void;
  readonly #open = new Map<string, { socket: Socket; source: string; timer: NodeJS.Timeout }>();
  readonly #sources = new Map<string, number>();
  readonly #failures = new Map<string, number>();
  #reportedAt = -Infinity;

  /** `plain` gives the answer to a client that speaks HTTP where TLS is spoken. */
  constructor(server: Server, options: { limits: HandshakeLimits; log: Logger; plain: (socket: Socket) => Buffer }) {
    this.#limits = options.limits;
    this.#log = options.log;
    this.#plain = options.plain;
    // The server's own listener begins the handshake. It gets the connection when its first byte was looked at.
    const begin = server.listeners("connection") as ((this: Server, socket: Socket) => void)[];
    server.removeAllListeners("connection");
    this.#secure = (socket) => {
      for (const listener of begin) listener.call(server, socket);
    };
    server.on("connection", (socket: Socket) => this.#arrived(socket));
    server.on("secureConnection", (socket: TLSSocket) => this.#ended(keyOf(socket)));
    server.on("tlsClientError", (error: NodeJS.ErrnoException) => this.#failed(error.code ?? "unknown"));
  }

  get underWay(): number {
    return this.#open.size;
  }

  /** Closes those that are not done. */
  closeAll(): void {
    for (const { socket } of this.#open.values()) socket.destroy();
  }

  #arrived(socket: Socket): void {
    const source = sourceOf(socket.remoteAddress ?? "");
    // Who is at it for longest is the likeliest not to mean it. One that is done in time is served in the worst flood.
    if ((this.#sources.get(source) ?? 0) >= this.#limits.mostOfSource) this.#closeLongest(source);
    if (this.#open.size >= this.#limits.most) this.#closeLongest();
    const ofSource = this.#sources.get(source) ?? 0;
    const timer = setTimeout(() => {
      this.#failed("timeout");
      socket.destroy();
    }, this.#limits.timeoutMs);
    const key = keyOf(socket);
    this.#sources.set(source, ofSource + 1);
    this.#open.set(key, { socket, source, timer });
    socket.once("close", () => {
      if (this.#open.get(key)?.socket === socket) this.#ended(key);
    });
    socket.on("error", () => socket.destroy());
    socket.once("readable", () => {
      const first = socket.read() as Buffer | null;
      if (first === null) {
        socket.destroy();
      } else if (first[0] !== HANDSHAKE_RECORD) {
        this.#failed("not_tls");
        socket.end(this.#plain(socket), () => socket.destroy());
      } else {
        socket.unshift(first);
        this.#secure(socket);
      }
    });
  }

  #closeLongest(source?: string): void {
    for (const [key, one] of this.#open) {
      if (source !== undefined && one.source !== source) continue;
      this.#failed("too_many");
      this.#ended(key);
      one.socket.destroy();
      return;
    }
  }

  #ended(key: string): void {
    const found = this.#open.get(key);
    if (found === undefined) return;
    clearTimeout(found.timer);
    this.#open.delete(key);
    const left = (this.#sources.get(found.source) ?? 1) - 1;
    if (left === 0) this.#sources.delete(found.source);
    else this.#sources.set(found.source, left);
  }

  /** One line a minute at most, with how often what happened: handshakes cost their sender nothing. */
  #failed(code: string): void {
    this.#failures.set(code, (this.#failures.get(code) ?? 0) + 1);
    const now = performance.now();
    if (now - this.#reportedAt < REPORT_MS) return;
    this.#reportedAt = now;
    this.#log.warn(
      { event: "tls_handshakes_failed", failures: Object.fromEntries(this.#failures) },
      "TLS handshakes failed",
    );
    this.#failures.clear();
  }
}

/** A raw connection and the encrypted one over it have the same addresses, and no two open ones of a machine do. */
function keyOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${String(remoteAddress)} ${String(remotePort)} ${String(localAddress)}`;
}
