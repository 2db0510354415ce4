import { VaultError } from "#base";
import type { Id } from "#base";
import { below } from "#storage";
import type { Bindings, Reader, Row, Where } from "#storage";
import { DEFAULT_WORKLOAD } from "#access";
import type { Guard, LaunchPlace } from "#access";
import { referrerCheck } from "./referrer.ts";
import type { ReferenceCheck } from "./resolve.ts";

/** What a workload launches with in an environment, now. */
export interface Deployed {
  readonly deployment: Row<"deployments"> | null;
  readonly manifest: Row<"manifests">;
  /** `null`: references are looked up by name, since nobody bound them. */
  readonly bindings: Bindings | null;
  /** Whose right to make the references counts. */
  readonly author: Id<"prn"> | null;
}

const PAGE = 100;

/**
 * The manifest that a workload has in an environment: the version deployed there; or, in an open environment that follows,
 * the latest whose author may deploy there. `null` when there is none.
 */
export async function deployedAt(
  guard: Guard,
  reader: Reader,
  org: Id<"org">,
  place: LaunchPlace,
): Promise<Deployed | null> {
  const { workload, environment } = place;
  const deployment = await reader.get("deployments", {
    workloadId: workload.id,
    environmentId: environment.id,
    state: "active",
  });
  if (deployment !== null && deployment.version !== null) {
    const manifest = await manifestVersion(reader, workload, deployment.version);
    return { deployment, manifest, bindings: manifest.variables === null ? null : deployment.bindings, author: null };
  }
  // Following is for open environments only; one that was closed since does not follow any more.
  if (environment.mode !== "open") return null;
  const mayDeploy = new Map<Id<"prn">, boolean>();
  for await (const manifest of newestFirst(reader, workload)) {
    if (isVaultsOwn(workload, manifest)) return { deployment, manifest, bindings: null, author: null };
    const author = manifest.createdBy;
    const allowed = mayDeploy.get(author) ?? (await guard.weighFor(org, author, "workload.deploy", place)).allowed;
    mayDeploy.set(author, allowed);
    if (allowed) return { deployment, manifest, bindings: null, author };
  }
  return null;
}

/** All versions, page by page: however many are saved by those who may not deploy, the one that counts is found. */
async function* newestFirst(reader: Reader, workload: Row<"workloads">): AsyncGenerator<Row<"manifests">> {
  for (let after: number | null = null; ;) {
    const where: Where<"manifests"> = { workloadId: workload.id, ...(after === null ? {} : { version: below(after) }) };
    const page: readonly Row<"manifests">[] = await reader.list("manifests", {
      where,
      order: ["version"],
      descending: true,
      limit: PAGE,
    });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return;
    after = last.version;
  }
}

/** The first manifest of a namespace's default workload was made by the vault, on nobody's behalf. */
export function isVaultsOwn(workload: Row<"workloads">, manifest: Row<"manifests">): boolean {
  return workload.name === DEFAULT_WORKLOAD && manifest.version === 1 && manifest.variables === null;
}

/** Throws `not_found`. */
export async function manifestVersion(
  reader: Reader,
  workload: Pick<Row<"workloads">, "id">,
  version: number,
): Promise<Row<"manifests">> {
  const manifest = await reader.get("manifests", { workloadId: workload.id, version });
  if (manifest === null) throw new VaultError("not_found", `There is no manifest version ${String(version)}.`);
  return manifest;
}

/**
 * For references that were not bound by a deployment: their author must be one who may make them, now. Nobody's references
 * are those of the vault's own manifest, or were bound.
 */
export function authorMayReference(
  guard: Guard,
  org: Id<"org">,
  place: LaunchPlace,
  author: Id<"prn"> | null,
): ReferenceCheck {
  if (author === null) return () => Promise.resolve(null);
  return referrerCheck(place, {
    may: async (there) => (await guard.weighFor(org, author, "secret.reference", there)).allowed,
    roles: (there) => guard.rolesFor(org, author, there),
  });
}
