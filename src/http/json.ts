import { VaultError } from "#base";

const MAX_DEPTH = 32;
/** No number that the wire takes is written with more characters. */
const MAX_NUMBER_LENGTH = 32;
const QUOTE = 0x22;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const BACKSLASH = 0x5c;
const NUMBER = /-?[0-9][0-9.eE+-]*/y;

/**
 * JSON that has one reading (RFC 8259, narrowed as in RFC 7493): UTF-8 without byte order mark, at most 32 deep, no key
 * twice in an object however it is escaped, no `__proto__`, no lone surrogate, no number that a double cannot hold.
 *
 * @throws {VaultError} `bad_request`, which says what is wrong and repeats nothing of the text.
 */
export function parseJson(bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw unreadable("not UTF-8");
  }
  scan(text);
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable("not JSON");
  }
}

/**
 * One pass over the text before it is parsed: JSON.parse would take all of what is refused here. It need not know the
 * whole grammar, because what it misunderstands is not JSON and fails afterwards.
 */
function scan(text: string): void {
  /** For each open bracket the keys seen in it; `null` for an array. */
  const open: (Set<string> | null)[] = [];
  let keyNext = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charAt(at)) {
      case "{":
      case "[":
        if (open.length === MAX_DEPTH) throw unreadable(`nested more than ${MAX_DEPTH} deep`);
        keyNext = text[at] === "{";
        open.push(keyNext ? new Set() : null);
        break;
      case "}":
      case "]":
        open.pop();
        keyNext = false;
        break;
      case ",":
        keyNext = (open.at(-1) ?? null) !== null;
        break;
      case '"': {
        const end = endOfString(text, at);
        const keys = open.at(-1);
        if (keyNext && keys) addKey(keys, readString(text.slice(at, end + 1)));
        else if (text.slice(at, end).includes("\\u")) readString(text.slice(at, end + 1));
        keyNext = false;
        at = end;
        break;
      }
      default:
        at = endOfNumber(text, at);
    }
  }
}

function addKey(keys: Set<string>, key: string): void {
  if (key === "__proto__") throw unreadable("a key that no object may have");
  if (keys.has(key)) throw unreadable("a key twice in one object");
  keys.add(key);
}

/** The index of the closing quote. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) return at;
    if (unit === BACKSLASH) at++;
  }
  throw unreadable("not JSON");
}

/** The string that a literal stands for. Only an escape can write a lone surrogate: UTF-8 has none. */
function readString(literal: string): string {
  let value: unknown;
  try {
    value = JSON.parse(literal);
  } catch {
    throw unreadable("not JSON");
  }
  if (typeof value !== "string") throw unreadable("not JSON");
  if (/\p{Cs}/u.test(value)) throw unreadable("text that is not well-formed Unicode");
  return value;
}

/** The index of the last character of the number that starts at `start`, or `start` when none does. */
function endOfNumber(text: string, start: number): number {
  const unit = text.charCodeAt(start);
  if (unit !== MINUS && !(unit >= ZERO && unit <= NINE)) return start;
  NUMBER.lastIndex = start;
  const number = NUMBER.exec(text)?.[0];
  if (number === undefined) return start;
  if (number.length > MAX_NUMBER_LENGTH || !(Math.abs(Number(number)) <= Number.MAX_SAFE_INTEGER)) {
    throw unreadable("a number that is too large or too long");
  }
  return start + number.length - 1;
}

function unreadable(message: string): VaultError {
  return new VaultError("bad_request", undefined, { detail: { faults: [{ field: "body", message }] } });
}
