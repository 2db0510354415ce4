import { isVaultError } from "#base";

/** Where the room's log lines go: a pino logger is one. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** One kind of line: how loud it is, and the fields that it may have beside `level`, `time` and `msg`. */
export interface LogLine {
  readonly level: "info" | "warn" | "error";
  readonly fields: readonly string[];
}

/**
 * Every line of the log that a running vault writes, by its message. Two more have a message that says what is wrong in
 * a sentence, with the fields `what`, or those of a certificate.
 */
export const LOG_LINES: Readonly<Record<string, LogLine>> = {
  listening: {
    level: "info",
    fields: ["version", "node", "store", "addresses", "socket", "data", "settingsFile", "settings"],
  },
  request: {
    level: "info",
    fields: ["requestId", "traceId", "operation", "status", "code", "ms", "address", "actor", "aborted"],
  },
  "request failed": { level: "error", fields: ["requestId", "operation", "error"] },
  "the audit event of a failure was not written": { level: "error", fields: ["requestId", "operation", "error"] },
  "background work failed; it is tried again": { level: "error", fields: ["code", "cause"] },
  "a stored row does not prove itself": { level: "error", fields: ["table", "row"] },
  "over, what was warned of before": { level: "info", fields: ["what"] },
  "TLS certificate unchanged": { level: "info", fields: ["fingerprint", "validFrom", "validTo"] },
  "TLS certificate reloaded": { level: "info", fields: ["fingerprint", "validFrom", "validTo"] },
  "TLS certificate not reloaded: the one in use goes on": {
    level: "error",
    fields: ["event", "code", "faults", "inUse"],
  },
  "TLS handshakes failed": { level: "warn", fields: ["event", "failures"] },
  "nothing to reload: there is no TLS, and settings need a restart": { level: "info", fields: ["signal"] },
  "the supervisor could not be told": { level: "warn", fields: ["note", "code"] },
  "healthy again": { level: "info", fields: [] },
  "not healthy: the supervisor is no longer told that the vault is alive": { level: "error", fields: [] },
  "Node 20 is past its end of life: Node 24 is recommended": { level: "warn", fields: [] },
  "the data folder belongs to another user, to whom what is made there now may be closed": {
    level: "warn",
    fields: ["owner", "user"],
  },
  draining: { level: "info", fields: ["signal"] },
};

/** What of an error may stand in a log. */
export interface LoggedError {
  readonly name: string;
  readonly code?: string;
  readonly message?: string;
  readonly stack?: readonly string[];
  readonly cause?: LoggedError;
}

const MAX_CAUSES = 5;
const MAX_FRAMES = 12;
const WORD = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

/**
 * An error by allow-list. The message of a VaultError is ours and holds no value; that of any other error may repeat the
 * input (a JSON parser's, a driver's), so only its name, its code and the frames of its stack are kept.
 */
export function loggedError(error: unknown, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { name: typeof error };
  const code = "code" in error && typeof error.code === "string" && WORD.test(error.code) ? error.code : undefined;
  const stack = frames(error);
  return {
    name: WORD.test(error.name) ? error.name : "Error",
    ...(code === undefined ? {} : { code }),
    ...(isVaultError(error) ? { message: error.message } : {}),
    ...(stack.length === 0 ? {} : { stack }),
    ...(error.cause === undefined || depth >= MAX_CAUSES ? {} : { cause: loggedError(error.cause, depth + 1) }),
  };
}

/** The frames after the message. A stack that does not hold the message as it is now cannot be divided and is left out. */
function frames(error: Error): readonly string[] {
  const stack = error.stack ?? "";
  const at = stack.indexOf(error.message);
  if (at < 0) return [];
  return stack
    .slice(at + error.message.length)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith("at "))
    .slice(0, MAX_FRAMES);
}
