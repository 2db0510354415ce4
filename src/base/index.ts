/**
 * base: the words every room speaks.
 *
 * Errors and their codes, branded ids, names, permissions, actors, calls and permits, time, sizes and spans as a
 * person reads them, and the wrapper that keeps a value out of logs. Nothing here does I/O and nothing here knows a room
 * above it.
 */
export { ERRORS, VaultError, isVaultError } from "./error.ts";
export type { ErrorCode, ErrorDetail } from "./error.ts";
export { ID_PREFIXES, INSTANCE, bytesToId, idToBytes, isId, makeId, parseId, timeOfId } from "./id.ts";
export type { Id, IdPrefix, IdSource } from "./id.ts";
export { NAME, LOGIN, RESERVED_NAMES, SECRET_NAME, VARIABLE_NAME, isDangerousVariable } from "./name.ts";
export { PERMISSIONS } from "./permission.ts";
export type { Permission } from "./permission.ts";
export { Call, GRANT_ROLES } from "./authority.ts";
export type {
  Actor,
  EventChange,
  EventDraft,
  EventTarget,
  GrantRole,
  OrgRole,
  Outcome,
  Permit,
  ServiceKind,
} from "./authority.ts";
export { formatSize, formatSpan } from "./quantity.ts";
export { Redacted } from "./redacted.ts";
export { isLoopback, sourceOf } from "./address.ts";
export { decodeBase32, encodeBase32 } from "./base32.ts";
export { DAY, HOUR, MINUTE, SECOND, parseDuration, systemClock } from "./time.ts";
export type { Clock } from "./time.ts";
export { Turns } from "./turns.ts";
