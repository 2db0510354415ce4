import { ERRORS, VaultError, isVaultError } from "#base";
import type { ErrorCode, ErrorDetail, Outcome } from "#base";

/** The HTTP status of every error. Codes that only a command line or the start of the process can meet stand as 500. */
export const STATUS: Readonly<Record<ErrorCode, number>> = {
  bad_request: 400,
  invalid_input: 400,
  unauthenticated: 401,
  sign_in_failed: 401,
  token_invalid: 401,
  runner_required: 403,
  forbidden: 403,
  not_found: 404,
  already_exists: 409,
  conflict: 409,
  precondition_failed: 412,
  idempotency_reused: 409,
  in_use: 409,
  disabled: 409,
  last_owner: 409,
  limit_reached: 409,
  not_deployed: 409,
  reference_refused: 422,
  launch_refused: 422,
  not_representable: 422,
  destroyed: 410,
  method_not_allowed: 405,
  not_acceptable: 406,
  unsupported_media_type: 415,
  payload_too_large: 413,
  uri_too_long: 414,
  headers_too_large: 431,
  tls_required: 400,
  timeout: 408,
  rate_limited: 429,
  overloaded: 503,
  sealed: 503,
  store_unavailable: 503,
  // Not 503: that invites a client to send it again by itself, and it may have taken effect.
  outcome_unknown: 500,
  integrity_failed: 500,
  config_invalid: 500,
  key_file_unsafe: 500,
  key_file_invalid: 500,
  key_file_missing: 500,
  folder_in_use: 500,
  schema_unknown: 500,
  migration_needed: 500,
  role_unsafe: 500,
  database_rolled_back: 500,
  copy_unfinished: 500,
  target_not_empty: 500,
  address_in_use: 500,
  unreachable: 500,
  internal: 500,
};

/** Refusals that are answered with another status than 401, 403 or 404. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  "disabled",
  "last_owner",
  "reference_refused",
  "launch_refused",
] as const);

/** Seconds in Retry-After where the error brings none. */
const RETRY_AFTER: Readonly<Partial<Record<ErrorCode, number>>> = {
  rate_limited: 1,
  overloaded: 1,
  store_unavailable: 5,
  sealed: 30,
};

/**
 * The body of an error (RFC 9457). Besides these fields it holds those of {@link ErrorDetail}.
 *
 * ```json
 * { "type": "urn:sallyport:problem:forbidden", "title": "Not allowed", "status": 403, "code": "forbidden",
 *   "detail": "…", "remedy": "…", "requestId": "…", "missing": { "permission": "secret.list", "on": "…" } }
 * ```
 */
export interface Problem extends ErrorDetail {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail?: string;
  readonly remedy: string;
  readonly requestId: string;
}

/** What the caller sees of an error. From 500 on that is the code and its constant words, and nothing of this failure. */
export function problemOf(error: VaultError, requestId: string): Problem {
  const { code } = error;
  const { title, remedy } = ERRORS[code];
  const base = { type: `urn:sallyport:problem:${code}`, title, status: STATUS[code], code, remedy, requestId };
  if (STATUS[code] >= 500) return base;
  return { ...base, ...(error.message === title ? {} : { detail: error.message }), ...error.detail };
}

/** The headers that belong to an error: Allow, Retry-After (seconds), WWW-Authenticate (RFC 6750). */
export function problemHeaders(error: VaultError): Record<string, string> {
  const retryAfter = error.detail.retryAfterSeconds ?? RETRY_AFTER[error.code];
  return {
    "Content-Type": "application/problem+json",
    ...(error.detail.allow === undefined ? {} : { Allow: error.detail.allow }),
    ...(retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) }),
    ...(STATUS[error.code] === 401 ? { "WWW-Authenticate": 'Bearer realm="sallyport"' } : {}),
  };
}

/**
 * Whatever was thrown as an error of the vault. What no room threw on purpose is `internal`, but for a file that could not be
 * opened because process or machine has no descriptor left: that is over when some clients are gone.
 */
export function asVaultError(thrown: unknown): VaultError {
  if (isVaultError(thrown)) return thrown;
  return new VaultError(isOutOfDescriptors(thrown) ? "overloaded" : "internal", undefined, { cause: thrown });
}

export function isOutOfDescriptors(thrown: unknown): boolean {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : null;
  return code === "EMFILE" || code === "ENFILE";
}

/** How an operation that ended with this error stands in its audit event. */
export function outcomeOf(code: ErrorCode): Outcome {
  const refused = [401, 403, 404].includes(STATUS[code]) || REFUSALS.has(code);
  return { result: refused ? "refused" : "failed", code };
}
