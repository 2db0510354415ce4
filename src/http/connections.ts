import { SECOND, sourceOf } from "#base";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { FairQueue } from "./fair-queue.ts";
import { Intake } from "./intake.ts";
import type { Appetite } from "./intake.ts";

/** Requests of one connection that wait for the answer before theirs. More than these do not begin in what is read at a time. */
const MOST_WAITING = 16;
/** How long, in ms, a connection waits for its next request to be begun after one was too many. */
const HOLD_MS = 250;
const TOO_MANY = 429;
const WATCH_EVERY_MS = 2 * SECOND;

export interface ConnectionSettings {
  /** Open at a time. When there is one more, the one that has been idle for longest is closed. */
  readonly most: number;
  /** The same, of one source, among its own. */
  readonly mostOfSource: number;
  /** Who takes less than `bytes` of an answer in `ms` is cut off. */
  readonly slowestReader: { readonly bytes: number; readonly ms: number };
}

export const CONNECTIONS: ConnectionSettings = {
  most: 4_000,
  mostOfSource: 1_000,
  slowestReader: { bytes: 16 * 1024, ms: 20 * SECOND },
};

type Handle = (request: IncomingMessage, response: ServerResponse) => void;

interface Turn {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

interface Line {
  /** `null`: a proxy that speaks for many, or the machine's own socket. It is bounded by what all have together. */
  readonly source: string | null;
  intake: Intake | null;
  /** The request at work; its answer is the next on the wire. */
  turn: Turn | null;
  readonly waiting: Turn[];
  /** No more requests are taken here. */
  ending: boolean;
  /** The next request is begun after a moment. */
  resting: boolean;
  /** What is parsed now came with a request before it. */
  isReadOn: boolean;
  /** How much was handed to the system when the reader was last looked at, and when that was. */
  taken: number;
  lookedAt: number;
}

/**
 * The connections of one door. Each has one request at work at a time: pipelined ones wait in line, so that a client that
 * sends many and reads nothing makes the server keep one answer and no more. Of all that wait, the sources take turns.
 * Whatever follows an answer that closes its connection is not begun: the bytes behind a request that could not be read
 * may be somebody else's.
 */
export class Connections {
  readonly #settings: ConnectionSettings;
  readonly #lines = new Map<Socket, Line>();
  /** Those without a request at work, the longest idle first. */
  readonly #idle = new Set<Socket>();
  /** How many each source has. */
  readonly #sources = new Map<string, number>();
  readonly #queue = new FairQueue();
  readonly #isShared: (address: string) => boolean;
  readonly #watch: NodeJS.Timeout;
  #draining = false;

  /** `isShared`: many may be behind this address, which has no bound of its own. */
  constructor(settings: ConnectionSettings = CONNECTIONS, isShared: (address: string) => boolean = () => false) {
    this.#settings = settings;
    this.#isShared = isShared;
    const every = Math.min(WATCH_EVERY_MS, settings.slowestReader.ms);
    this.#watch = setInterval(() => this.#cutStalled(performance.now()), every).unref();
  }

  add(socket: Socket): void {
    const address = socket.remoteAddress ?? "";
    const source = this.#isShared(address) ? null : sourceOf(address);
    this.#lines.set(socket, {
      source,
      intake: null,
      turn: null,
      waiting: [],
      ending: false,
      resting: false,
      isReadOn: false,
      taken: 0,
      lookedAt: 0,
    });
    this.#idle.add(socket);
    if (source !== null) this.#sources.set(source, this.#of(source) + 1);
    socket.once("close", () => this.#forget(socket));
    // Half-open connections by the thousand close each other; one that asks for something at once is answered before.
    const { most, mostOfSource } = this.#settings;
    if (source !== null && this.#of(source) > mostOfSource)
      this.#drop(find(this.#idle, (idle) => this.#lines.get(idle)?.source === source) ?? socket);
    if (this.#lines.size > most) this.#drop(find(this.#idle) ?? socket);
  }

  /** Reads this connection in the place of the server, whose listener is there by now. */
  read(socket: Socket): void {
    const line = this.#lines.get(socket);
    if (line !== undefined) line.intake = new Intake(socket, () => appetiteOf(line));
  }

  /** Hands a request on when all before it on its connection are answered. */
  take(request: IncomingMessage, response: ServerResponse, handle: Handle): void {
    const { socket } = request;
    const line = this.#lines.get(socket);
    if (line === undefined || line.ending) return;
    line.intake?.began(request);
    if (line.turn === null && line.waiting.length === 0 && !line.resting) {
      this.#begin(socket, line, { request, response }, handle, line.isReadOn ? "behind" : "first");
      return;
    }
    if (line.waiting.length < MOST_WAITING) line.waiting.push({ request, response });
    // It and what follows are not taken, and what is not parsed yet is not parsed. All before it are complete, and answered.
    else endAfterLast(line);
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

  /** Who asks one thing at a time is not behind all that others at the same address ask in one breath: they alternate. */
  #begin(socket: Socket, line: Line, turn: Turn, handle: Handle, place: "first" | "behind"): void {
    line.turn = turn;
    this.#idle.delete(socket);
    const { response } = turn;
    response.once("close", () => {
      line.turn = null;
      if (socket.destroyed) return;
      if (!response.shouldKeepAlive || (line.ending && line.waiting.length === 0)) {
        line.ending = true;
        socket.destroySoon();
      } else if (response.statusCode === TOO_MANY && !this.#draining) this.#rest(socket, line, handle);
      else this.#next(socket, line, handle);
    });
    this.#queue.add(`${line.source ?? ""} ${place}`, () => {
      // Who is gone meanwhile is not served.
      if (socket.destroyed) return;
      if (this.#draining) response.shouldKeepAlive = false;
      handle(turn.request, response);
    });
  }

  #next(socket: Socket, line: Line, handle: Handle): void {
    const next = line.waiting.shift();
    if (next !== undefined) this.#begin(socket, line, next, handle, "behind");
    else {
      this.#idle.add(socket);
      line.isReadOn = true;
      line.intake?.more();
      line.isReadOn = false;
    }
  }

  /** To refuse costs more than to ask: who asked for too much is read on after a moment. */
  #rest(socket: Socket, line: Line, handle: Handle): void {
    line.resting = true;
    setTimeout(() => {
      line.resting = false;
      if (!socket.destroyed) this.#next(socket, line, handle);
    }, HOLD_MS).unref();
  }

  #of(source: string): number {
    return this.#sources.get(source) ?? 0;
  }

  #drop(socket: Socket): void {
    this.#forget(socket);
    socket.destroy();
  }

  #forget(socket: Socket): void {
    const line = this.#lines.get(socket);
    if (line === undefined) return;
    this.#lines.delete(socket);
    this.#idle.delete(socket);
    if (line.source === null) return;
    const left = this.#of(line.source) - 1;
    if (left > 0) this.#sources.set(line.source, left);
    else this.#sources.delete(line.source);
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

/** The first of them that fits. */
function find(sockets: Iterable<Socket>, fits: (socket: Socket) => boolean = () => true): Socket | undefined {
  for (const socket of sockets) if (fits(socket)) return socket;
  return undefined;
}

/** A request's body is read while it is at work; the next request when it is answered. */
function appetiteOf({ ending, resting, turn, waiting }: Line): Appetite {
  const newest = waiting.at(-1) ?? turn;
  if (newest?.request.complete === false) return "read";
  if (ending) return "drop";
  return newest === null && !resting ? "read" : "later";
}

/** Takes no more requests of this connection, and answers those that are here. */
function endAfterLast(line: Line): void {
  line.ending = true;
  const last = line.waiting.at(-1) ?? line.turn;
  if (last?.response.headersSent === false) last.response.shouldKeepAlive = false;
}
