import { createServer, request as ask } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  /** Like `GET /v1/whoami`, with the query. */
  readonly asked: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
  readonly status: number;
}

/**
 * A tap on the line to a real vault: every answer is the vault's own. It remembers what passed, and can cut the line after
 * the vault has answered and before the answer arrives, which no vault can be told to do.
 */
export class Tap {
  readonly seen: Seen[] = [];
  readonly #vault: URL;
  readonly #server: Server;
  readonly #cuts = new Map<string, number>();

  private constructor(vault: string) {
    this.#vault = new URL(vault);
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        this.#pass(request, Buffer.concat(parts), response);
      });
    });
  }

  static async before(vault: string): Promise<Tap> {
    const tap = new Tap(vault);
    await new Promise<void>((resolve) => tap.#server.listen(0, "127.0.0.1", resolve));
    return tap;
  }

  get url(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  /** What passed whose method and path begin so. */
  asked(beginning: string): readonly Seen[] {
    return this.seen.filter(({ asked }) => asked.startsWith(beginning));
  }

  /** The next so many answers to `route`, which is like `POST /v1/exchange`, do not arrive. */
  cut(route: string, times = 1): void {
    this.#cuts.set(route, times);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #pass(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const { hostname, port } = this.#vault;
    const { method = "", url: path = "", headers } = request;
    const passed = ask({ hostname, port, method, path, headers, agent: false }, (answer) => {
      const parts: Buffer[] = [];
      answer.on("data", (part: Buffer) => parts.push(part));
      answer.on("end", () => {
        const status = answer.statusCode ?? 0;
        const text = body.toString("utf8");
        this.seen.push({
          asked: `${method} ${path}`,
          headers,
          body: text === "" ? undefined : JSON.parse(text),
          status,
        });
        if (this.#isCut(`${method} ${path}`)) {
          response.destroy();
          return;
        }
        response.writeHead(status, answer.headers);
        response.end(Buffer.concat(parts));
      });
    });
    passed.on("error", () => response.destroy());
    passed.end(body);
  }

  #isCut(asked: string): boolean {
    const left = this.#cuts.get(asked) ?? 0;
    if (left > 0) this.#cuts.set(asked, left - 1);
    return left > 0;
  }
}
