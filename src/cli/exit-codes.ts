import { isVaultError } from "#base";
import { CliError } from "./error.ts";
import type { CliCode } from "./error.ts";

/** What each exit code means; the main help and README.md print this table. */
export const EXIT_MEANINGS: readonly (readonly [code: string, meaning: string])[] = [
  ["0", "done"],
  ["1", "another failure; also: `audit verify` found a fault, `secret compare` a difference"],
  ["2", "the command is not written as its help says"],
  ["3", "not signed in, or the credential was refused"],
  ["4", "not allowed"],
  ["5", "no such thing"],
  ["6", "it exists already, was changed meanwhile, or its state does not allow this"],
  ["7", "the input is not valid"],
  ["8", "the vault does not answer, or is not available now"],
  ["9", "too many requests"],
  ["20-31", "`up`: the vault did not start; each cause has its own"],
  ["125", "`run`: the launch failed before the command was started"],
  ["126", "`run`: the command cannot be executed"],
  ["127", "`run`: the command was not found"],
  ["128+N", "`run`: the command was ended by signal N; 130 after Ctrl-C at a question"],
];

/** `run`: nothing was started, as env(1) says it. */
export const EXIT_NOT_LAUNCHED = 125;

const EXIT_OTHER = 1;
const EXIT_UNAVAILABLE = 8;

/** The exit code of every error there is. Those of 20 and up are met by `up` only, at its start. */
export const EXIT_CODES: Readonly<Record<CliCode, number>> = {
  usage: 2,
  interrupted: 130,
  not_an_environment: 7,
  not_text: 7,
  unknown_variable: 5,

  unauthenticated: 3,
  sign_in_failed: 3,
  token_invalid: 3,
  runner_required: 3,

  forbidden: 4,

  not_found: 5,
  destroyed: 5,

  already_exists: 6,
  target_not_empty: 6,
  conflict: 6,
  precondition_failed: 6,
  idempotency_reused: 6,
  in_use: 6,
  disabled: 6,
  last_owner: 6,
  limit_reached: 6,
  not_deployed: 6,
  launch_refused: 6,

  bad_request: 7,
  invalid_input: 7,
  reference_refused: 7,
  not_representable: 7,
  method_not_allowed: 7,
  not_acceptable: 7,
  unsupported_media_type: 7,
  payload_too_large: 7,
  uri_too_long: 7,
  headers_too_large: 7,
  tls_required: 7,

  unreachable: EXIT_UNAVAILABLE,
  timeout: EXIT_UNAVAILABLE,
  overloaded: EXIT_UNAVAILABLE,
  sealed: EXIT_UNAVAILABLE,

  rate_limited: 9,

  config_invalid: 20,
  key_file_unsafe: 21,
  key_file_invalid: 22,
  key_file_missing: 23,
  folder_in_use: 24,
  schema_unknown: 25,
  database_rolled_back: 26,
  address_in_use: 27,
  store_unavailable: 28,
  migration_needed: 29,
  role_unsafe: 30,
  copy_unfinished: 31,

  outcome_unknown: EXIT_OTHER,
  integrity_failed: EXIT_OTHER,
  internal: EXIT_OTHER,
};

/**
 * The exit code for whatever was thrown. A code that a running vault sent with status 503 is 8: `store_unavailable` is 28
 * only where this process itself could not open its store.
 */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.status === 503 ? EXIT_UNAVAILABLE : EXIT_CODES[error.code];
  return isVaultError(error) ? EXIT_CODES[error.code] : EXIT_OTHER;
}
