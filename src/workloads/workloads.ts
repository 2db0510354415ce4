import { VaultError } from "#base";
import type { Actor, IdSource, Permit } from "#base";
import { Change, listPage, noneOf, oneOf } from "#storage";
import type { NewRow, Page, PageRequest, Reader, Row, Store } from "#storage";
import { DEFAULT_WORKLOAD, differences, endGrants, namesOf, namespacesIn, notKnown, principalOf } from "#access";
import type { Guard, WorkloadPlace } from "#access";
import { deployedAt } from "./deployed.ts";

/** Which workload, by names. */
export interface WorkloadAt {
  readonly namespace: string;
  readonly workload: string;
}

export interface DeploymentView {
  readonly environment: string;
  readonly version: number | null;
  readonly follow: boolean;
  readonly deployedAt: Date;
  readonly deployedBy: string;
}

export type WorkloadView = Row<"workloads"> & {
  readonly namespace: string;
  readonly by: string;
  readonly latestVersion: number | null;
  readonly deployments: readonly DeploymentView[];
};

export interface WorkloadUpdate {
  readonly description?: string | undefined;
  readonly state?: "active" | "disabled" | undefined;
  readonly access?: "inherit" | "explicit" | undefined;
  readonly allowedVariables?: readonly string[] | undefined;
}

/** Workloads: the programs that are launched, each in a namespace. */
export class Workloads {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#ids = ids;
  }

  /** Throws `already_exists`. */
  async create(
    actor: Actor,
    at: WorkloadAt,
    settings: { description?: string | undefined; access?: "inherit" | "explicit" | undefined },
  ): Promise<WorkloadView> {
    const permit = await this.#guard.require(actor, "workload.create", { on: "namespace", namespace: at.namespace });
    const { namespace } = permit.place;
    const workload: NewRow<"workloads"> = {
      id: this.#ids.next("wkl"),
      namespaceId: namespace.id,
      name: at.workload,
      state: "active",
      access: settings.access ?? "inherit",
      allowedVariables: [],
      description: settings.description ?? "",
      createdAt: this.#store.now(),
      createdBy: principalOf(actor),
    };
    const change = new Change()
      .expect("namespaces", { id: namespace.id, state: "active" }, 1)
      .insert("workloads", workload)
      .raiseEpoch();
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "workload", id: workload.id, name: workload.name },
      changes: [{ field: "access", before: null, after: workload.access }],
    });
    return this.#view(this.#store.read(permit), { ...workload, changedBy: permit.event.id });
  }

  /** Over all namespaces that the actor sees, without the explicit workloads it does not. */
  async search(actor: Actor, page: PageRequest): Promise<Page<WorkloadView>> {
    return this.#list(actor, null, page);
  }

  async list(actor: Actor, namespace: string, page: PageRequest): Promise<Page<WorkloadView>> {
    return this.#list(actor, namespace, page);
  }

  async get(actor: Actor, at: WorkloadAt): Promise<WorkloadView> {
    const permit = await this.#guard.require(actor, "workload.view", { on: "workload", ...at, in: "any" });
    return this.#view(this.#store.read(permit), permit.place.workload);
  }

  /** Takes the permission wherever the workload is deployed; `access` and `allowedVariables` also take `grant.manage`. */
  async update(actor: Actor, at: WorkloadAt, update: WorkloadUpdate): Promise<WorkloadView> {
    const permit = await this.#guard.require(actor, "workload.delete", { on: "workload", ...at, in: "deployed" });
    await this.#mustReachFollowers(actor, permit);
    const before = permit.place.workload;
    if (update.access !== undefined || update.allowedVariables !== undefined) {
      const { allowed } = await this.#guard.weigh(actor, "grant.manage", {
        environment: null,
        namespace: null,
        workload: null,
      });
      if (!allowed)
        throw new VaultError("forbidden", undefined, {
          detail: { missing: { permission: "grant.manage", on: "org" } },
        });
    }
    const after = {
      ...before,
      description: update.description ?? before.description,
      state: update.state ?? before.state,
      access: update.access ?? before.access,
      allowedVariables: update.allowedVariables ?? before.allowedVariables,
    };
    const change = expectDeployed(new Change(), permit.place).replace("workloads", before, after).raiseEpoch();
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "workload", id: before.id, name: before.name },
      changes: differences(before, after, ["description", "state", "access", "allowedVariables"]),
    });
    return this.#view(this.#store.read(permit), { ...after, changedBy: permit.event.id });
  }

  /** Its tokens are void and its leases end on their next use. Its name is free. */
  async delete(actor: Actor, at: WorkloadAt): Promise<void> {
    const permit = await this.#guard.require(actor, "workload.delete", { on: "workload", ...at, in: "deployed" });
    await this.#mustReachFollowers(actor, permit);
    const { workload } = permit.place;
    if (workload.name === DEFAULT_WORKLOAD)
      throw new VaultError("in_use", "Each namespace keeps its default workload; it can be disabled.", {
        detail: { usedBy: ["the namespace"] },
      });
    const change = expectDeployed(new Change(), permit.place)
      .replace("workloads", workload, { state: "deleted" })
      .raiseEpoch();
    await endGrants(this.#store.read(permit), change, { workloadId: workload.id });
    for (const deployment of permit.place.deployments) change.replace("deployments", deployment, { state: "removed" });
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "workload", id: workload.id, name: workload.name },
    });
  }

  /** What stops a workload stops it in the open environments too that follow it without a deployment of their own. */
  async #mustReachFollowers(actor: Actor, permit: Permit<WorkloadPlace>): Promise<void> {
    const { namespace, workload } = permit.place;
    const reader = this.#store.read(permit);
    for (const environment of await reader.list("environments", {
      where: { mode: "open", state: noneOf(["deleted"]) },
    })) {
      const place = { environment, namespace, workload };
      if ((await this.#guard.weigh(actor, "workload.delete", place)).allowed) continue;
      if ((await deployedAt(this.#guard, reader, permit.org, place)) === null) continue;
      const missing = {
        permission: "workload.delete",
        on: `${namespace.name}/${workload.name} in every environment where it is launched`,
      };
      throw new VaultError("forbidden", undefined, { detail: { missing } });
    }
  }

  async #list(actor: Actor, namespaceName: string | null, page: PageRequest): Promise<Page<WorkloadView>> {
    const { permit, seen } = await this.#guard.among(actor, "workload.view");
    const reader = this.#store.read(permit);
    const namespace =
      namespaceName === null ? null : await reader.get("namespaces", { name: namespaceName, state: "active" });
    const namespaces = namespacesIn(seen.scopes);
    if (
      namespaceName !== null &&
      (namespace === null || !(await this.#knows(reader, namespace, namespaces, seen.granted)))
    )
      throw notKnown("namespace");
    const where = {
      state: noneOf<Row<"workloads">["state"]>(["deleted"]),
      id: noneOf(seen.hidden),
      namespaceId: namespace?.id,
    };
    const reach = namespaces === "all" ? undefined : [{ namespaceId: oneOf(namespaces) }, { id: oneOf(seen.granted) }];
    const found = await listPage(reader, "workloads", { where, anyOf: reach, order: ["name", "id"] }, page);
    return { items: await this.#views(reader, found.items), next: found.next };
  }

  /** Whether anything of the namespace is the actor's to see: else it is as if it were not there. */
  async #knows(
    reader: Reader,
    { id }: Row<"namespaces">,
    namespaces: readonly Row<"namespaces">["id"][] | "all",
    granted: readonly Row<"workloads">["id"][],
  ): Promise<boolean> {
    if (namespaces === "all" || namespaces.includes(id)) return true;
    return (await reader.count("workloads", { namespaceId: id, id: oneOf(granted) })) > 0;
  }

  async #view(reader: Reader, workload: Row<"workloads">): Promise<WorkloadView> {
    const [view] = await this.#views(reader, [workload]);
    if (view === undefined) throw new VaultError("internal");
    return view;
  }

  async #views(reader: Reader, rows: readonly Row<"workloads">[]): Promise<WorkloadView[]> {
    const ids = rows.map((row) => row.id);
    const [namespaces, deployments] = await Promise.all([
      reader.list("namespaces", { where: { id: oneOf([...new Set(rows.map((row) => row.namespaceId))]) } }),
      reader.list("deployments", { where: { workloadId: oneOf(ids), state: "active" } }),
    ]);
    const environments = await reader.list("environments", {
      where: { id: oneOf([...new Set(deployments.map((row) => row.environmentId))]), state: noneOf(["deleted"]) },
    });
    const names = await namesOf(reader, [
      ...rows.map((row) => row.createdBy),
      ...deployments.map((row) => row.deployedBy),
    ]);
    const latest = new Map(await Promise.all(ids.map(async (id) => [id, await latestVersion(reader, id)] as const)));
    return rows.map((row) => ({
      ...row,
      namespace: namespaces.find((one) => one.id === row.namespaceId)?.name ?? row.namespaceId,
      by: names(row.createdBy),
      latestVersion: latest.get(row.id) ?? null,
      deployments: deployments
        .filter((one) => one.workloadId === row.id)
        .flatMap((one) => {
          const environment = environments.find((candidate) => candidate.id === one.environmentId);
          return environment === undefined ? [] : [deploymentView(one, environment.name, names(one.deployedBy))];
        }),
    }));
  }
}

/** It is deployed where it was when the permission was looked for, and nowhere else. */
export function expectDeployed(change: Change, { workload, deployments }: WorkloadPlace): Change {
  const ids = deployments.map((deployment) => deployment.id);
  return change
    .expect("deployments", { workloadId: workload.id, state: "active" }, ids.length)
    .expect("deployments", { id: oneOf(ids), state: "active" }, ids.length);
}

export function deploymentView(row: Row<"deployments">, environment: string, by: string): DeploymentView {
  return {
    environment,
    version: row.version,
    follow: row.version === null,
    deployedAt: row.deployedAt,
    deployedBy: by,
  };
}

export async function latestVersion(reader: Reader, workload: Row<"workloads">["id"]): Promise<number | null> {
  const [newest] = await reader.list("manifests", {
    where: { workloadId: workload },
    order: ["version"],
    descending: true,
    limit: 1,
  });
  return newest?.version ?? null;
}
