import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/** The shortest request has 18 bytes: one bite begins no more than 14. */
const BITE_BYTES = 256;

/**
 * What a connection does with its bytes: `read` them now; leave them for `later`, behind the request that is at work; or
 * `drop` them, because nothing more is taken here.
 */
export type Appetite = "read" | "later" | "drop";

/**
 * Gives the bytes of one connection to Node's parser in bites, and the next bite when what came before is answered. Node
 * by itself parses all that one read brought, up to 64 KiB or 3,600 requests, before anything else of the process has its
 * turn, and does not stop when the connection is closed under it. What waits stays with the client, but for one read. Of a
 * body whose length is known all but the end is one bite.
 */
export class Intake {
  readonly #socket: Socket;
  readonly #appetite: () => Appetite;
  readonly #parse: (bytes: Buffer) => void;
  #held: Buffer | null = null;
  /** By Node, because the client does not take its answers; it resumes the connection, and its parser takes nothing before. */
  #isStopped = false;
  /** Of the newest request's body; what is still to come of it is at most one bite less. */
  #bodyBytes = 0;

  /** Takes the place of the listener by which the server reads; where there is none to take, the server reads by itself. */
  constructor(socket: Socket, appetite: () => Appetite) {
    this.#socket = socket;
    this.#appetite = appetite;
    const [parse] = socket.listeners("data") as ((bytes: Buffer) => void)[];
    this.#parse = (bytes) => {
      try {
        parse?.call(socket, bytes);
      } catch {
        // Node's parser throws when it is given bytes that it does not expect: this connection ends, and not the process.
        socket.destroy();
      }
    };
    if (parse === undefined) return;
    socket.on("data", (bytes: Buffer) => {
      this.#take(bytes);
    });
    socket.removeListener("data", parse);
    socket.on("resume", () => {
      // The word may come late, when it was stopped again.
      if (socket.isPaused()) return;
      this.#isStopped = false;
      this.more();
    });
  }

  /** A request has begun, whose body is to come. */
  began({ headers }: IncomingMessage): void {
    this.#bodyBytes = Number(headers["content-length"] ?? 0);
  }

  /** Reads on, after something was answered. */
  more(): void {
    const held = this.#held;
    if (held === null || this.#isStopped || this.#appetite() === "later") return;
    this.#held = null;
    // First, so that where it is stopped after a bite it was stopped by Node.
    this.#socket.resume();
    this.#take(held);
  }

  #take(bytes: Buffer): void {
    let rest = this.#held === null ? bytes : Buffer.concat([this.#held, bytes]);
    this.#held = null;
    while (rest.length > 0) {
      const appetite = this.#appetite();
      if (appetite === "drop" || this.#socket.destroyed) return;
      this.#isStopped ||= this.#socket.isPaused() || isStoppedByNode(this.#socket);
      if (appetite === "later" || this.#isStopped) {
        this.#held = rest;
        this.#socket.pause();
        return;
      }
      const size = Math.max(BITE_BYTES, this.#bodyBytes - BITE_BYTES);
      const bite = rest.subarray(0, size);
      rest = rest.subarray(size);
      this.#bodyBytes = Math.max(0, this.#bodyBytes - bite.length);
      this.#parse(bite);
    }
  }
}

/** Node's own note of it: its parser ends the process when it is given bytes all the same. */
function isStoppedByNode(socket: Socket): boolean {
  return Reflect.get(socket, "_paused") === true;
}
