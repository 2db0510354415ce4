import type { Actor, Id } from "#base";
import type { Reader, Row, Store } from "#storage";
import type { Guard } from "#access";
import { lastUsesOf, standing } from "#secrets";
import type { LastUse, SecretAt, SecretUse, SecretUsers } from "#secrets";
import { dependentsOf } from "./dependents.ts";
import type { Dependent } from "./dependents.ts";
import { launchesHolding } from "./holding.ts";

export interface UseView {
  /** As `namespace/name`. */
  readonly workload: string;
  readonly environment: string;
  /** None for readers who may not list secrets where the workload is. */
  readonly variables: readonly string[];
  readonly pinned: number | null;
  readonly manifestVersion: number;
  readonly deployed: boolean;
  /** It takes every secret of its scope, and names none. */
  readonly all: boolean;
}

export interface UsesView {
  readonly references: readonly UseView[];
  /** References that the reader may not see. */
  readonly hidden: number;
  /** Launches that hold it now. */
  readonly launches: number;
  readonly lastUsed: LastUse | null;
}

/** What uses a secret: manifests, launches, and the last delivery. */
export class Uses implements SecretUsers {
  readonly #guard: Guard;
  readonly #store: Store;

  constructor(guard: Guard, store: Store) {
    this.#guard = guard;
    this.#store = store;
  }

  async list(actor: Actor, at: SecretAt): Promise<UsesView> {
    const permit = await this.#guard.require(actor, "secret.list", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    const secret = await standing(reader, permit.place, at.secret);
    const references: UseView[] = [];
    const dependents = await dependentsOf(this.#guard, reader, permit.org, [secret]);
    for (const one of dependents) {
      if (!(await this.#maySee(actor, one))) continue;
      const { environment, namespace, workload } = one.place;
      const mayList = await this.#guard.weigh(actor, "secret.list", { environment, namespace, workload: null });
      references.push({
        workload: `${namespace.name}/${workload.name}`,
        environment: environment.name,
        variables: mayList.allowed ? one.variables : [],
        pinned: one.pinned,
        manifestVersion: one.manifestVersion,
        deployed: one.deployed,
        all: !one.named,
      });
    }
    references.sort((a, b) => compare(a.workload, b.workload) || compare(a.environment, b.environment));
    return {
      references,
      hidden: dependents.length - references.length,
      launches: await launchesHolding(reader, secret.id, this.#guard.now()),
      lastUsed: (await lastUsesOf(this.#guard, reader, actor, [secret]))(secret),
    };
  }

  async of(
    actor: Actor,
    reader: Reader,
    secrets: readonly Row<"secrets">[],
  ): Promise<ReadonlyMap<Id<"sec">, readonly SecretUse[]>> {
    const uses = new Map<Id<"sec">, SecretUse[]>();
    for (const one of await dependentsOf(this.#guard, reader, actor.org, secrets)) {
      if (!one.deployed || !one.named) continue;
      const { environment, namespace, workload } = one.place;
      const words = (await this.#maySee(actor, one))
        ? `${namespace.name}/${workload.name} in ${environment.name}`
        : null;
      uses.set(one.secret, [...(uses.get(one.secret) ?? []), { words, pinned: one.pinned }]);
    }
    return uses;
  }

  async #maySee(actor: Actor, { place }: Dependent): Promise<boolean> {
    return (await this.#guard.weigh(actor, "workload.view", place)).allowed;
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
