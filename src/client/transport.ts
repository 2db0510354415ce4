import { Agent as HttpAgent, request as httpRequest } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, RequestOptions } from "node:http";
import { SallyportError } from "./error.ts";
import { codeOf } from "./file.ts";
import { describePlace } from "./place.ts";
import type { Place } from "./place.ts";
import { tlsFailure } from "./tls-failure.ts";
import type { TlsFiles } from "./tls-failure.ts";

export interface Ask {
  readonly method: string;
  /** With its query, percent-encoded. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  /** How long nothing may arrive. The whole answer may take ten times as long. */
  readonly timeoutMs: number;
  /** Asked once more where the connection was lost: whether the vault did it is not known then, and twice is as good as once. */
  readonly repeatable: boolean;
  /** It does not keep the process alive. */
  readonly background?: boolean;
  readonly signal?: AbortSignal;
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

export interface TransportOptions {
  /** Authorities in PEM whose certificates are accepted, instead of those that Node knows. */
  readonly ca?: string | undefined;
  /** A client certificate with its chain, and its private key, in PEM. */
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
}

/** An exchange holds 8 MiB of values at most; written as JSON each byte may take six. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const WHOLE_ANSWER = 10;
const NO_SOCKET =
  "Check that the vault runs (`sallyport up`), and that this is its socket: data/sallyport.sock of its folder.";
/** The answer did not come, or not all of it; the vault may have done what it was asked for. */
const LOST: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);

/**
 * node:http and not fetch: it speaks over Unix sockets, starts sooner, and does nothing that was not asked for (no
 * redirects, no proxies from the environment). TLS is loaded where the address asks for it.
 */
export function connect(place: Place, options: TransportOptions = {}): Transport {
  let door: Promise<Door> | null = null;
  const once = async (ask: Ask): Promise<Answer> => {
    door ??= openDoor(place, options);
    return exchangeOver(await door, place, ask);
  };
  return {
    async send(ask) {
      try {
        return await once(ask).catch((error: unknown) => {
          if (ask.repeatable && LOST.has(codeOf(error))) return once(ask);
          throw error;
        });
      } catch (error) {
        throw ask.signal?.aborted === true
          ? new SallyportError("interrupted")
          : unreachable(place, error, { showed: options.certificate !== undefined, named: options.ca !== undefined });
      }
    },
    close: () => void door?.then(({ agent }) => agent.destroy()),
  };
}

interface Door {
  readonly agent: HttpAgent;
  readonly request: (
    options: RequestOptions,
    answer: (message: IncomingMessage) => void,
  ) => ReturnType<typeof httpRequest>;
}

async function openDoor(place: Place, { ca, certificate, key }: TransportOptions): Promise<Door> {
  if (place.kind === "socket" || place.url.protocol !== "https:") {
    return { agent: new HttpAgent({ keepAlive: true }), request: httpRequest };
  }
  const { Agent, request } = await import("node:https");
  // Certificates are checked also where NODE_TLS_REJECT_UNAUTHORIZED says otherwise.
  const trust = {
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...(certificate === undefined ? {} : { cert: certificate }),
    ...(key === undefined ? {} : { key }),
  };
  return {
    agent: new Agent({ keepAlive: true, ...trust }),
    request: (options, answer) => request({ ...options, ...trust }, answer),
  };
}

function exchangeOver({ agent, request: open }: Door, place: Place, ask: Ask): Promise<Answer> {
  return new Promise<Answer>((resolve, reject) => {
    const { signal, timeoutMs } = ask;
    const options = { ...target(place, ask.path), agent, method: ask.method, headers: headersOf(ask) };
    const request = open(signal === undefined ? options : { ...options, signal }, (message) => {
      collect(message).then((body) => {
        clearTimeout(whole);
        resolve({ status: message.statusCode ?? 0, headers: message.headers, body });
      }, fail);
    });
    const giveUp = () => request.destroy(new Error("no answer in time"));
    const whole = setTimeout(giveUp, timeoutMs * WHOLE_ANSWER).unref();
    function fail(error: unknown): void {
      clearTimeout(whole);
      request.destroy();
      reject(error instanceof Error ? error : new Error("failed"));
    }
    request.setTimeout(timeoutMs, giveUp);
    if (ask.background === true) request.on("socket", (socket) => socket.unref());
    request.on("error", fail);
    request.end(ask.body ?? undefined);
  });
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

/** The error of a socket is not kept: that of a parser holds the bytes that it could not read. */
function unreachable(place: Place, cause: unknown, files: TlsFiles): SallyportError {
  const code = codeOf(cause);
  const why = code === "failed" && cause instanceof Error ? cause.message : code;
  const failure = tlsFailure(code, files);
  const said = failure === null ? why : `${failure.why}: ${code}`;
  const remedy = failure?.remedy ?? (place.kind === "socket" ? NO_SOCKET : undefined);
  return new SallyportError("unreachable", `${describePlace(place)} (${said})`, remedy === undefined ? {} : { remedy });
}
