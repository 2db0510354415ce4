/**
 * secrets: names that stand for values.
 *
 * Everything about a secret but its value can be seen by whoever may list it; a value goes in by a write, sealed for its
 * place, and out only by a reveal, whose reason is recorded first, or by injection/. A copy is sealed anew for its place,
 * and gives nobody a value that was not theirs to take. Deleted secrets can be brought back for a while; destroyed values
 * cannot.
 */
export { Bulk } from "./bulk.ts";
export type { BulkAction, BulkItem, BulkResult } from "./bulk.ts";
export { Comparison } from "./comparison.ts";
export type { Compared } from "./comparison.ts";
export { Copies } from "./copies.ts";
export type { Copied, CopyRequest } from "./copy-plan.ts";
export { Destruction } from "./destruction.ts";
export { lastUsesOf } from "./last-use.ts";
export type { LastUse } from "./last-use.ts";
export { standing } from "./scope.ts";
export type { SecretAt } from "./scope.ts";
export { Secrets } from "./secrets.ts";
export type { Metadata } from "./secrets.ts";
export type { ListFilter, SearchFilter } from "./search.ts";
export { offers } from "./policy.ts";
export type { PolicyNames } from "./policy.ts";
export type { SecretUse, SecretUsers } from "./users.ts";
export { MOST_BYTES, Values } from "./values.ts";
export type { Head } from "./values.ts";
export { Versions } from "./versions.ts";
export type { VersionView, WriteConditions } from "./versions.ts";
export type { SecretView } from "./view.ts";
export { Writes } from "./writes.ts";
