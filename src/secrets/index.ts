/**
 * secrets: names that stand for values.
 *
 * Everything about a secret but its value can be seen by whoever may list it; a value goes in by a write, sealed for its
 * place, and out only by a reveal, whose reason is recorded first, or by injection/. Deleted secrets can be brought back
 * for a while; destroyed values cannot.
 */
export { Secrets } from "./secrets.ts";
export type { Metadata, SecretAt, SecretFilter } from "./secrets.ts";
export { offers } from "./policy.ts";
export type { PolicyNames } from "./policy.ts";
export { MOST_BYTES, Values } from "./values.ts";
export type { Head } from "./values.ts";
export { Versions } from "./versions.ts";
export type { VersionView, WriteConditions } from "./versions.ts";
export type { SecretView } from "./view.ts";
