import { Agent as HttpAgent, request as httpRequest } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, RequestOptions } from "node:http";
import { CliError } from "./error.ts";
import { codeOf } from "./file.ts";
import { describePlace } from "./place.ts";
import type { Place } from "./place.ts";

export interface Ask {
  readonly method: string;
  /** With its query, percent-encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** How long nothing may arrive. */
  readonly timeoutMs: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** One place that answers HTTP. Errors: `unreachable` for anything that is not an answer; never follows a redirect. */
export interface Transport {
  send(ask: Ask): Promise<Answer>;
  close(): void;
}

const MAX_ANSWER_BYTES = 256 * 1024 * 1024;

/**
 * node:http and not fetch: it speaks over Unix sockets, starts sooner, and does nothing that was not asked for (no
 * redirects, no proxies from the environment). TLS is loaded where the address asks for it.
 */
export async function connect(place: Place): Promise<Transport> {
  const secure = place.kind === "url" && place.url.protocol === "https:";
  const https = secure ? await import("node:https") : null;
  const agent = https === null ? new HttpAgent({ keepAlive: true }) : new https.Agent({ keepAlive: true });
  // Certificates are checked also where NODE_TLS_REJECT_UNAUTHORIZED says otherwise.
  const open = (options: RequestOptions, answer: (message: IncomingMessage) => void) =>
    https === null ? httpRequest(options, answer) : https.request({ ...options, rejectUnauthorized: true }, answer);

  return {
    send: (ask) =>
      new Promise<Answer>((resolve, reject) => {
        const fail = (error: unknown) => reject(unreachable(place, error));
        const request = open(
          { ...target(place, ask.path), agent, method: ask.method, headers: headersOf(ask) },
          (message) => {
            collect(message).then(
              (body) => resolve({ status: message.statusCode ?? 0, headers: message.headers, body }),
              fail,
            );
          },
        );
        request.setTimeout(ask.timeoutMs, () => request.destroy(new Error("no answer in time")));
        request.on("error", fail);
        request.end(ask.body ?? undefined);
      }),
    close: () => agent.destroy(),
  };
}

function target(place: Place, path: string): RequestOptions {
  if (place.kind === "socket") return { socketPath: place.path, path };
  const { hostname, port, pathname } = place.url;
  return {
    hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
    ...(port === "" ? {} : { port }),
    path: pathname.replace(/\/$/, "") + path,
  };
}

function headersOf(ask: Ask): Record<string, string> {
  if (ask.body === null) return { ...ask.headers };
  return { ...ask.headers, "Content-Type": "application/json", "Content-Length": String(Buffer.byteLength(ask.body)) };
}

async function collect(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of message as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MAX_ANSWER_BYTES) throw new Error("the answer has no end");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function unreachable(place: Place, cause: unknown): CliError {
  const code = codeOf(cause);
  const why = code === "failed" && cause instanceof Error ? cause.message : code;
  const remedy = /CERT|TLS|SSL|SIGNED|ISSUER|ALTNAME/.test(code)
    ? "Its certificate was not accepted. An authority of your own is named by NODE_EXTRA_CA_CERTS."
    : undefined;
  return new CliError("unreachable", `${describePlace(place)} (${why})`, {
    cause,
    ...(remedy === undefined ? {} : { remedy }),
  });
}
