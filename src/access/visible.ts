import type { Id, Permission } from "#base";
import { noneOf, oneOf } from "#storage";
import type { Reader, Row, ScopeSet, Where } from "#storage";
import { decide } from "./decide.ts";
import type { Known } from "./knowledge.ts";
import { orgRoleHolds } from "./roles.ts";

/**
 * Every pair of environment and namespace in which the subject may do this. Namespaces that no grant mentions are decided
 * once per environment, so that 1,500 environments cost 1,500 decisions and a few more.
 */
export async function scopesOf(
  { subject, facts }: Known,
  action: Permission,
  reader: Reader,
  now: Date,
): Promise<ScopeSet> {
  if (orgRoleHolds(subject.orgRole, action) && !(action === "secret.reveal" && facts.settings.reveal === "nobody"))
    return { all: true };
  const [environments, namespaces] = await Promise.all([
    reader.list("environments", { where: { state: noneOf(["deleted"]) } }),
    reader.list("namespaces", { where: { state: "active" } }),
  ]);
  const mentioned = new Set(facts.grants.map((grant) => grant.namespaceId).filter((id) => id !== null));
  const groups = new Map<string, { environments: Id<"env">[]; namespaces: readonly Id<"nsp">[] }>();
  for (const environment of environments) {
    const allows = (namespace: (typeof namespaces)[number] | null): boolean =>
      decide(subject, action, { org: subject.org, environment, namespace, workload: null }, facts, now).allowed;
    const unmentioned = allows(null);
    const allowed = namespaces
      .filter((namespace) => (mentioned.has(namespace.id) ? allows(namespace) : unmentioned))
      .map((namespace) => namespace.id);
    if (allowed.length === 0) continue;
    const key = allowed.join();
    const group = groups.get(key) ?? { environments: [], namespaces: allowed };
    group.environments.push(environment.id);
    groups.set(key, group);
  }
  return { all: false, groups: [...groups.values()] };
}

/** What a list may show: the scopes, without the workloads that are closed to the subject, with those it was granted. */
export interface Seen {
  readonly scopes: ScopeSet;
  /** Explicit workloads that the subject may not see, whatever the scope says. */
  readonly hidden: readonly Id<"wkl">[];
  /** Workloads seen by a grant on the workload itself, whatever the scope says. */
  readonly granted: readonly Id<"wkl">[];
  /**
   * Of rows that lie in an environment and may be about a workload (events, launches): those that match one of these. What
   * was granted on a workload counts in the environments it was granted in, and an explicit workload nowhere else.
   */
  readonly rows: readonly Where<"injections">[] | "all";
}

/** {@link scopesOf}, and the workloads that are an exception to it. */
export async function seenBy(known: Known, action: Permission, reader: Reader, now: Date): Promise<Seen> {
  const scopes = await scopesOf(known, action, reader, now);
  if (scopes.all) return { scopes, hidden: [], granted: [], rows: "all" };
  const { subject, facts } = known;
  const mentioned = facts.grants.map((grant) => grant.workloadId).filter((id) => id !== null);
  const [explicit, named, environments, namespaces] = await Promise.all([
    reader.list("workloads", { where: { access: "explicit" } }),
    reader.list("workloads", { where: { id: oneOf(mentioned), state: noneOf(["deleted"]) } }),
    reader.list("environments", { where: { state: noneOf(["deleted"]) } }),
    reader.list("namespaces", { where: { state: "active" } }),
  ]);
  const exceptions = new Map([...explicit, ...named].map((workload) => [workload.id, workload]));
  const seenIn = new Map<Id<"wkl">, readonly Id<"env">[]>();
  for (const workload of exceptions.values()) {
    const namespace = namespaces.find((one) => one.id === workload.namespaceId) ?? null;
    const seen = [null, ...environments].filter(
      (environment) =>
        decide(subject, action, { org: subject.org, environment, namespace, workload }, facts, now).allowed,
    );
    const ids = seen.map((environment) => environment?.id).filter((id) => id !== undefined);
    if (seen.length > 0) seenIn.set(workload.id, ids);
  }
  const hidden = explicit.filter((workload) => !seenIn.has(workload.id)).map((workload) => workload.id);
  const granted = [...seenIn].map(([workloadId, ids]) => ({ workloadId, environmentId: oneOf(ids) }));
  const rows = [...inScopesBut(scopes.groups, explicit), ...granted];
  return { scopes, hidden, granted: [...seenIn.keys()], rows };
}

function inScopesBut(
  groups: Extract<ScopeSet, { all: false }>["groups"],
  explicit: readonly Row<"workloads">[],
): Where<"injections">[] {
  return groups.map((group) => ({
    environmentId: oneOf(group.environments),
    namespaceId: oneOf(group.namespaces),
    workloadId: noneOf(explicit.map((workload) => workload.id)),
  }));
}

/** Whether a pair is in the set. */
export function inScopes(scopes: ScopeSet, environment: Id<"env"> | null, namespace: Id<"nsp"> | null): boolean {
  if (scopes.all) return true;
  if (environment === null || namespace === null) return false;
  return scopes.groups.some(
    (group) => group.environments.includes(environment) && group.namespaces.includes(namespace),
  );
}

/** Namespaces that are in the set in some environment. */
export function namespacesIn(scopes: ScopeSet): readonly Id<"nsp">[] | "all" {
  return scopes.all ? "all" : [...new Set(scopes.groups.flatMap((group) => group.namespaces))];
}

/** Environments that are in the set in some namespace. */
export function environmentsIn(scopes: ScopeSet): readonly Id<"env">[] | "all" {
  return scopes.all ? "all" : [...new Set(scopes.groups.flatMap((group) => group.environments))];
}
