import { Redacted, VaultError } from "#base";
import type { HeaderName, RequestHeaders } from "#contract";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { invalid } from "./faults.ts";

const MAX_HEADERS = 100;
/** Headers that mean something here and so may come only once. Node keeps the first, a proxy may have read the last. */
const ONCE = new Set([
  "authorization",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "idempotency-key",
  "if-match",
  "if-none-match",
  "sallyport-runner",
  "transfer-encoding",
  "x-request-id",
]);
const HOST = /^[A-Za-z0-9._~:[\]-]{1,255}$/;
const REQUEST_ID = /^[A-Za-z0-9._-]{8,64}$/;
/** Later versions may have more behind the flags. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.{0,256})?$/;
const BEARER = /^bearer +([A-Za-z0-9._~+/-]{1,512}=*)$/i;
const VERSION_TAG = /^"([1-9][0-9]{0,9})"$/;
const IDEMPOTENCY_KEY = /^[A-Za-z0-9._~-]{8,128}$/;
const VISIBLE = /^[\x21-\x7e]{1,512}$/;
const ACCEPT = /^[\x20-\x7e]{1,512}$/;

/**
 * Refuses headers with more than one reading.
 *
 * @throws {VaultError} `headers_too_large`, `bad_request`.
 */
export function checkHeaders(request: IncomingMessage): void {
  const { rawHeaders, headers, httpVersion } = request;
  // Node takes HTTP/0.9 and 2.0 in words as well.
  if (httpVersion !== "1.1" && httpVersion !== "1.0") throw new VaultError("bad_request");
  // Node would drop what is above its own count without a word, so that count is off and this one refuses.
  if (rawHeaders.length / 2 > MAX_HEADERS) throw new VaultError("headers_too_large");
  const seen = new Set<string>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? "").toLowerCase();
    if (!ONCE.has(name)) continue;
    if (seen.has(name)) throw new VaultError("bad_request");
    seen.add(name);
  }
  if (headers.host === undefined ? httpVersion === "1.1" : !HOST.test(headers.host))
    throw new VaultError("bad_request");
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== "100-continue")
    throw new VaultError("bad_request");
  const coding = headers["transfer-encoding"];
  // HTTP/1.0 knows no coding: a proxy that speaks it would see another end of this request (RFC 9112 section 6.1).
  if (coding !== undefined && (coding.toLowerCase() !== "chunked" || httpVersion === "1.0"))
    throw new VaultError("bad_request");
}

/** The client's own request id, if it is one that may stand in logs. */
export function requestIdOf(headers: IncomingHttpHeaders): string | null {
  const id = headers["x-request-id"];
  return typeof id === "string" && REQUEST_ID.test(id) ? id : null;
}

/** The trace that the client's `traceparent` names (W3C Trace Context, section 3.2), or `null`. */
export function traceIdOf(headers: IncomingHttpHeaders): string | null {
  const { traceparent } = headers;
  const parts = typeof traceparent === "string" ? TRACEPARENT.exec(traceparent) : null;
  const [, version, trace = "", parent = "", more = ""] = parts ?? [];
  if (parts === null || version === "ff" || (version === "00" && more !== "")) return null;
  return /^0+$/.test(trace) || /^0+$/.test(parent) ? null : trace;
}

/** The bearer credential, or `null` when there is none, or none of that form (RFC 6750 section 2.1). */
export function credentialOf(headers: IncomingHttpHeaders): Redacted<string> | null {
  const token = BEARER.exec(headers.authorization ?? "")?.[1];
  return token === undefined ? null : new Redacted(token);
}

/**
 * The headers that an operation takes, parsed. A condition or an Idempotency-Key on an operation that would not heed it
 * is refused: the client would rely on it. (If-None-Match on a GET only asks for a cached answer and is passed over.)
 *
 * @throws {VaultError} `invalid_input`.
 */
export function operationHeaders(request: IncomingMessage, taken: readonly HeaderName[]): RequestHeaders {
  const { headers } = request;
  const found: { -readonly [K in keyof RequestHeaders]: RequestHeaders[K] } = {};
  const match = one(headers, "If-Match", taken);
  if (match !== undefined) {
    const version = VERSION_TAG.exec(match)?.[1];
    if (match !== "*" && version === undefined) throw fault("If-Match", 'a version in quotes, as in "3", or *');
    found.ifMatch = version === undefined ? null : Number(version);
  }
  const noneMatch = request.method === "GET" ? undefined : one(headers, "If-None-Match", taken);
  if (noneMatch !== undefined) {
    if (noneMatch !== "*") throw fault("If-None-Match", "only * is taken");
    found.ifNoneMatch = "*";
  }
  const key = one(headers, "Idempotency-Key", taken);
  if (key !== undefined) {
    if (!IDEMPOTENCY_KEY.test(key)) throw fault("Idempotency-Key", "8 to 128 letters, digits or . _ ~ -");
    found.idempotencyKey = key;
  }
  if (taken.includes("Sallyport-Runner")) {
    const runner = one(headers, "Sallyport-Runner", taken);
    if (runner !== undefined && !VISIBLE.test(runner)) throw fault("Sallyport-Runner", "a service user's token");
    if (runner !== undefined) found.runner = runner;
  }
  if (taken.includes("Accept") && headers.accept !== undefined) {
    if (!ACCEPT.test(headers.accept)) throw fault("Accept", "at most 512 characters");
    found.accept = headers.accept;
  }
  return found;
}

function one(headers: IncomingHttpHeaders, name: HeaderName, taken: readonly HeaderName[]): string | undefined {
  const value = headers[name.toLowerCase()];
  if (typeof value !== "string") return undefined;
  if (!taken.includes(name)) throw fault(name, "not taken here");
  return value;
}

function fault(field: HeaderName, message: string): VaultError {
  return invalid({ field, message });
}
