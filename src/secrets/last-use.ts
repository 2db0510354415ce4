import type { Actor } from "#base";
import { oneOf } from "#storage";
import type { Reader, Row } from "#storage";
import type { Guard } from "#access";

/** The launch that was given a secret last, as far as the reader may know of it. */
export interface LastUse {
  readonly at: Date;
  /** As `namespace/name`; `null` for readers who may not view it there, and when it is gone. */
  readonly workload: string | null;
  /** `null` where it is not the secret's own and the reader may not view the workload there. */
  readonly environment: string | null;
}

type Noted = Pick<Row<"secrets">, "environmentId" | "lastUsedAt" | "lastUsedBy" | "lastUsedIn">;

/** The last uses of many secrets, in three look-ups. */
export async function lastUsesOf(
  guard: Guard,
  reader: Reader,
  actor: Actor,
  secrets: readonly Noted[],
): Promise<(secret: Noted) => LastUse | null> {
  const used = secrets.filter((secret) => secret.lastUsedAt !== null);
  if (used.length === 0) return () => null;
  const [workloads, environments] = await Promise.all([
    reader.list("workloads", { where: { id: oneOf(ids(used.map((one) => one.lastUsedBy))) } }),
    reader.list("environments", { where: { id: oneOf(ids(used.map((one) => one.lastUsedIn))) } }),
  ]);
  const namespaces = await reader.list("namespaces", {
    where: { id: oneOf(ids(workloads.map((one) => one.namespaceId))) },
  });
  const namespaceById = new Map(namespaces.map((row) => [row.id, row]));
  const workloadById = new Map(workloads.map((row) => [row.id, row]));
  const environmentById = new Map(environments.map((row) => [row.id, row]));
  const seen = new Map<string, boolean>();
  for (const { lastUsedBy, lastUsedIn } of used) {
    const key = `${String(lastUsedBy)} ${String(lastUsedIn)}`;
    const workload = lastUsedBy === null ? undefined : workloadById.get(lastUsedBy);
    const environment = lastUsedIn === null ? undefined : environmentById.get(lastUsedIn);
    const namespace = workload === undefined ? undefined : namespaceById.get(workload.namespaceId);
    if (seen.has(key) || workload === undefined || environment === undefined || namespace === undefined) continue;
    const { allowed } = await guard.weigh(actor, "workload.view", { environment, namespace, workload });
    seen.set(key, allowed && workload.state !== "deleted" && environment.state !== "deleted");
  }
  return ({ environmentId, lastUsedAt, lastUsedBy, lastUsedIn }) => {
    if (lastUsedAt === null) return null;
    const known = seen.get(`${String(lastUsedBy)} ${String(lastUsedIn)}`) === true;
    const workload = known && lastUsedBy !== null ? workloadById.get(lastUsedBy) : undefined;
    const namespace = workload === undefined ? undefined : namespaceById.get(workload.namespaceId);
    const environment = lastUsedIn === null ? undefined : environmentById.get(lastUsedIn);
    return {
      at: lastUsedAt,
      workload: workload === undefined || namespace === undefined ? null : `${namespace.name}/${workload.name}`,
      environment: known || lastUsedIn === environmentId ? (environment?.name ?? null) : null,
    };
  };
}

function ids<T>(all: readonly (T | null)[]): T[] {
  return [...new Set(all.filter((one) => one !== null))];
}
