import { SECOND } from "#base";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * Requests of one connection that wait for the answer before theirs. Node keeps several kB of each until the connection
 * closes, so whoever sends more of them at once is closed and not served slowly.
 */
const MOST_WAITING = 16;
const WATCH_EVERY_MS = 2 * SECOND;

export interface ConnectionSettings {
  /** Open at a time. When there is one more, the one that has been idle for longest is closed. */
  readonly most: number;
  /** Who takes less than `bytes` of an answer in `ms` is cut off. */
  readonly slowestReader: { readonly bytes: number; readonly ms: number };
}

export const CONNECTIONS: ConnectionSettings = {
  most: 4_000,
  slowestReader: { bytes: 16 * 1024, ms: 20 * SECOND },
};

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

interface Turn {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Line {
  /** The request at work; its answer is the next on the wire. */
  turn: Turn | null;
  readonly waiting: Turn[];
  /** No more requests are taken here. */
  ending: boolean;
  /** How much was handed to the system when the reader was last looked at, and when that was. */
  taken: number;
  lookedAt: number;
}

/**
 * The connections of one door. Each has one request at work at a time: pipelined ones wait in line, so that a client that
 * sends many and reads nothing makes the server keep one answer and no more. Whatever follows an answer that closes its
 * connection is not begun: the bytes behind a request that could not be read may be somebody else's.
 */
export class Connections {
  readonly #settings: ConnectionSettings;
  readonly #lines = new Map<Socket, Line>();
  /** Those without a request at work, the longest idle first. */
  readonly #idle = new Set<Socket>();
  readonly #watch: NodeJS.Timeout;
  #draining = false;

  constructor(settings: ConnectionSettings = CONNECTIONS) {
    this.#settings = settings;
    const every = Math.min(WATCH_EVERY_MS, settings.slowestReader.ms);
    this.#watch = setInterval(() => this.#cutStalled(performance.now()), every).unref();
  }

  add(socket: Socket): void {
    this.#lines.set(socket, { turn: null, waiting: [], ending: false, taken: 0, lookedAt: 0 });
    this.#idle.add(socket);
    socket.once("close", () => {
      this.#lines.delete(socket);
      this.#idle.delete(socket);
    });
    if (this.#lines.size <= this.#settings.most) return;
    // Half-open connections by the thousand close each other; one that asks for something at once is answered before.
    const [longest = socket] = this.#idle;
    this.#lines.delete(longest);
    this.#idle.delete(longest);
    longest.destroy();
  }

  /** Hands a request on when all before it on its connection are answered. */
  take(request: IncomingMessage, response: ServerResponse, handle: Handle): void {
    const line = this.#lines.get(request.socket);
    if (line === undefined || line.ending) return;
    if (line.turn === null) {
      this.#begin(request.socket, line, { request, response }, handle);
      return;
    }
    if (line.waiting.length < MOST_WAITING) {
      line.waiting.push({ request, response });
      return;
    }
    line.ending = true;
    line.waiting.length = 0;
    request.socket.destroy();
  }

  /**
   * What to do about bytes that are no request: `answer` them now; `wait`, because a good request before them is at work,
   * whose answer then is the last of the connection; or `cut` it, because an answer to the same request is half written.
   */
  broken(socket: Socket): "answer" | "wait" | "cut" {
    const line = this.#lines.get(socket);
    if (line === undefined) return "cut";
    const { turn, waiting } = line;
    if (!turn?.request.complete) {
      line.ending = true;
      return turn?.response.headersSent === true ? "cut" : "answer";
    }
    if (waiting.at(-1)?.request.complete === false) waiting.pop();
    endAfterLast(line);
    return "wait";
  }

  /** Each answer is the last of its connection from now on. */
  drain(): void {
    this.#draining = true;
    for (const { turn } of this.#lines.values()) if (turn !== null) turn.response.shouldKeepAlive = false;
  }

  /** Lets go of connections that have said nothing yet: node counts them as busy. */
  endSilent(): void {
    for (const socket of this.#idle) if (socket.bytesRead === 0) socket.destroy();
  }

  /** Whether nobody waits for an answer. */
  get allAnswered(): boolean {
    return [...this.#lines.values()].every(({ turn }) => turn === null);
  }

  close(): void {
    clearInterval(this.#watch);
  }

  #begin(socket: Socket, line: Line, turn: Turn, handle: Handle): void {
    line.turn = turn;
    this.#idle.delete(socket);
    const { response } = turn;
    if (this.#draining) response.shouldKeepAlive = false;
    response.once("close", () => {
      line.turn = null;
      const next = response.shouldKeepAlive ? line.waiting.shift() : undefined;
      if (socket.destroyed) return;
      if (next !== undefined) this.#begin(socket, line, next, handle);
      else if (line.ending || !response.shouldKeepAlive) {
        line.ending = true;
        socket.destroySoon();
      } else this.#idle.add(socket);
    });
    handle(turn.request, response);
  }

  /** An answer that is not taken keeps its bytes in memory: a reader has a least pace. */
  #cutStalled(now: number): void {
    const { bytes, ms } = this.#settings.slowestReader;
    for (const [socket, line] of this.#lines) {
      if (socket.writableLength === 0) {
        line.lookedAt = 0;
        continue;
      }
      const taken = socket.bytesWritten - socket.writableLength;
      if (line.lookedAt === 0) [line.lookedAt, line.taken] = [now, taken];
      else if (now - line.lookedAt >= ms) {
        if (taken - line.taken < bytes) socket.destroy();
        [line.lookedAt, line.taken] = [now, taken];
      }
    }
  }
}

/** Takes no more requests of this connection, and answers those that are here. */
function endAfterLast(line: Line): void {
  line.ending = true;
  const last = line.waiting.at(-1) ?? line.turn;
  if (last?.response.headersSent === false) last.response.shouldKeepAlive = false;
}
