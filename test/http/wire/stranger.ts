import { connect } from "node:net";
import { TOKEN } from "./row.ts";
import type { Bytes } from "./row.ts";

export interface WireAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** All that a connection said. */
export interface Heard {
  readonly answers: readonly WireAnswer[];
  /** What came and was no answer. */
  readonly rest: string;
  readonly closed: boolean;
  readonly text: string;
}

const PROBE = "GET /healthz HTTP/1.1\r\nHost: probe.test\r\nConnection: close\r\n\r\n";

/**
 * Says these bytes on a connection of its own and listens. When the first answer is there and the connection is not closed
 * soon after, asks for /healthz on it and to close: what stays open is usable.
 */
export function say(url: string, bytes: Bytes, token: string, quietMs = 250): Promise<Heard> {
  const { hostname, port } = new URL(url);
  const wire =
    typeof bytes === "string" ? Buffer.from(bytes.replaceAll(TOKEN, token), "latin1") : withToken(bytes, token);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const chunks: Buffer[] = [];
    let probed = false;
    let closed = true;
    let probe: NodeJS.Timeout | undefined;
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      probe ??= setTimeout(() => {
        probed = true;
        closed = false;
        socket.write(PROBE);
      }, quietMs);
    });
    // A reset is a way to close.
    socket.on("error", () => undefined);
    socket.setTimeout(60_000, () => {
      reject(new Error(`neither answered nor closed; heard ${Buffer.concat(chunks).toString().slice(0, 200)}`));
      socket.destroy();
    });
    socket.on("close", () => {
      clearTimeout(probe);
      const text = Buffer.concat(chunks).toString("latin1");
      const { answers, rest } = read(text, wire.subarray(0, 5).toString() === "HEAD ");
      const last = answers.at(-1);
      // The probe may have met a connection that was just being closed.
      const served = probed && last?.status === 200 && last.body === '{"status":"ok"}';
      resolve({ answers: served ? answers.slice(0, -1) : answers, rest, closed: closed || !served, text });
    });
    socket.write(wire);
  });
}

function withToken(bytes: Buffer, token: string): Buffer {
  const at = bytes.indexOf(TOKEN);
  if (at < 0) return bytes;
  return Buffer.concat([bytes.subarray(0, at), Buffer.from(token), bytes.subarray(at + TOKEN.length)]);
}

/** Answers one after the other, by their Content-Length; the first has no body where it is one to HEAD. */
function read(text: string, toHead: boolean): { answers: WireAnswer[]; rest: string } {
  const answers: WireAnswer[] = [];
  let at = 0;
  for (;;) {
    const end = text.indexOf("\r\n\r\n", at);
    const first = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n/.exec(text.slice(at, at + 200));
    if (end < 0 || first === null) return { answers, rest: text.slice(at) };
    const headers = Object.fromEntries(
      text
        .slice(at + first[0].length, end)
        .split("\r\n")
        .filter((line) => line !== "")
        .map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]),
    );
    const status = Number(first[1]);
    const length = toHead && answers.length === 0 ? 0 : Number(headers["content-length"] ?? 0);
    const start = end + 4;
    if (start + length > text.length) return { answers, rest: text.slice(at) };
    if (status >= 200) answers.push({ status, headers, body: text.slice(start, start + length) });
    at = start + length;
    if (at >= text.length) return { answers, rest: "" };
  }
}
