import { VaultError } from "#base";
import type { Reader, Row, SecretPolicy } from "#storage";
import { noneOf, oneOf } from "#storage";
import { isGrantRole, namespaceNamed } from "#access";

/** A policy by names, as people read and write it. */
export interface PolicyNames {
  readonly namespaces: readonly string[];
  /** Each as `namespace/name`. */
  readonly workloads: readonly string[];
  readonly roles: readonly string[];
}

/** A policy as it is given: what is left out offers nothing, but for the own namespace. */
export type PolicyRequest = { readonly [K in keyof PolicyNames]?: PolicyNames[K] | undefined };

/** Whether a workload may have this secret at all: it is of the secret's own namespace, or the policy offers it. */
export function offers(
  secret: Pick<Row<"secrets">, "namespaceId" | "policy">,
  workload: Pick<Row<"workloads">, "id" | "namespaceId">,
): boolean {
  if (secret.policy === null) return secret.namespaceId === workload.namespaceId;
  return secret.policy.namespaces.includes(workload.namespaceId) || secret.policy.workloads.includes(workload.id);
}

/** Names to ids. Throws `invalid_input`, naming each name that does not stand. */
export async function policyOf(
  reader: Reader,
  names: PolicyRequest | null,
  own: Row<"secrets">["namespaceId"],
): Promise<SecretPolicy | null> {
  if (names === null) return null;
  const faults: { field: string; message: string }[] = [];
  const namespaces: SecretPolicy["namespaces"][number][] = names.namespaces === undefined ? [own] : [];
  for (const name of names.namespaces ?? []) {
    const namespace = await namespaceNamed(reader, name);
    if (namespace === null) faults.push({ field: "namespaces", message: `there is no namespace ${name}` });
    else namespaces.push(namespace.id);
  }
  const workloads: SecretPolicy["workloads"][number][] = [];
  for (const name of names.workloads ?? []) {
    const [namespaceName = "", workloadName = ""] = name.split("/");
    const namespace = await namespaceNamed(reader, namespaceName);
    const workload =
      namespace === null
        ? null
        : await reader.get("workloads", { namespaceId: namespace.id, name: workloadName, state: noneOf(["deleted"]) });
    if (workload === null) faults.push({ field: "workloads", message: "not the namespace/name of a workload" });
    else workloads.push(workload.id);
  }
  for (const role of names.roles ?? []) {
    if (!isGrantRole(role) && role !== "owner" && role !== "admin")
      faults.push({ field: "roles", message: "not a role" });
  }
  if (faults.length > 0) throw new VaultError("invalid_input", undefined, { detail: { faults } });
  return { namespaces, workloads, roles: names.roles ?? [] };
}

/** Ids to names, for many secrets in two look-ups. What is gone is left out. */
export async function policyNames(
  reader: Reader,
  secrets: readonly Pick<Row<"secrets">, "policy">[],
): Promise<(policy: SecretPolicy | null) => PolicyNames | null> {
  const policies = secrets.map((secret) => secret.policy).filter((policy) => policy !== null);
  if (policies.length === 0) return () => null;
  const workloads = await reader.list("workloads", {
    where: { id: oneOf([...new Set(policies.flatMap((policy) => policy.workloads))]), state: noneOf(["deleted"]) },
  });
  const wanted = [
    ...policies.flatMap((policy) => policy.namespaces),
    ...workloads.map((workload) => workload.namespaceId),
  ];
  const namespaces = new Map(
    (await reader.list("namespaces", { where: { id: oneOf([...new Set(wanted)]) } })).map((row) => [row.id, row.name]),
  );
  const workloadNames = new Map(
    workloads.map((row) => [row.id, `${namespaces.get(row.namespaceId) ?? ""}/${row.name}`]),
  );
  return (policy) =>
    policy === null
      ? null
      : {
          namespaces: policy.namespaces.map((id) => namespaces.get(id)).filter((name) => name !== undefined),
          workloads: policy.workloads.map((id) => workloadNames.get(id)).filter((name) => name !== undefined),
          roles: policy.roles,
        };
}
