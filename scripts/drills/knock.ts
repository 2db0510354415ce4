import { Agent, request } from "node:http";

/** What came back, or `null` for a connection that ended without a whole answer. */
export interface Knocked {
  readonly status: number;
  readonly requestId: string;
  /** In seconds, where the vault says when to come again. */
  readonly retryAfter: number | null;
  readonly body: Record<string, unknown>;
}

const TIMEOUT_MS = 20_000;

/** Asks a vault on loopback over connections that are kept. Everything a drill's load does goes through here. */
export class Knocker {
  readonly #url: URL;
  readonly #agent: Agent;
  readonly #timeoutMs: number;
  #slowestMs = 0;

  constructor(url: string, connections = 32, timeoutMs = TIMEOUT_MS) {
    this.#url = new URL(url);
    this.#timeoutMs = timeoutMs;
    if (this.#url.hostname !== "127.0.0.1") throw new TypeError("drills stay on this machine");
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** How long the slowest answer took, or its absence, from when it was sent. */
  get slowestMs(): number {
    return this.#slowestMs;
  }

  /** Waits and asks again where the vault says that it has too much to do. */
  async ask(method: string, path: string, token: string, body?: unknown): Promise<Knocked | null> {
    for (let tries = 0; ; tries += 1) {
      const answer = await this.once(method, path, token, body);
      const busy = answer?.status === 429 || (answer?.status === 503 && answer.body.code === "overloaded");
      if (!busy || tries >= 200) return answer;
      await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 100));
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Whatever the vault says, once. */
  once(method: string, path: string, token: string, body?: unknown): Promise<Knocked | null> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    return new Promise((settle) => {
      let began = performance.now();
      const resolve = (answer: Knocked | null): void => {
        this.#slowestMs = Math.max(this.#slowestMs, performance.now() - began);
        settle(answer);
      };
      const sent = request(
        {
          agent: this.#agent,
          host: this.#url.hostname,
          port: this.#url.port,
          method,
          path,
          timeout: this.#timeoutMs,
          headers: {
            authorization: `Bearer ${token}`,
            ...(text === undefined
              ? {}
              : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", () => {
            resolve(null);
          });
          response.on("close", () => {
            if (!response.complete) resolve(null);
          });
          response.on("end", () => {
            const read = Buffer.concat(chunks).toString();
            const isJson = (response.headers["content-type"] ?? "").includes("json");
            resolve({
              status: response.statusCode ?? 0,
              requestId: String(response.headers["x-request-id"]),
              retryAfter:
                response.headers["retry-after"] === undefined ? null : Number(response.headers["retry-after"]),
              body: isJson && read !== "" ? (JSON.parse(read) as Record<string, unknown>) : {},
            });
          });
        },
      );
      // What waits for a connection of this side waits for nobody's fault but ours.
      sent.on("socket", () => (began = performance.now()));
      sent.on("timeout", () => sent.destroy());
      sent.on("error", () => {
        resolve(null);
      });
      sent.end(text);
    });
  }
}
