/**
 * Every error a caller can meet: a stable code, a constant title, why it happens, and what to do about it. The HTTP status
 * of each stands in http/, the exit code in cli/. A message never holds a value or a token; names stand only in `detail`, and only names
 * that the caller may know.
 */
export const ERRORS = {
  bad_request: {
    title: "The request could not be read",
    cause:
      "The body is not JSON as RFC 8259 has it, a header or the path is malformed, or the client went away while sending.",
    remedy: "Check the syntax of the body, the path and the headers.",
  },
  invalid_input: {
    title: "The input is not valid",
    cause: "A field is missing, unknown, or not of the form that it must have.",
    remedy: "Correct what is named and send it again.",
  },
  unauthenticated: {
    title: "No valid credential was given",
    cause: "No credential came with the request, or it is unknown, ended or expired, or its owner is disabled.",
    remedy: "Sign in again (`sallyport login`) or use a service user's token.",
  },
  sign_in_failed: {
    title: "Login or password is wrong",
    cause: "The org, the login or the password is not the right one; which of them is not said.",
    remedy: "Check the login, the org and the password.",
  },
  token_invalid: {
    title: "The token is unknown, used, expired or revoked",
    cause:
      "An injection token is good once, for a short time; a lease, set-up or tool token ends. Which of these it was is not said.",
    remedy: "Ask whoever issued it for a new one.",
  },
  runner_required: {
    title: "The token is bound: a runner's credential is needed too",
    cause:
      "The token was minted by somebody who may launch there but not take delivery, or the runner's credential is not one that may.",
    remedy: "Give a runner's credential too (`--runner-file`, or the header Sallyport-Runner).",
  },
  forbidden: {
    title: "Not allowed",
    cause: "You are known, and none of your roles and grants holds the permission at this place.",
    remedy: "Ask an admin for a grant that holds the missing permission.",
  },
  not_found: {
    title: "There is no such thing, or it is not for you to know",
    cause: "Nothing of this name stands there, or you may not know of it; which of the two is not said.",
    remedy: "Check the name and the org you are signed in to.",
  },
  already_exists: {
    title: "The name is taken",
    cause: "Something of this name, or with this key, stands there already.",
    remedy: "Choose another name, or change the existing thing.",
  },
  conflict: {
    title: "It was changed at the same time",
    cause: "Somebody else changed the same thing between your reading and your writing.",
    remedy: "Read it again and repeat the change.",
  },
  precondition_failed: {
    title: "The version is not the expected one",
    cause: "If-Match, If-None-Match or `--if-version` names another version than the current one.",
    remedy: "Read it again and send its version in If-Match.",
  },
  idempotency_reused: {
    title: "This Idempotency-Key was used before",
    cause: "A request with this key has made something before, in the last 24 hours.",
    remedy: "The first request took effect: see `id`. What it returned once cannot be returned again.",
  },
  in_use: {
    title: "Something still uses it",
    cause: "What you want to take away is needed by something that stands.",
    remedy: "Remove what is named first.",
  },
  disabled: {
    title: "It is disabled",
    cause: "The workload, environment, user or way of doing this was switched off.",
    remedy: "Enable it first.",
  },
  last_owner: {
    title: "The last owner stays",
    cause: "Without an owner nobody could manage the org any more.",
    remedy: "Make somebody else an owner first.",
  },
  limit_reached: {
    title: "A limit is reached",
    cause: "The org, or the thing that you add to, holds as many as it may.",
    remedy: "Remove something that is no longer used.",
  },
  not_deployed: {
    title: "The workload is not deployed in this environment",
    cause: "A launch takes the manifest version that is deployed in the environment, and there is none.",
    remedy: "Deploy a manifest version there (`sallyport deploy`).",
  },
  reference_refused: {
    title: "A variable's reference may not be made",
    cause:
      "A secret that a variable names is not there, may not be referenced by you or from this place, or its policy does not offer it.",
    remedy: "Correct what is named in the manifest, or ask an admin for the missing grant or policy.",
  },
  launch_refused: {
    title: "The launch cannot work as things are now",
    cause:
      "A secret is missing, a policy, grant or environment has changed, or the workload is disabled. Who may not know more is told no more.",
    remedy: "Correct what is named; where nothing is named, ask whoever deployed the workload.",
  },
  not_representable: {
    title: "A value cannot be written in this format",
    cause: "The format has no way to write these bytes so that they are read as they are.",
    remedy: "Use the JSON format for the variables named.",
  },
  destroyed: {
    title: "The value was destroyed",
    cause: "The version's bytes were taken away for good.",
    remedy: "Write a new version.",
  },
  method_not_allowed: {
    title: "The method is not offered here",
    cause: "The path exists, but not with this method.",
    remedy: "See the Allow header.",
  },
  not_acceptable: {
    title: "No offered format is accepted",
    cause: "The Accept header names only formats that this operation does not have.",
    remedy: "Ask for application/json.",
  },
  unsupported_media_type: {
    title: "The body must be JSON",
    cause: "The body has another Content-Type or charset, or is compressed.",
    remedy: "Send Content-Type: application/json, uncompressed, in UTF-8.",
  },
  payload_too_large: {
    title: "The request is too large",
    cause: "The body or the value is larger than what is taken.",
    remedy: "A body holds at most 1 MiB, a value 64 KiB.",
  },
  uri_too_long: {
    title: "The address is too long",
    cause: "Path and query are longer than any that the vault gives out.",
    remedy: "Shorten the path or the query.",
  },
  headers_too_large: {
    title: "The headers are too large",
    cause: "The headers together are larger than what is taken.",
    remedy: "Headers hold at most 16 KiB together.",
  },
  tls_required: {
    title: "This port speaks TLS, and the request came in plain HTTP",
    cause: "The address says http:// where the vault has a certificate.",
    remedy: "Use https:// in the address. What was sent could be read on the way.",
  },
  timeout: {
    title: "The request took too long to arrive",
    cause: "Headers or body came too slowly.",
    remedy: "Send it again, faster.",
  },
  rate_limited: {
    title: "Too many requests",
    cause: "This source, or this credential, sent more than its share, or showed too many wrong passwords.",
    remedy: "Wait for the time in Retry-After.",
  },
  overloaded: {
    title: "The vault is busy",
    cause: "More is at work than the vault takes on at one time; it refuses early rather than failing late.",
    remedy: "Try again after the time in Retry-After.",
  },
  sealed: {
    title: "The vault is sealed",
    cause: "The vault's root key is not in memory, so that no value can be opened.",
    remedy: "It must be unsealed at its machine.",
  },
  store_unavailable: {
    title: "The store cannot be written or read",
    cause: "The disk is full, read-only or failing, or the database does not answer.",
    remedy: "Nothing was done. Look at the server's log and /readyz.",
  },
  outcome_unknown: {
    title: "It is not known whether this took effect",
    cause: "The disk failed while it was made durable: it may be there or not.",
    remedy: "Read the state before trying again.",
  },
  integrity_failed: {
    title: "A stored row does not prove itself",
    cause: "A row of the database was changed by something else than this vault, or the disk changed it.",
    remedy: "It was refused. Run `sallyport audit verify` and restore from a backup.",
  },
  config_invalid: {
    title: "A setting is wrong",
    cause: "An option, a variable or the settings file holds what cannot be used.",
    remedy: "Correct what is named; `sallyport up --help` lists the settings.",
  },
  key_file_unsafe: {
    title: "A key file can be read or replaced by others",
    cause: "Its mode, its owner, or a link lets somebody else read or replace it.",
    remedy: "Make it yours alone: `chown` it to the vault's user, `chmod 600`, no symbolic link.",
  },
  key_file_invalid: {
    title: "A key file is not one of this vault",
    cause: "It is damaged, or belongs to another vault's database.",
    remedy: "Put back the key file that belongs to this database.",
  },
  key_file_missing: {
    title: "The database is there, but its key file is not",
    cause: "The folder of keys is another one, or the file was lost.",
    remedy: "Restore the key file from where you keep its copy; without it the values cannot be read.",
  },
  folder_in_use: {
    title: "Another vault uses this data folder",
    cause: "Another process holds the lock of the data folder.",
    remedy: "Stop the other process, or choose another folder (`--data`).",
  },
  schema_unknown: {
    title: "The database was written by another version or is not a vault's",
    cause: "A newer version wrote it, it is another program's database, or it is damaged.",
    remedy: "Start the version that wrote it, or choose another folder (`--data`).",
  },
  migration_needed: {
    title: "The database has an older schema than this version needs",
    cause: "The vault's own role may not change the schema, so a new version's migration takes the owner's.",
    remedy: "Run `sallyport db migrate` with the owner's URL, or set SALLYPORT_STORE_MIGRATE for the start.",
  },
  role_unsafe: {
    title: "The vault's role in the database may do too much",
    cause:
      "It is a superuser, owns tables, can pass by the row policies or can change the schema: one mistake would reach every org.",
    remedy: "Make the roles with what `sallyport db roles` prints, and give the vault the URL of the service's.",
  },
  database_rolled_back: {
    title: "The database is older than its last checkpoint",
    cause: "The checkpoint file tells of audit events that the database does not have: an older copy was put back.",
    remedy: "Put back the newest database. For a backup restored on purpose, move the checkpoint file away.",
  },
  copy_unfinished: {
    title: "The database holds a copy of a vault that is not finished",
    cause: "`sallyport migrate` ended before everything was there, or found that something had not arrived as it was.",
    remedy: "Run the same `sallyport migrate` again: it goes on. The vault that it came from is whole.",
  },
  target_not_empty: {
    title: "The database to copy to holds something already",
    cause:
      "A vault is copied to a database that has no rows at all, or that holds an unfinished copy of the same vault.",
    remedy: "Choose another folder or database, or take away what is there.",
  },
  address_in_use: {
    title: "The address to listen on is taken",
    cause: "Another process listens on this address and port, or on the socket in the data folder.",
    remedy: "Stop what listens there, or choose another (`--listen`, for the socket `--data`).",
  },
  unreachable: {
    title: "The vault does not answer",
    cause: "Nothing listens there, the network or TLS does not let it through, or what answers is no vault.",
    remedy: "Check that it runs (`sallyport up`) and the address (`--address`).",
  },
  internal: {
    title: "The vault failed",
    cause: "A fault of the vault itself; its log holds the cause under the request id.",
    remedy: "Report the request id to whoever runs the vault.",
  },
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
