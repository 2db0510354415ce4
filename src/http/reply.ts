import type { ErrorCode, Redacted, VaultError } from "#base";
import helmet from "helmet";
import { IncomingMessage, STATUS_CODES, ServerResponse, validateHeaderValue } from "node:http";
import { Socket } from "node:net";
import { STATUS, problemHeaders, problemOf } from "./problem.ts";

/** What an answer says beside its body. */
export interface ReplyOptions {
  /** Instead of the catalog's: 503 where the answer itself says that something is not ready. */
  readonly status?: 200 | 201 | 204 | 503;
  /** The version of what is shown, for If-Match: the ETag. */
  readonly version?: number;
  readonly location?: string;
  /** A lease beside a format that has no room for it: the header Sallyport-Lease. */
  readonly lease?: Redacted<string>;
}

/** An answer that is more than a body: with headers, or in another format than JSON. A plain body needs none of this. */
export class Reply<B> {
  readonly content: { readonly body: B } | { readonly bytes: Buffer; readonly contentType: string };
  readonly options: ReplyOptions;

  private constructor(content: Reply<B>["content"], options: ReplyOptions) {
    this.content = content;
    this.options = options;
  }

  static json<B>(body: B, options: ReplyOptions = {}): Reply<B> {
    return new Reply<B>({ body }, options);
  }

  static bytes(bytes: Buffer, contentType: string, options: ReplyOptions = {}): Reply<never> {
    return new Reply<never>({ bytes, contentType }, options);
  }
}

/** An answer as it goes out, but for the headers that every answer has. */
export interface Encoded {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
  readonly code: ErrorCode | null;
}

/** Throws for a header that cannot be sent, so that this comes out before the answer's event is written. */
export function encodeReply(reply: Reply<unknown>, status: number): Encoded {
  const { content, options } = reply;
  const headers: Record<string, string> = {
    ...(options.version === undefined ? {} : { ETag: `"${String(options.version)}"` }),
    ...(options.location === undefined ? {} : { Location: options.location }),
    ...(options.lease === undefined ? {} : { "Sallyport-Lease": options.lease.reveal() }),
  };
  let body: Buffer | null = null;
  if ("bytes" in content) {
    body = content.bytes;
    headers["Content-Type"] = content.contentType;
  } else if (content.body !== undefined) {
    body = Buffer.from(JSON.stringify(content.body));
    headers["Content-Type"] = "application/json";
  }
  for (const [name, value] of Object.entries(headers)) validateHeaderValue(name, value);
  return { status: options.status ?? status, headers, body, code: null };
}

export function encodeProblem(error: VaultError, requestId: string): Encoded {
  const body = Buffer.from(JSON.stringify(problemOf(error, requestId)));
  return { status: STATUS[error.code], headers: problemHeaders(error), body, code: error.code };
}

const HSTS = "max-age=31536000; includeSubDomains";
/** How long, in ms, and for how many bytes more a client is listened to that was answered before it had said everything. */
const LINGER_MS = 1_000;
const LINGER_BYTES = 8 * 1024 * 1024;

/** Writes answers with the headers that all of them have. */
export class Sender {
  readonly #common: Readonly<Record<string, string>> = { ...securityHeaders(), "Cache-Control": "no-store" };

  send(request: IncomingMessage, response: ServerResponse, encoded: Encoded, requestId: string, secure: boolean): void {
    if (response.headersSent || response.destroyed) return;
    const { body } = encoded;
    // A request whose end is not there yet cannot be followed by another.
    if (!request.complete) response.shouldKeepAlive = false;
    response.writeHead(encoded.status, {
      ...this.#common,
      ...(secure ? { "Strict-Transport-Security": HSTS } : {}),
      ...encoded.headers,
      ...(body === null ? {} : { "Content-Length": body.length }),
      "X-Request-Id": requestId,
    });
    if (request.complete) response.end(body ?? undefined);
    else linger(request, response, body);
  }

  /** An answer to bytes that are not a request, where there is no response to write to. */
  raw(encoded: Encoded, requestId: string, date: Date): Buffer {
    const body = encoded.body ?? Buffer.alloc(0);
    const headers = {
      ...this.#common,
      ...encoded.headers,
      "Content-Length": String(body.length),
      "X-Request-Id": requestId,
      Date: date.toUTCString(),
      Connection: "close",
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const first = `HTTP/1.1 ${String(encoded.status)} ${STATUS_CODES[encoded.status] ?? ""}\r\n`;
    return Buffer.concat([Buffer.from(`${first}${lines.join("")}\r\n`, "latin1"), body]);
  }
}

/**
 * Closes only after the rest of the request was read away, within limits: closing over unread bytes resets the connection,
 * and the client would lose the answer that says why.
 */
function linger(request: IncomingMessage, response: ServerResponse, body: Buffer | null): void {
  let left = LINGER_BYTES;
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, LINGER_MS).unref();
  request.once("end", end).once("close", end);
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) end();
  });
  request.resume();
  if (body === null) response.flushHeaders();
  else response.write(body);
}

/** helmet's headers for an answer that no browser shows: made once, they are the same for all. */
function securityHeaders(): Record<string, string> {
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] } },
    frameguard: { action: "deny" },
    // Only over TLS, where each answer adds it.
    strictTransportSecurity: false,
  })(response.req, response, () => {});
  return Object.fromEntries(Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)]));
}
