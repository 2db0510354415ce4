import type { EventDraft, Id } from "#base";
import { noneOf, oneOf } from "#storage";
import type { Reader, Row } from "#storage";
import type { Place } from "./decide.ts";
import type { Known } from "./knowledge.ts";
import type { LaunchPlace, Where } from "./where.ts";

export type EventScope = Pick<EventDraft, "environment" | "namespace" | "workload">;
export const NOWHERE: EventScope = { environment: null, namespace: null, workload: null };

/** What the guard looked up before it decides. */
export interface Found {
  /** What the operation gets: the rows, or `null` where there are none to get. */
  readonly rows: unknown;
  readonly scope: EventScope;
  /** One decision for each: `some` or `every` must allow. */
  readonly places: readonly Place[];
  readonly rule: "some" | "every";
}

/**
 * The rows that a place names, with every place that is to be decided on. `null` when something of it is not there.
 */
export async function find(reader: Reader, known: Known, org: Id<"org">, where: Where): Promise<Found | null> {
  const bare: Place = { org, environment: null, namespace: null, workload: null };
  switch (where.on) {
    case "self":
    case "instance":
    case "new-org":
    case "org":
      return { rows: null, scope: NOWHERE, places: [bare], rule: "some" };
    case "environment": {
      const environment = await environmentNamed(reader, where.environment);
      if (environment === null) return null;
      // Whoever was granted a namespace of it knows the environment too.
      const mentioned = known.facts.grants.map((grant) => grant.namespaceId).filter((id) => id !== null);
      const namespaces = await reader.list("namespaces", { where: { id: oneOf(mentioned), state: "active" } });
      const places = [null, ...namespaces].map((namespace) => ({ ...bare, environment, namespace }));
      return { rows: { environment }, scope: { ...NOWHERE, environment }, places, rule: "some" };
    }
    case "namespace": {
      const namespace = await namespaceNamed(reader, where.namespace);
      if (namespace === null) return null;
      const places = await everywhere(reader, known, { ...bare, namespace });
      return { rows: { namespace }, scope: { ...NOWHERE, namespace }, places, rule: "some" };
    }
    case "scope": {
      const [environment, namespace] = await Promise.all([
        environmentNamed(reader, where.environment),
        namespaceNamed(reader, where.namespace),
      ]);
      if (environment === null || namespace === null) return null;
      const rows = { environment, namespace };
      return { rows, scope: { ...NOWHERE, ...rows }, places: [{ ...bare, ...rows }], rule: "some" };
    }
    case "workload": {
      const rows = await workloadNamed(reader, where.namespace, where.workload);
      if (rows === null) return null;
      const deployments =
        where.in === "deployed"
          ? await reader.list("deployments", { where: { workloadId: rows.workload.id, state: "active" } })
          : [];
      const deployed = await environmentsOf(reader, deployments);
      const places =
        deployed.length > 0
          ? deployed.map((environment) => ({ ...bare, ...rows, environment }))
          : await everywhere(reader, known, { ...bare, ...rows });
      return {
        rows: { ...rows, deployments },
        scope: { ...NOWHERE, ...rows },
        places,
        rule: deployed.length > 0 ? "every" : "some",
      };
    }
    case "injection": {
      const injection = await reader.get("injections", { id: where.id });
      const launch = injection === null ? null : await placeOfLaunch(reader, injection);
      if (launch === null) return null;
      // A launch can be ended where none may begin: that its place is disabled is a reason to, not one against.
      const place: Place = {
        ...bare,
        namespace: launch.namespace,
        environment: { ...launch.environment, state: "active" },
        workload: { ...launch.workload, state: "active" },
      };
      return { rows: { ...launch, injection }, scope: launch, places: [place], rule: "some" };
    }
    case "workload-in": {
      const [environment, named] = await Promise.all([
        environmentNamed(reader, where.environment),
        workloadNamed(reader, where.namespace, where.workload),
      ]);
      if (environment === null || named === null) return null;
      const rows = { environment, ...named };
      return { rows, scope: rows, places: [{ ...bare, ...rows }], rule: "some" };
    }
  }
}

/** The place in every environment, and in none: for what is not about one. Owners and admins need no list. */
export async function everywhere(reader: Reader, { subject }: Known, place: Place): Promise<readonly Place[]> {
  if (subject.orgRole === "owner" || subject.orgRole === "admin") return [place];
  const environments = await reader.list("environments", { where: { state: noneOf(["deleted"]) } });
  return [place, ...environments.map((environment) => ({ ...place, environment }))];
}

/** The environment that stands under this name. */
export function environmentNamed(reader: Reader, name: string): Promise<Row<"environments"> | null> {
  return reader.get("environments", { name, state: noneOf(["deleted"]) });
}

export function namespaceNamed(reader: Reader, name: string): Promise<Row<"namespaces"> | null> {
  return reader.get("namespaces", { name, state: "active" });
}

export async function workloadNamed(
  reader: Reader,
  namespaceName: string,
  name: string,
): Promise<{ namespace: Row<"namespaces">; workload: Row<"workloads"> } | null> {
  const namespace = await namespaceNamed(reader, namespaceName);
  if (namespace === null) return null;
  const workload = await reader.get("workloads", { namespaceId: namespace.id, name, state: noneOf(["deleted"]) });
  return workload === null ? null : { namespace, workload };
}

/** Where a launch takes place, by the ids that its row holds; `null` when something of it is gone. */
export async function placeOfLaunch(reader: Reader, injection: Row<"injections">): Promise<LaunchPlace | null> {
  const [environment, namespace, workload] = await Promise.all([
    reader.get("environments", { id: injection.environmentId, state: noneOf(["deleted"]) }),
    reader.get("namespaces", { id: injection.namespaceId, state: "active" }),
    reader.get("workloads", { id: injection.workloadId, state: noneOf(["deleted"]) }),
  ]);
  return environment === null || namespace === null || workload === null ? null : { environment, namespace, workload };
}

async function environmentsOf(
  reader: Reader,
  deployments: readonly Row<"deployments">[],
): Promise<readonly Row<"environments">[]> {
  if (deployments.length === 0) return [];
  return reader.list("environments", {
    where: { id: oneOf(deployments.map((one) => one.environmentId)), state: noneOf(["deleted"]) },
  });
}
