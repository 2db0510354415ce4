import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Reply = { status?: number; body?: unknown; headers?: Record<string, string> };
/** Answers by itself, for what is no whole answer: silence, half of one, one without an end. */
type Misbehave = (response: ServerResponse) => void;

/**
 * What answers where a vault should, and is none, or a broken one. It stands in the tests for the answers that a real vault
 * cannot be made to give: control characters, what is not JSON, a redirect, no end, silence, a failure of its own. All else
 * is tested against a real vault.
 */
export class HostileServer {
  /** The method and path of each request, and the credential that came with it. */
  readonly seen: { readonly asked: string; readonly authorization: string | undefined }[] = [];
  readonly #routes = new Map<string, Reply | Misbehave>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      request.resume().on("end", () => {
        this.#answer(request, response);
      });
    });
  }

  /** `route` is like `GET /v1/whoami`, without a query. */
  on(route: string, reply: Reply | Misbehave): this {
    this.#routes.set(route, reply);
    return this;
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const asked = `${request.method ?? ""} ${(request.url ?? "").split("?")[0] ?? ""}`;
    this.seen.push({ asked, authorization: request.headers.authorization });
    const reply = this.#routes.get(asked) ?? problem("not_found", 404);
    if (typeof reply === "function") {
      reply(response);
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
