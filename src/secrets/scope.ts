import { VaultError } from "#base";
import type { EventTarget } from "#base";
import { oneOf } from "#storage";
import type { Change, Reader, Row } from "#storage";
import type { ScopePlace } from "#access";

/** Which scope, by names. */
export interface ScopeNames {
  readonly environment: string;
  readonly namespace: string;
}

/** Which secret, by names. */
export interface SecretAt extends ScopeNames {
  readonly secret: string;
}

/** What is acknowledged in a place does not vanish with a place that was deleted at the same time. */
export function expectPlace(change: Change, { environment, namespace }: ScopePlace): Change {
  return change
    .expect("environments", { id: environment.id, state: "active" }, 1)
    .expect("namespaces", { id: namespace.id, state: "active" }, 1);
}

/** The scope itself, for an event about many of its secrets. */
export function targetOf({ environment, namespace }: ScopePlace): EventTarget {
  return { type: "namespace", id: namespace.id, name: `${environment.name}/${namespace.name}` };
}

/** The secret of this name that stands in the scope. Throws `not_found`. */
export async function standing(
  reader: Reader,
  { environment, namespace }: ScopePlace,
  name: string,
): Promise<Row<"secrets">> {
  const secret = await reader.get("secrets", {
    environmentId: environment.id,
    namespaceId: namespace.id,
    name,
    state: "active",
  });
  if (secret === null) throw noSecret();
  return secret;
}

/** For who may look into the scope. */
export function noSecret(message = "there is no such secret in this environment and namespace"): VaultError {
  const faults = [{ field: "secret", message }];
  return new VaultError("not_found", undefined, { detail: { faults } });
}

/** The secrets that stand in a scope under these names. */
export async function standingNamed(
  reader: Reader,
  { environment, namespace }: ScopePlace,
  names: readonly string[],
): Promise<ReadonlyMap<string, Row<"secrets">>> {
  const where = {
    environmentId: environment.id,
    namespaceId: namespace.id,
    state: "active",
    name: oneOf(names),
  } as const;
  return new Map((await reader.list("secrets", { where })).map((row) => [row.name, row]));
}

/** The one that was deleted last of this name, or `null`. */
export async function newestDeleted(
  reader: Reader,
  { environment, namespace }: ScopePlace,
  name: string,
): Promise<Row<"secrets"> | null> {
  const where = { environmentId: environment.id, namespaceId: namespace.id, name, state: "deleted" } as const;
  const rows = await reader.list("secrets", { where });
  return rows.reduce<Row<"secrets"> | null>(
    (newest, row) => ((row.deletedAt ?? 0) >= (newest?.deletedAt ?? 0) ? row : newest),
    null,
  );
}
