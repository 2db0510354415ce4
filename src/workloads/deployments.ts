import { VaultError } from "#base";
import type { Actor, IdSource, Permit } from "#base";
import { Change, MissedExpectation, oneOf } from "#storage";
import type { NewRow, Row, Store } from "#storage";
import { namesOf, principalOf } from "#access";
import type { Guard, LaunchPlace } from "#access";
import { manifestVersion } from "./deployed.ts";
import { checkVariables } from "./manifest.ts";
import { referrerCheck } from "./referrer.ts";
import { resolveManifest } from "./resolve.ts";
import type { Need } from "./resolve.ts";
import { deploymentView, latestVersion } from "./workloads.ts";
import type { DeploymentView, WorkloadAt } from "./workloads.ts";

const MOST_TRIES = 5;

/** Deployments: which manifest version a workload has in an environment, with its references bound to secrets by id. */
export class Deployments {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#ids = ids;
  }

  /**
   * Deploys a version, the latest unless one is named; `latest` follows in an open environment. Whoever deploys needs
   * `secret.reference` where each secret is. Throws `reference_refused`, naming each variable that is wrong.
   */
  async set(
    actor: Actor,
    at: WorkloadAt,
    environmentName: string,
    version: number | "latest" | undefined,
  ): Promise<DeploymentView> {
    const permit = await this.#guard.require(actor, "workload.deploy", {
      on: "workload-in",
      ...at,
      environment: environmentName,
    });
    const { workload, environment } = permit.place;
    const reader = this.#store.read(permit);
    if (version === "latest" && environment.mode !== "open") {
      throw new VaultError("invalid_input", "Only an open environment follows the latest version.", {
        detail: { faults: [{ field: "version", message: "name a version: this environment is not open" }] },
      });
    }
    const latest = await latestVersion(reader, workload.id);
    const wanted = version === undefined || version === "latest" ? latest : version;
    if (wanted === null) throw new VaultError("not_deployed", "The workload has no manifest yet.");
    const manifest = await manifestVersion(reader, workload, wanted);
    checkVariables(manifest.variables, workload.allowedVariables);
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.#deploy(actor, permit, manifest, version === "latest");
      } catch (error) {
        // A secret that it binds was written meanwhile, or its policy changed: look again.
        if (!(error instanceof MissedExpectation) || error.label !== "bound" || tries >= MOST_TRIES) throw error;
      }
    }
  }

  async #deploy(
    actor: Actor,
    permit: Permit<LaunchPlace>,
    manifest: Row<"manifests">,
    follow: boolean,
  ): Promise<DeploymentView> {
    const { workload, environment } = permit.place;
    const reader = this.#store.read(permit);
    const needs = await this.#bind(actor, permit, manifest);
    const before = await reader.get("deployments", {
      workloadId: workload.id,
      environmentId: environment.id,
      state: "active",
    });
    const fields = {
      version: follow ? null : manifest.version,
      bindings: Object.fromEntries(needs.flatMap(bindingsOf)),
      deployedAt: this.#store.now(),
      deployedBy: principalOf(actor),
      state: "active" as const,
    };
    const after: NewRow<"deployments"> =
      before === null
        ? { id: this.#ids.next("dep"), workloadId: workload.id, environmentId: environment.id, ...fields }
        : { ...before, ...fields };
    const change =
      before === null
        ? new Change().insert("deployments", after, "conflict")
        : new Change().replace("deployments", before, after);
    expectWhatWasSeen(change, permit.place, needs);
    await this.#store.commit(permit, change.raiseEpoch(), {
      result: "success",
      target: { type: "deployment", id: after.id, name: workload.name },
      changes: [
        {
          field: "version",
          before: before === null ? null : (before.version ?? "latest"),
          after: after.version ?? "latest",
        },
      ],
    });
    const names = await namesOf(reader, [after.deployedBy]);
    return deploymentView({ ...after, changedBy: permit.event.id }, environment.name, names(after.deployedBy));
  }

  async delete(actor: Actor, at: WorkloadAt, environmentName: string): Promise<void> {
    const permit = await this.#guard.require(actor, "workload.deploy", {
      on: "workload-in",
      ...at,
      environment: environmentName,
    });
    const { workload, environment } = permit.place;
    const deployment = await this.#store
      .read(permit)
      .get("deployments", { workloadId: workload.id, environmentId: environment.id, state: "active" });
    if (deployment === null) throw new VaultError("not_deployed");
    await this.#store.commit(
      permit,
      new Change().replace("deployments", deployment, { state: "removed" }).raiseEpoch(),
      {
        result: "success",
        target: { type: "deployment", id: deployment.id, name: workload.name },
        changes: [{ field: "version", before: deployment.version ?? "latest", after: null }],
      },
    );
  }

  async #bind(actor: Actor, permit: Permit<LaunchPlace>, manifest: Row<"manifests">): Promise<readonly Need[]> {
    const check = referrerCheck(permit.place, {
      may: async (there) => (await this.#guard.weigh(actor, "secret.reference", there)).allowed,
      roles: (there) => this.#guard.rolesAt(actor, there),
    });
    const needs = await resolveManifest(this.#store.read(permit), permit.place, manifest.variables, null, check);
    const refused = needs.filter((need) => need.problem !== null && (need.required || !need.absent));
    if (refused.length > 0) {
      const mayList = (await this.#guard.weigh(actor, "secret.list", permit.place)).allowed;
      const variables = mayList ? refused.map((need) => ({ variable: need.name, reason: need.problem ?? "" })) : [];
      throw new VaultError("reference_refused", undefined, { detail: { variables } });
    }
    return needs;
  }
}

/** The place and the secrets are what they were when the deployment was found to be allowed. */
function expectWhatWasSeen(change: Change, { environment, workload }: LaunchPlace, needs: readonly Need[]): void {
  change
    .expect("environments", { id: environment.id, changedBy: environment.changedBy }, 1)
    .expect("workloads", { id: workload.id, changedBy: workload.changedBy }, 1);
  const bound = new Map(
    needs.flatMap((need) => [...need.resolved.values()].map(({ secret }) => [secret.id, secret.changedBy] as const)),
  );
  if (bound.size === 0) return;
  const where = { id: oneOf([...bound.keys()]), changedBy: oneOf([...bound.values()]) };
  change.expect("secrets", where, bound.size, "bound");
}

function bindingsOf(need: Need): [string, Row<"secrets">["id"]][] {
  return [...need.resolved].map(([reference, resolved]) => [reference, resolved.secret.id]);
}
