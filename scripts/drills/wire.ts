import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

/** Where the connection of an exchange is cut: before its transaction's end, before COMMIT arrives, or before its answer does. */
export type Cut = "before the end" | "before COMMIT" | "after COMMIT";

/** A statement's text, by which the transaction of an exchange is known. */
const EXCHANGE = /insert into "?exchanges"?/i;
/** The program says this before a COMMIT that writes. */
const LAST_WORDS = "SET LOCAL statement_timeout = 0";

/**
 * Stands between a vault and its database server, reads what the vault says (PostgreSQL, section 54.7: a type byte, a length of
 * four bytes that counts itself, the rest; the first message has no type), and cuts a connection, or swallows all, when told to.
 */
export class Wire {
  readonly #door: Server;
  readonly #lines = new Set<Line>();
  #cut: Cut | null = null;
  #swallows: "nothing" | "everything" | "from COMMIT on" = "nothing";
  /** How long each answer of the server is held back, in ms. */
  delayMs = 0;
  cuts = 0;

  private constructor(door: Server) {
    this.#door = door;
  }

  static async to(port: number): Promise<Wire> {
    const door = createServer();
    const wire = new Wire(door);
    door.on("connection", (vault) => {
      const line = new Line(wire, vault, port, () => wire.#lines.delete(line));
      wire.#lines.add(line);
    });
    await new Promise<void>((resolve, reject) => door.once("error", reject).listen(0, "127.0.0.1", resolve));
    return wire;
  }

  get port(): number {
    return (this.#door.address() as AddressInfo).port;
  }

  get swallows(): boolean {
    return this.#swallows === "everything";
  }

  /** The next exchange's connection is cut there. */
  cutNext(where: Cut): void {
    this.#cut = where;
  }

  /** From now on, or from the next exchange's COMMIT on, nothing passes any more, and nobody is told. */
  swallow(from: "now" | "COMMIT"): void {
    this.#swallows = from === "now" ? "everything" : "from COMMIT on";
  }

  /** Everything passes again: on new connections, for a network forgets those that were silent. */
  restore(): void {
    this.#swallows = "nothing";
    for (const line of this.#lines) line.end();
  }

  close(): void {
    this.#door.close();
    for (const line of this.#lines) line.end();
  }

  /** An exchange's transaction has come to this point. @returns whether its connection ends here. */
  reached(point: Cut): boolean {
    if (point === "before COMMIT" && this.#swallows === "from COMMIT on") {
      this.#swallows = "everything";
      this.cuts += 1;
      return false;
    }
    if (this.#cut !== point) return false;
    this.#cut = null;
    this.cuts += 1;
    return true;
  }
}

/** One connection through it. */
class Line {
  readonly #wire: Wire;
  readonly #vault: Socket;
  readonly #server: Socket;
  /** Named statements that write an exchange. */
  readonly #exchanges = new Set<string>();
  #rest = Buffer.alloc(0);
  #isGreeted = false;
  #isExchange = false;
  #isLast = false;
  #waitsForCommit = false;

  constructor(wire: Wire, vault: Socket, port: number, over: () => void) {
    this.#wire = wire;
    this.#vault = vault;
    this.#server = connect(port, "127.0.0.1");
    for (const socket of [vault, this.#server]) {
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        over();
        // Whoever is swallowed does not hear of an end either.
        if (!wire.swallows) this.end();
      });
    }
    vault.on("data", (chunk) => {
      this.#ask(chunk);
    });
    this.#server.on("data", (chunk) => {
      this.#answer(chunk);
    });
  }

  end(): void {
    this.#vault.destroy();
    this.#server.destroy();
  }

  #ask(chunk: Buffer): void {
    if (this.#wire.swallows) return;
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const head = this.#isGreeted ? 1 : 0;
      if (this.#rest.length < head + 4) return;
      const length = head + this.#rest.readUInt32BE(head);
      if (this.#rest.length < length) return;
      const message = this.#rest.subarray(0, length);
      this.#rest = this.#rest.subarray(length);
      if (this.#isGreeted && !this.#pass(message)) return;
      this.#isGreeted = true;
      this.#server.write(message);
    }
  }

  /** @returns whether the vault's message goes on to the server. */
  #pass(message: Buffer): boolean {
    const [first = "", second = ""] = message.subarray(5).toString("latin1").split("\0");
    switch (String.fromCharCode(message[0] ?? 0)) {
      case "P":
        if (EXCHANGE.test(second)) this.#exchanges.add(first);
        return true;
      case "B":
        if (!this.#exchanges.has(second)) return true;
        this.#isExchange = true;
        return this.#goesOn("before the end");
      case "Q": {
        if (first.startsWith("BEGIN")) this.#isExchange = false;
        const isCommit = first === "COMMIT" && this.#isLast && this.#isExchange;
        this.#isLast = first === LAST_WORDS;
        if (!isCommit) return true;
        this.#waitsForCommit = true;
        return this.#goesOn("before COMMIT");
      }
      default:
        return true;
    }
  }

  #goesOn(point: Cut): boolean {
    if (this.#wire.reached(point)) this.end();
    return !this.#vault.destroyed && !this.#wire.swallows;
  }

  #answer(chunk: Buffer): void {
    if (this.#wire.swallows) return;
    if (this.#waitsForCommit && chunk.includes("COMMIT\0")) {
      this.#waitsForCommit = false;
      this.#isExchange = false;
      if (!this.#goesOn("after COMMIT")) return;
    }
    const pass = (): void => {
      if (!this.#vault.destroyed) this.#vault.write(chunk);
    };
    if (this.#wire.delayMs === 0) pass();
    else setTimeout(pass, this.#wire.delayMs);
  }
}
