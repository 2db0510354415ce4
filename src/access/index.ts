/**
 * access: who may do what, where, now.
 *
 * The permission table is data, `decide()` is a pure function of it, the guard asks it at the start of every operation and
 * issues the permit without which nothing is read or written. Orgs, environments, namespaces and grants, what decisions are
 * made of, live here too. It does not know passwords or tokens: identity/ says who is acting.
 */
export { AuditView } from "./audit-view.ts";
export type { ChainName, EventFilter, EventView } from "./audit-view.ts";
export { covers, decide, mayReach } from "./decide.ts";
export type { AccessFacts, Decision, Place, Subject } from "./decide.ts";
export { Environments, differences } from "./environments.ts";
export type { EnvironmentUpdate } from "./environments.ts";
export { DEFAULT_WORKLOAD, foundOrg } from "./founding.ts";
export { keyAges, keyRow, keySource, rowIntegrity } from "./keys.ts";
export type { KeyAges } from "./keys.ts";
export { tamperAlarm } from "./tamper-alarm.ts";
export { Grants, endGrants } from "./grants.ts";
export type { GrantRequest, GrantView } from "./grants.ts";
export { environmentNamed, namespaceNamed, placeOfLaunch } from "./find.ts";
export { Guard } from "./guard.ts";
export { Knowledge } from "./knowledge.ts";
export { Namespaces } from "./namespaces.ts";
export { OrgSettings } from "./org.ts";
export type { OrgView } from "./org.ts";
export { namesOf, principalOf } from "./principal.ts";
export { HOLDERS, isGrantRole, permissionsOf, roleTable } from "./roles.ts";
export type { Role } from "./roles.ts";
export { Tally } from "./tally.ts";
export type { UnknownReason } from "./tally.ts";
export { notKnown } from "./unknown.ts";
export { inScopes, namespacesIn } from "./visible.ts";
export type { LaunchPlace, PlaceOf, ScopePlace, Where, WorkloadPlace } from "./where.ts";
