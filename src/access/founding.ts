import type { Id, IdSource } from "#base";
import type { Keyring, WrappedKey } from "#crypto";
import { keyRow } from "./keys.ts";
import type { Change, NewRow, Row } from "#storage";

/** The workload that every namespace has: its manifest is `all`, so that a person alone needs no other. */
export const DEFAULT_WORKLOAD = "default";
export const DEFAULT_NAMESPACE = "default";

export type EnvironmentSettings = Pick<Row<"environments">, "name" | "mode" | "localRun" | "description">;

/** An environment and its first data key. Adopt the key when the change is committed. */
export async function foundEnvironment(
  change: Change,
  org: Id<"org">,
  settings: EnvironmentSettings,
  { keyring, ids, now }: { keyring: Keyring; ids: IdSource; now: Date },
): Promise<{ environment: NewRow<"environments">; key: WrappedKey }> {
  const environment: NewRow<"environments"> = {
    id: ids.next("env"),
    ...settings,
    state: "active",
    createdAt: now,
    deletedAt: null,
  };
  const key = await keyring.createDataKey(org, environment.id, 1);
  change.insert("environments", environment).insert("keys", keyRow(key, now), "conflict");
  return { environment, key };
}

/** A namespace and its default workload. */
export function foundNamespace(
  change: Change,
  settings: Pick<Row<"namespaces">, "name" | "description">,
  { ids, now, by }: { ids: IdSource; now: Date; by: Id<"prn"> },
): NewRow<"namespaces"> {
  const namespace: NewRow<"namespaces"> = { id: ids.next("nsp"), ...settings, state: "active", createdAt: now };
  const workload: NewRow<"workloads"> = {
    id: ids.next("wkl"),
    namespaceId: namespace.id,
    name: DEFAULT_WORKLOAD,
    state: "active",
    access: "inherit",
    allowedVariables: [],
    description: "Every secret of the scope, under its own name",
    createdAt: now,
    createdBy: by,
  };
  change
    .insert("namespaces", namespace)
    .insert("workloads", workload)
    .insert("manifests", {
      id: ids.next("man"),
      workloadId: workload.id,
      version: 1,
      variables: null,
      note: "",
      createdAt: now,
      createdBy: by,
    });
  return namespace;
}

/** A new org: its directory entry, keys, settings, `dev` (open), `prod` (restricted) and the namespace `default`. */
export async function foundOrg(
  change: Change,
  settings: { id: Id<"org">; slug: string; owner: Id<"prn"> },
  tools: { keyring: Keyring; ids: IdSource; now: Date },
): Promise<readonly WrappedKey[]> {
  const { id, slug, owner } = settings;
  const { keyring, now } = tools;
  const keys = [...keyring.createOrg(id)];
  change.insert("orgs", { id, slug, state: "active", createdAt: now }).insert("epochs", { name: "access", epoch: 1 });
  for (const key of keys) change.insert("keys", keyRow(key, now), "conflict");
  change.insert("orgSettings", { id, reveal: "admins", viewerAudit: "scope", createdAt: now });
  foundNamespace(change, { name: DEFAULT_NAMESPACE, description: "" }, { ...tools, by: owner });
  for (const [name, mode] of [
    ["dev", "open"],
    ["prod", "restricted"],
  ] as const) {
    const { key } = await foundEnvironment(change, id, { name, mode, localRun: false, description: "" }, tools);
    keys.push(key);
  }
  return keys;
}
