import { VaultError } from "#base";
import type { Actor, IdSource } from "#base";
import { Change, MissedExpectation, listPage } from "#storage";
import type { NewRow, Page, PageRequest, Reader, Row, Store, Variable } from "#storage";
import { namesOf, principalOf } from "#access";
import type { Guard } from "#access";
import { manifestVersion } from "./deployed.ts";
import { checkVariables, diffVariables, maskDiff, maskVariables } from "./manifest.ts";
import type { VariableDiff, Variables } from "./manifest.ts";
import { expectDeployed, latestVersion } from "./workloads.ts";
import type { WorkloadAt } from "./workloads.ts";

const MOST_TRIES = 5;

export interface ManifestView {
  readonly id: Row<"manifests">["id"];
  readonly version: number;
  readonly all: boolean;
  readonly variables: Readonly<Record<string, Variable>> | null;
  readonly maskedVariables: number;
  readonly diff: readonly VariableDiff[];
  readonly note: string;
  readonly createdAt: Date;
  readonly createdBy: string;
}

/** Manifests: versioned lists of variables and references. Every save is a version with its author and diff. */
export class Manifests {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#ids = ids;
  }

  /**
   * Makes a new version, which changes no environment until it is deployed there, but for open ones that follow. An agent
   * needs the permission wherever the workload is deployed. Throws `precondition_failed`, `invalid_input`.
   */
  async save(
    actor: Actor,
    at: WorkloadAt,
    variables: Variables,
    note: string,
    ifMatch?: number | null,
  ): Promise<ManifestView> {
    const agent = actor.type === "service" && actor.role === "agent";
    const permit = await this.#guard.require(actor, "workload.edit", {
      on: "workload",
      ...at,
      in: agent ? "deployed" : "any",
    });
    const { workload } = permit.place;
    checkVariables(variables, workload.allowedVariables);
    const reader = this.#store.read(permit);
    for (let tries = 1; ; tries += 1) {
      const latest = await latestVersion(reader, workload.id);
      if (ifMatch !== undefined && (ifMatch === null ? latest === null : ifMatch !== latest)) {
        throw new VaultError("precondition_failed", `The latest version is ${String(latest ?? "none")}.`);
      }
      const before = latest === null ? null : (await manifestVersion(reader, workload, latest)).variables;
      const manifest: NewRow<"manifests"> = {
        id: this.#ids.next("man"),
        workloadId: workload.id,
        version: (latest ?? 0) + 1,
        variables,
        note,
        createdAt: this.#store.now(),
        createdBy: principalOf(actor),
      };
      const diff = diffVariables(before, variables);
      const change = new Change()
        .expect("workloads", { id: workload.id, changedBy: workload.changedBy }, 1)
        .insert("manifests", manifest, "conflict", "version")
        .raiseEpoch();
      if (agent) expectDeployed(change, permit.place);
      try {
        await this.#store.commit(permit, change, {
          result: "success",
          target: { type: "manifest", id: manifest.id, name: workload.name },
          changes: diff.map((one) => ({ field: one.variable, before: one.before, after: one.after })),
          facts: { version: manifest.version },
          ...(note === "" ? {} : { reason: note }),
        });
        return await this.#view(reader, { ...manifest, changedBy: permit.event.id }, diff, true);
      } catch (error) {
        if (!(error instanceof MissedExpectation) || error.label !== "version" || tries >= MOST_TRIES) throw error;
      }
    }
  }

  async list(actor: Actor, at: WorkloadAt, page: PageRequest): Promise<Page<ManifestView>> {
    const permit = await this.#guard.require(actor, "workload.view", { on: "workload", ...at, in: "any" });
    const reader = this.#store.read(permit);
    const mayList = (await this.#guard.weighAnywhere(actor, "secret.list", permit.place)).allowed;
    const found = await listPage(
      reader,
      "manifests",
      { where: { workloadId: permit.place.workload.id }, order: ["version"], descending: true },
      page,
    );
    const items = await Promise.all(
      found.items.map(async (manifest) => this.#view(reader, manifest, await this.#diff(reader, manifest), mayList)),
    );
    return { items, next: found.next };
  }

  async get(actor: Actor, at: WorkloadAt, version: number): Promise<ManifestView> {
    const permit = await this.#guard.require(actor, "workload.view", { on: "workload", ...at, in: "any" });
    const reader = this.#store.read(permit);
    const mayList = (await this.#guard.weighAnywhere(actor, "secret.list", permit.place)).allowed;
    const manifest = await manifestVersion(reader, permit.place.workload, version);
    return this.#view(reader, manifest, await this.#diff(reader, manifest), mayList);
  }

  async #diff(reader: Reader, manifest: Row<"manifests">): Promise<VariableDiff[]> {
    const before =
      manifest.version === 1
        ? null
        : await reader.get("manifests", { workloadId: manifest.workloadId, version: manifest.version - 1 });
    return diffVariables(before?.variables ?? null, manifest.variables);
  }

  async #view(
    reader: Reader,
    manifest: Row<"manifests">,
    diff: readonly VariableDiff[],
    mayList: boolean,
  ): Promise<ManifestView> {
    const names = await namesOf(reader, [manifest.createdBy]);
    const { shown, masked } = maskVariables(manifest.variables);
    return {
      id: manifest.id,
      version: manifest.version,
      all: manifest.variables === null,
      variables: manifest.variables === null ? null : mayList ? manifest.variables : shown,
      maskedVariables: mayList ? 0 : masked,
      diff: mayList ? diff : maskDiff(diff),
      note: manifest.note,
      createdAt: manifest.createdAt,
      createdBy: names(manifest.createdBy),
    };
  }
}
