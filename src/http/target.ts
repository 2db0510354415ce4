import { VaultError } from "#base";
import { invalid, safeKey } from "./faults.ts";

const MAX_URL_BYTES = 8 * 1024;
/** What RFC 3986 lets stand in a path. */
const PATH = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/;
/** Slash, backslash and control characters, escaped: a proxy in front could read another path than we do. */
const UNSAFE_ESCAPE = /%(?:2f|5c|[01][0-9a-f]|7f)/i;

/**
 * Refuses a request target that has more than one reading, before anything looks at it.
 *
 * @throws {VaultError} `uri_too_long`, `bad_request`.
 */
export function checkTarget(url: string): void {
  if (url.length > MAX_URL_BYTES) throw new VaultError("uri_too_long");
  const path = pathOf(url);
  if (!PATH.test(path) || path.includes("//") || UNSAFE_ESCAPE.test(path)) throw new VaultError("bad_request");
  for (const segment of path.split("/")) {
    const decoded = decode(segment);
    if (decoded === "." || decoded === "..") throw new VaultError("bad_request");
  }
}

/**
 * The parameters after the question mark. Each name once.
 *
 * @throws {VaultError} `bad_request` for bad escapes, `invalid_input` for a parameter given twice.
 */
export function queryOf(url: string): Record<string, string> {
  const at = url.indexOf("?");
  const text = at < 0 ? "" : url.slice(at + 1);
  const found = new Map<string, string>();
  for (const pair of text === "" ? [] : text.split("&")) {
    const equals = pair.indexOf("=");
    const name = decode(equals < 0 ? pair : pair.slice(0, equals), true);
    if (found.has(name)) throw invalid({ field: safeKey(name), message: "given twice" });
    found.set(name, equals < 0 ? "" : decode(pair.slice(equals + 1), true));
  }
  return Object.fromEntries(found);
}

function pathOf(url: string): string {
  const at = url.indexOf("?");
  return at < 0 ? url : url.slice(0, at);
}

function decode(text: string, plusIsSpace = false): string {
  try {
    return decodeURIComponent(plusIsSpace ? text.replaceAll("+", " ") : text);
  } catch {
    throw new VaultError("bad_request");
  }
}
