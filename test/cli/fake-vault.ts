import { createServer } from "node:http";
import type { IncomingHttpHeaders, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}
type Reply = { status?: number; body?: unknown; headers?: Record<string, string> } | "hang up";
type Route = (seen: Seen) => Reply;

/** Answers as a test says, and remembers what it was asked: the double for the network, for what a real vault never says. */
export class FakeVault {
  readonly seen: Seen[] = [];
  readonly routes = new Map<string, Route>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const text = Buffer.concat(parts).toString("utf8");
        const seen: Seen = {
          method: request.method ?? "",
          path: request.url ?? "",
          headers: request.headers,
          body: text === "" ? undefined : JSON.parse(text),
        };
        this.seen.push(seen);
        this.#answer(seen, response);
      });
    });
  }

  on(route: string, reply: Reply | Route): this {
    this.routes.set(route, typeof reply === "function" ? reply : () => reply);
    return this;
  }

  async listen(socket?: string): Promise<string> {
    await new Promise<void>((resolve) => {
      if (socket === undefined) this.#server.listen(0, "127.0.0.1", resolve);
      else this.#server.listen(socket, resolve);
    });
    return socket ?? `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(seen: Seen, response: ServerResponse): void {
    const route = this.routes.get(`${seen.method} ${seen.path.split("?")[0] ?? ""}`);
    const reply = route?.(seen) ?? problem("not_found", 404);
    if (reply === "hang up") {
      response.destroy();
      return;
    }
    const { status = 200, body, headers = {} } = reply;
    const type = status >= 400 ? "application/problem+json" : "application/json";
    response.writeHead(status, { "Content-Type": type, ...headers });
    response.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
  }
}

export function problem(code: string, status: number, more: Record<string, unknown> = {}): Reply {
  return { status, body: { code, title: `title of ${code}`, status, requestId: "req-12345678", ...more } };
}
