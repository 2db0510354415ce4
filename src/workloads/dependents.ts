import type { Id } from "#base";
import { noneOf } from "#storage";
import type { Reader, Row } from "#storage";
import { mayReach } from "#access";
import type { Guard, LaunchPlace } from "#access";
import { offers } from "#secrets";
import { deployedAt, isVaultsOwn } from "./deployed.ts";
import { mayBeNamed, referencesOf } from "./manifest.ts";
import { parseReference } from "./reference.ts";

/** What one workload makes of one secret in one environment. */
export interface Dependent {
  readonly secret: Id<"sec">;
  readonly place: LaunchPlace;
  readonly variables: readonly string[];
  readonly pinned: number | null;
  readonly manifestVersion: number;
  /** False: only the newest manifest says so, which is not what a launch there takes. */
  readonly deployed: boolean;
  /** False: it takes all that is there, whatever it is called. */
  readonly named: boolean;
}

/** So many are asked for at once: a query has no room for thousands of pairs. */
const PAIRS_AT_ONCE = 100;

/** The rows of an org that say who uses what, each kind in one look-up. */
interface Landscape {
  readonly environments: ReadonlyMap<Id<"env">, Row<"environments">>;
  readonly namespaces: ReadonlyMap<Id<"nsp">, Row<"namespaces">>;
  readonly workloads: readonly Row<"workloads">[];
  readonly deployments: ReadonlyMap<Id<"wkl">, readonly Row<"deployments">[]>;
  readonly newest: ReadonlyMap<Id<"wkl">, Row<"manifests">>;
  readonly versions: ReadonlyMap<string, Row<"manifests">>;
}

/**
 * Every workload that uses one of these secrets, in each environment: by what is deployed there (bound by id; in an open
 * environment that follows, by name), and by its newest manifest where that is not deployed. Environments in which nothing
 * is deployed count where the secret itself is.
 *
 * The number of queries does not grow with the number of workloads, but for those whose newest manifest is by an author who
 * may not deploy it: there the one that counts is looked for.
 */
export async function dependentsOf(
  guard: Guard,
  reader: Reader,
  org: Id<"org">,
  secrets: readonly Row<"secrets">[],
): Promise<Dependent[]> {
  if (secrets.length === 0) return [];
  const land = await landscape(reader);
  const byName = new Map<string, Row<"secrets">[]>();
  for (const secret of secrets) byName.set(secret.name, [...(byName.get(secret.name) ?? []), secret]);
  const byId = new Map(secrets.map((secret) => [secret.id, secret]));
  const homes = [...new Set(secrets.map((secret) => secret.environmentId))];
  const judges = new Map<Id<"prn">, Awaited<ReturnType<Guard["judge"]>>>();
  const dependents: Dependent[] = [];

  for (const workload of land.workloads) {
    const namespace = land.namespaces.get(workload.namespaceId);
    const newest = land.newest.get(workload.id);
    if (namespace === undefined || newest === undefined) continue;
    const deployments = land.deployments.get(workload.id) ?? [];
    for (const id of new Set([...homes, ...deployments.map((one) => one.environmentId)])) {
      const environment = land.environments.get(id);
      if (environment === undefined) continue;
      const place: LaunchPlace = { environment, namespace, workload };
      const deployment = deployments.find((one) => one.environmentId === id) ?? null;
      const taken = await takenAt(place, newest, deployment);
      if (taken !== null) {
        const bindings = deployment?.version == null ? null : deployment.bindings;
        dependents.push(...usesOf(place, taken, bindings, true));
      }
      if (taken?.version !== newest.version && newest.variables !== null)
        dependents.push(...usesOf(place, newest, null, false));
    }
  }
  return dependents;

  /** The manifest that a launch there takes, as `deployedAt` says. */
  async function takenAt(
    place: LaunchPlace,
    newest: Row<"manifests">,
    deployment: Row<"deployments"> | null,
  ): Promise<Row<"manifests"> | null> {
    if (deployment !== null && deployment.version !== null)
      return land.versions.get(pairOf(deployment.workloadId, deployment.version)) ?? null;
    if (place.environment.mode !== "open") return null;
    if (isVaultsOwn(place.workload, newest)) return newest;
    const judge = judges.get(newest.createdBy) ?? (await guard.judge(org, newest.createdBy));
    judges.set(newest.createdBy, judge);
    if (judge("workload.deploy", place).allowed) return newest;
    return (await deployedAt(guard, reader, org, place))?.manifest ?? null;
  }

  function usesOf(
    place: LaunchPlace,
    manifest: Row<"manifests">,
    bindings: Row<"deployments">["bindings"] | null,
    deployed: boolean,
  ): Dependent[] {
    const common = { place, manifestVersion: manifest.version, deployed };
    if (manifest.variables === null)
      return secrets
        .filter((secret) => takesWithAll(place, secret))
        .map(({ id, name }) => ({ ...common, secret: id, variables: [name], pinned: null, named: false }));
    const found = new Map<string, Dependent>();
    for (const [variable, made] of Object.entries(manifest.variables)) {
      for (const text of referencesOf(made)) {
        const pinned = parseReference(text)?.version ?? null;
        for (const secret of bindings === null ? meant(place, text) : bound(bindings, text)) {
          const key = `${secret.id}@${String(pinned)}`;
          const variables = [...new Set([...(found.get(key)?.variables ?? []), variable])];
          found.set(key, { ...common, secret: secret.id, variables, pinned, named: true });
        }
      }
    }
    return [...found.values()];
  }

  function bound(bindings: Row<"deployments">["bindings"], text: string): Row<"secrets">[] {
    const id = Object.hasOwn(bindings, text) ? bindings[text] : null;
    const secret = id == null ? undefined : byId.get(id);
    return secret === undefined ? [] : [secret];
  }

  /** By name, as a launch there would look it up. */
  function meant({ environment, namespace, workload }: LaunchPlace, text: string): Row<"secrets">[] {
    const reference = parseReference(text);
    if (reference === null) return [];
    return (byName.get(reference.name) ?? []).filter((secret) => {
      const home = land.environments.get(secret.environmentId);
      return (
        home !== undefined &&
        (reference.environment === null ? environment.id === home.id : reference.environment === home.name) &&
        (reference.namespace ?? namespace.name) === land.namespaces.get(secret.namespaceId)?.name &&
        mayReach(environment, home) &&
        offers(secret, workload)
      );
    });
  }
}

/** Whether a manifest of `all` takes the secret: the same rule as where it is resolved. */
function takesWithAll({ environment, namespace, workload }: LaunchPlace, secret: Row<"secrets">): boolean {
  return (
    secret.environmentId === environment.id &&
    secret.namespaceId === namespace.id &&
    secret.delivery === "inject" &&
    offers(secret, workload) &&
    (secret.policy?.roles ?? []).length === 0 &&
    mayBeNamed(secret.name, workload.allowedVariables)
  );
}

async function landscape(reader: Reader): Promise<Landscape> {
  const [environments, namespaces, workloads, deployments, newest] = await Promise.all([
    reader.list("environments", { where: { state: noneOf(["deleted"]) } }),
    reader.list("namespaces", { where: { state: "active" } }),
    reader.list("workloads", { where: { state: noneOf(["deleted"]) } }),
    reader.list("deployments", { where: { state: "active" } }),
    reader.list("manifests", { newest: { of: "workloadId", by: "version" } }),
  ]);
  const versions = new Map(newest.map((row) => [pairOf(row.workloadId, row.version), row]));
  const older = deployments.flatMap(({ workloadId, version }) =>
    version === null || versions.has(pairOf(workloadId, version)) ? [] : [{ workloadId, version }],
  );
  for (let from = 0; from < older.length; from += PAIRS_AT_ONCE)
    for (const row of await reader.list("manifests", { anyOf: older.slice(from, from + PAIRS_AT_ONCE) }))
      versions.set(pairOf(row.workloadId, row.version), row);
  const byWorkload = new Map<Id<"wkl">, Row<"deployments">[]>();
  for (const row of deployments) byWorkload.set(row.workloadId, [...(byWorkload.get(row.workloadId) ?? []), row]);
  return {
    environments: new Map(environments.map((row) => [row.id, row])),
    namespaces: new Map(namespaces.map((row) => [row.id, row])),
    workloads,
    deployments: byWorkload,
    newest: new Map(newest.map((row) => [row.workloadId, row])),
    versions,
  };
}

function pairOf(workload: Id<"wkl">, version: number): string {
  return `${workload}@${String(version)}`;
}
