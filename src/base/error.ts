/**
 * Every error a caller can meet: a stable code, a constant title, and what to do about it. The HTTP status of each stands
 * in http/, the exit code in cli/. A message never holds a value or a token; names stand only in `detail`, and only names
 * that the caller may know.
 */
export const ERRORS = {
  bad_request: {
    title: "The request could not be read",
    remedy: "Check the syntax of the body, the path and the headers.",
  },
  invalid_input: { title: "The input is not valid", remedy: "Correct what is named and send it again." },
  unauthenticated: {
    title: "No valid credential was given",
    remedy: "Sign in again (`sallyport login`) or use a service user's token.",
  },
  sign_in_failed: { title: "Login or password is wrong", remedy: "Check the login, the org and the password." },
  token_invalid: {
    title: "The token is unknown, used, expired or revoked",
    remedy: "Ask whoever issued it for a new one.",
  },
  runner_required: {
    title: "The token is bound: a runner's credential is needed too",
    remedy: "Give a runner's credential too (`--runner-file`, or the header Sallyport-Runner).",
  },
  forbidden: { title: "Not allowed", remedy: "Ask an admin for a grant that holds the missing permission." },
  not_found: {
    title: "There is no such thing, or it is not for you to know",
    remedy: "Check the name and the org you are signed in to.",
  },
  already_exists: { title: "The name is taken", remedy: "Choose another name, or change the existing thing." },
  conflict: { title: "It was changed at the same time", remedy: "Read it again and repeat the change." },
  precondition_failed: {
    title: "The version is not the expected one",
    remedy: "Read it again and send its version in If-Match.",
  },
  idempotency_reused: {
    title: "This Idempotency-Key was used before",
    remedy: "The first request took effect: see `id`. What it returned once cannot be returned again.",
  },
  in_use: { title: "Something still uses it", remedy: "Remove what is named first." },
  disabled: { title: "It is disabled", remedy: "Enable it first." },
  last_owner: { title: "The last owner stays", remedy: "Make somebody else an owner first." },
  limit_reached: { title: "A limit is reached", remedy: "Remove something that is no longer used." },
  not_deployed: {
    title: "The workload is not deployed in this environment",
    remedy: "Deploy a manifest version there (`sallyport deploy`).",
  },
  reference_refused: {
    title: "A variable's reference may not be made",
    remedy: "Correct what is named in the manifest, or ask an admin for the missing grant or policy.",
  },
  launch_refused: {
    title: "The launch cannot work as things are now",
    remedy: "Correct what is named; where nothing is named, ask whoever deployed the workload.",
  },
  not_representable: {
    title: "A value cannot be written in this format",
    remedy: "Use the JSON format for the variables named.",
  },
  destroyed: { title: "The value was destroyed", remedy: "Write a new version." },
  method_not_allowed: { title: "The method is not offered here", remedy: "See the Allow header." },
  not_acceptable: { title: "No offered format is accepted", remedy: "Ask for application/json." },
  unsupported_media_type: {
    title: "The body must be JSON",
    remedy: "Send Content-Type: application/json, uncompressed, in UTF-8.",
  },
  payload_too_large: { title: "The request is too large", remedy: "A body holds at most 1 MiB, a value 64 KiB." },
  uri_too_long: { title: "The address is too long", remedy: "Shorten the path or the query." },
  headers_too_large: { title: "The headers are too large", remedy: "Headers hold at most 16 KiB together." },
  timeout: { title: "The request took too long to arrive", remedy: "Send it again, faster." },
  rate_limited: { title: "Too many requests", remedy: "Wait for the time in Retry-After." },
  overloaded: { title: "The vault is busy", remedy: "Try again after the time in Retry-After." },
  sealed: { title: "The vault is sealed", remedy: "It must be unsealed at its machine." },
  store_unavailable: {
    title: "The store cannot be written or read",
    remedy: "Nothing was done. Look at the server's log and /readyz.",
  },
  outcome_unknown: { title: "It is not known whether this took effect", remedy: "Read the state before trying again." },
  integrity_failed: {
    title: "A stored row does not prove itself",
    remedy: "It was refused. Run `sallyport audit verify` and restore from a backup.",
  },
  config_invalid: {
    title: "A setting is wrong",
    remedy: "Correct what is named; `sallyport up --help` lists the settings.",
  },
  key_file_unsafe: {
    title: "A key file can be read or replaced by others",
    remedy: "Make it yours alone: `chown` it to the vault's user, `chmod 600`, no symbolic link.",
  },
  key_file_invalid: {
    title: "A key file is not one of this vault",
    remedy: "Put back the key file that belongs to this database.",
  },
  key_file_missing: {
    title: "The database is there, but its key file is not",
    remedy: "Restore the key file from where you keep its copy; without it the values cannot be read.",
  },
  folder_in_use: {
    title: "Another vault uses this data folder",
    remedy: "Stop the other process, or choose another folder (`--data`).",
  },
  schema_unknown: {
    title: "The database was written by another version or is not a vault's",
    remedy: "Start the version that wrote it, or choose another folder (`--data`).",
  },
  database_rolled_back: {
    title: "The database is older than its last checkpoint",
    remedy: "Put back the newest database. For a backup restored on purpose, move the checkpoint file away.",
  },
  address_in_use: {
    title: "The address to listen on is taken",
    remedy: "Stop what listens there, or choose another (`--listen`).",
  },
  unreachable: {
    title: "The vault does not answer",
    remedy: "Check that it runs (`sallyport up`) and the address (`--address`).",
  },
  internal: { title: "The vault failed", remedy: "Report the request id to whoever runs the vault." },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** Fields beside the code that the caller may see. */
export interface ErrorDetail {
  /** What is wrong with which field of the request. */
  readonly faults?: readonly { readonly field: string; readonly message: string }[];
  /** The permission that is missing and where, for callers who may know that the thing exists. */
  readonly missing?: { readonly permission: string; readonly on: string };
  /** Variables of a manifest with what is wrong with each. */
  readonly variables?: readonly { readonly variable: string; readonly reason: string }[];
  readonly usedBy?: readonly string[];
  readonly id?: string;
  readonly retryAfterSeconds?: number;
  readonly allow?: string;
}

/** The only error that leaves a room on purpose. `cause` goes to the log, never to the caller. */
export class VaultError extends Error {
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, message?: string, options: { detail?: ErrorDetail; cause?: unknown } = {}) {
    super(message ?? ERRORS[code].title, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "VaultError";
    this.code = code;
    this.detail = options.detail ?? {};
  }
}

export function isVaultError(error: unknown, code?: ErrorCode): error is VaultError {
  return error instanceof VaultError && (code === undefined || error.code === code);
}
