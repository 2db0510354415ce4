import type { Id, OrgRole, Permission, ServiceKind } from "#base";
import type { Row } from "#storage";
import { EVERYBODYS, orgRoleHolds, permissionsOf } from "./roles.ts";

/** Who is decided on, as the principal's row says now. */
export interface Subject {
  readonly id: Id<"prn">;
  readonly org: Id<"org">;
  readonly active: boolean;
  readonly orgRole: OrgRole | null;
  readonly kind: ServiceKind | null;
  readonly instanceAdmin: boolean;
}

/** What is decided on. `null` stands for "not about one": an org has no environment. */
export interface Place {
  readonly org: Id<"org">;
  readonly environment: Row<"environments"> | null;
  readonly namespace: Row<"namespaces"> | null;
  readonly workload: Row<"workloads"> | null;
}

/** What the decision looks at beside the two: loaded once per request. */
export interface AccessFacts {
  readonly grants: readonly Row<"grants">[];
  readonly settings: Pick<Row<"orgSettings">, "reveal" | "viewerAudit">;
}

export interface Decision {
  readonly allowed: boolean;
  /** The rule, and the grant by its id. Holds no name. */
  readonly because: string;
  readonly missing: Permission | null;
  /** Whether the subject may know that the place exists at all. */
  readonly visible: boolean;
}

/** A disabled environment or workload launches nothing and takes nothing; looking stays possible. */
const STOPPED_BY_DISABLED: ReadonlySet<Permission> = new Set<Permission>([
  "workload.run",
  "injection.receive",
  "workload.deploy",
  "workload.edit",
  "secret.write",
  "secret.reference",
]);

interface Source {
  readonly role: string;
  readonly because: string;
  readonly permissions: ReadonlySet<Permission>;
}

/**
 * May this subject do this here, now? Pure; default deny. In this order: the subject is active and of the same org; a deny
 * that bears on the action stands; the org role; the union of the grants that cover the place; the default of the
 * environment's mode.
 *
 * An environment or namespace grant puts the default out, even if it gives less; a workload or org-wide grant does not. For
 * a workload whose access is `explicit` only grants on that very workload count, and no default; its creator builds it.
 */
export function decide(subject: Subject, action: Permission, place: Place, facts: AccessFacts, now: Date): Decision {
  if (!subject.active || subject.org !== place.org)
    return { allowed: false, because: "not an active principal of this org", missing: null, visible: false };
  if (EVERYBODYS.has(action)) return { allowed: true, because: "everybody's", missing: null, visible: true };
  if (action === "instance.admin") {
    return subject.instanceAdmin
      ? { allowed: true, because: "instance admin", missing: null, visible: true }
      : { allowed: false, because: "not an instance admin", missing: action, visible: false };
  }
  const sources = sourcesAt(subject, place, facts, now);
  const visible = isOwnOrg(place) || isAdmin(subject) || sources.some((source) => source.permissions.size > 0);
  const denied = denial(action, place, facts);
  if (denied !== null) return { allowed: false, because: denied, missing: null, visible };
  if (orgRoleHolds(subject.orgRole, action))
    return { allowed: true, because: `org role ${String(subject.orgRole)}`, missing: null, visible };
  const source = sources.find((one) => one.permissions.has(action));
  if (source !== undefined) return { allowed: true, because: source.because, missing: null, visible };
  if (action === "injection.receive" && place.environment?.localRun === true) {
    const run = sources.find((one) => one.permissions.has("workload.run"));
    if (run !== undefined)
      return { allowed: true, because: `local runs are on here; ${run.because}`, missing: null, visible };
  }
  return { allowed: false, because: "nothing allows it", missing: action, visible };
}

/** Which roles reach the subject at the place: the org role, those of its grants, and the default. */
export function rolesAt(subject: Subject, place: Place, facts: AccessFacts, now: Date): string[] {
  const own = isAdmin(subject) ? [String(subject.orgRole)] : [];
  return [...own, ...sourcesAt(subject, place, facts, now).map((source) => source.role)];
}

/** The org as such is known to everybody in it. */
function isOwnOrg({ environment, namespace, workload }: Place): boolean {
  return environment === null && namespace === null && workload === null;
}

function isAdmin({ orgRole }: Subject): boolean {
  return orgRole === "owner" || orgRole === "admin";
}

function denial(action: Permission, { environment, workload }: Place, facts: AccessFacts): string | null {
  if (action === "secret.reveal" && facts.settings.reveal === "nobody") return "the org reveals to nobody";
  if (!STOPPED_BY_DISABLED.has(action)) return null;
  if (environment?.state === "disabled") return "the environment is disabled";
  if (workload?.state === "disabled" && action !== "secret.reference") return "the workload is disabled";
  return null;
}

/** The grants and defaults that reach the place. */
function sourcesAt(subject: Subject, place: Place, facts: AccessFacts, now: Date): Source[] {
  const covering = facts.grants.filter((grant) => covers(grant, place, now));
  if (place.workload?.access !== "explicit")
    return [...covering.map((grant) => given(grant, facts)), ...standing(subject, place, covering, facts)];
  const own = covering.filter((grant) => grant.workloadId !== null).map((grant) => given(grant, facts));
  if (place.workload.createdBy !== subject.id) return own;
  // The creator builds it wherever it could be created by them now: in no environment that is closed to them, and no
  // longer than they have a place there.
  const ordinary = [...covering.map((grant) => given(grant, facts)), ...standing(subject, place, covering, facts)];
  if (!ordinary.some((source) => source.permissions.has("workload.create"))) return own;
  return [
    ...own,
    { role: "builder", because: "created the workload (builder)", permissions: permissionsOf("builder") },
  ];
}

function given(grant: Row<"grants">, facts: AccessFacts): Source {
  return { role: grant.role, because: `grant ${grant.id} (${grant.role})`, permissions: held(grant.role, facts) };
}

/** The default of the environment's mode, unless an environment or namespace grant puts it out. */
function standing(subject: Subject, place: Place, covering: readonly Row<"grants">[], facts: AccessFacts): Source[] {
  const direct = covering.some(
    (grant) => grant.workloadId === null && (grant.environmentId !== null || grant.namespaceId !== null),
  );
  const role = direct ? null : defaultRole(subject, place.environment);
  if (role === null) return [];
  return [
    {
      role,
      because: `default of a mode, ${String(place.environment?.mode)} (${role})`,
      permissions: held(role, facts),
    },
  ];
}

function held(role: string, facts: AccessFacts): ReadonlySet<Permission> {
  const permissions = permissionsOf(role);
  if (role !== "viewer" || facts.settings.viewerAudit === "scope") return permissions;
  return new Set([...permissions].filter((one) => one !== "audit.read"));
}

/** Whether the grant's place contains this one, and now is in its time. */
export function covers(grant: Row<"grants">, place: Place, now: Date): boolean {
  return (
    isInTime(grant, now) &&
    (grant.environmentId === null || grant.environmentId === place.environment?.id) &&
    (grant.namespaceId === null || grant.namespaceId === place.namespace?.id) &&
    (grant.workloadId === null || grant.workloadId === place.workload?.id)
  );
}

/** Whether the grant counts now, wherever it does. */
export function isInTime({ state, startsAt, endsAt }: Row<"grants">, now: Date): boolean {
  return state === "active" && (startsAt === null || startsAt <= now) && (endsAt === null || endsAt > now);
}

/** DESIGN 3.1: what a mode gives to members and `ci` service users who have no grant. Everybody else gets nothing. */
function defaultRole(subject: Subject, environment: Row<"environments"> | null): "contributor" | "viewer" | null {
  if (environment === null || environment.state === "deleted") return null;
  if (subject.orgRole !== "member" && subject.kind !== "ci") return null;
  switch (environment.mode) {
    case "open":
      return "contributor";
    case "restricted":
      return "viewer";
    case "private":
      return null;
  }
}

/** The cross-environment rule: into itself, or into an open one. It looks at nothing else. */
export function mayReach(source: Row<"environments">, target: Row<"environments">): boolean {
  return source.id === target.id || target.mode === "open";
}
