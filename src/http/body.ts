import { VaultError } from "#base";
import type { IncomingMessage, ServerResponse } from "node:http";
import { invalid } from "./faults.ts";
import { parseJson } from "./json.ts";
import { asVaultError } from "./problem.ts";
import type { BodyRoom } from "./load.ts";

/** Of who has shown a credential that is good. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** Of anybody else: a password or an exit code. What is read of strangers is bounded by what they need to say. */
export const MAX_UNKNOWN_BODY_BYTES = 16 * 1024;
const CONTENT_TYPE = /^application\/json(?:[ \t]*;[ \t]*charset=(?:utf-8|"utf-8"))?$/i;

/**
 * What the headers say of the body, before anybody is authenticated and a byte of it is read.
 *
 * @throws {VaultError} `bad_request`, `invalid_input`, `unsupported_media_type`, `payload_too_large`.
 */
export function checkBody(request: IncomingMessage, taken: boolean, maxBytes: number): void {
  const { headers, method } = request;
  const present = hasBody(request);
  if (headers["content-encoding"] !== undefined) throw new VaultError("unsupported_media_type");
  if (present && (method === "GET" || method === "HEAD" || method === "DELETE")) throw new VaultError("bad_request");
  if (Number(headers["content-length"] ?? 0) > maxBytes) throw new VaultError("payload_too_large");
  if (present && !taken) throw invalid({ field: "body", message: "none is taken here" });
  if (!present && taken) throw invalid({ field: "body", message: "a JSON body is expected" });
  if (taken && !CONTENT_TYPE.test(headers["content-type"] ?? "")) throw new VaultError("unsupported_media_type");
}

/**
 * The body as JSON, of which at most `maxBytes` are ever held, and no more than there is room for.
 *
 * @throws {VaultError} `payload_too_large`, `overloaded`, `bad_request` (also when the client went away).
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  room: BodyRoom,
  maxBytes: number,
): Promise<unknown> {
  room.take(0);
  if (request.headers.expect !== undefined) response.writeContinue();
  const bytes = await collect(request, room, maxBytes);
  if (bytes.length === 0) throw invalid({ field: "body", message: "a JSON body is expected" });
  return parseJson(bytes);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || !/^0*$/.test(headers["content-length"] ?? "");
}

/** By events and not by iteration: ending an iteration early destroys the socket, and with it the answer. */
function collect(request: IncomingMessage, room: BodyRoom, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const settle = (act: () => void) => {
      request.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone);
      act();
    };
    const onData = (chunk: Buffer) => {
      length += chunk.length;
      try {
        if (length > maxBytes) throw new VaultError("payload_too_large");
        room.take(chunk.length);
        chunks.push(chunk);
      } catch (refusal) {
        request.pause();
        settle(() => reject(asVaultError(refusal)));
      }
    };
    const onEnd = () => settle(() => resolve(Buffer.concat(chunks, length)));
    const onGone = () => settle(() => reject(new VaultError("bad_request")));
    // Whoever comes late, after a slow sign-in, finds the events gone.
    if (request.destroyed) reject(new VaultError("bad_request"));
    else request.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
  });
}
