import { VaultError } from "#base";
import type { Actor, IdSource } from "#base";
import { Change, listPage, noneOf, oneOf } from "#storage";
import type { Page, PageRequest, Row, Store } from "#storage";
import { DEFAULT_NAMESPACE, DEFAULT_WORKLOAD, foundNamespace } from "./founding.ts";
import { endGrants } from "./grants.ts";
import type { Guard } from "./guard.ts";
import { principalOf } from "./principal.ts";
import { namespacesIn } from "./visible.ts";

const MOST_NAMESPACES = 1_000;

/** Namespaces: the functional areas of an org, the same list in every environment. */
export class Namespaces {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#ids = ids;
  }

  /** Throws `already_exists`, `limit_reached`. */
  async create(actor: Actor, settings: { name: string; description: string }): Promise<Row<"namespaces">> {
    const permit = await this.#guard.require(actor, "namespace.manage", { on: "org" });
    if ((await this.#store.read(permit).count("namespaces", { state: "active" })) >= MOST_NAMESPACES) {
      throw new VaultError("limit_reached", `An org has at most ${String(MOST_NAMESPACES)} namespaces.`);
    }
    const change = new Change();
    const namespace = foundNamespace(change, settings, {
      ids: this.#ids,
      now: this.#store.now(),
      by: principalOf(actor),
    });
    await this.#store.commit(permit, change.raiseEpoch(), {
      result: "success",
      target: { type: "namespace", id: namespace.id, name: namespace.name },
    });
    return { ...namespace, changedBy: permit.event.id };
  }

  /** Those in which the actor may see anything, in some environment. */
  async list(actor: Actor, page: PageRequest): Promise<Page<Row<"namespaces">>> {
    const { permit, seen } = await this.#guard.among(actor, "workload.view");
    const ids = namespacesIn(seen.scopes);
    const where = { state: "active" as const, ...(ids === "all" ? {} : { id: oneOf(ids) }) };
    return listPage(this.#store.read(permit), "namespaces", { where, order: ["name"] }, page);
  }

  /** Only an empty one: no secret, no workload but its default. Throws `in_use`. */
  async delete(actor: Actor, name: string): Promise<void> {
    const permit = await this.#guard.require(actor, "namespace.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const namespace = await reader.get("namespaces", { name, state: "active" });
    if (namespace === null) throw new VaultError("not_found");
    if (name === DEFAULT_NAMESPACE) throw new VaultError("in_use", "The namespace default always exists.");
    const standing = { namespaceId: namespace.id, state: noneOf<Row<"workloads">["state"]>(["deleted"]) };
    const environments = await reader.list("environments", { where: { state: noneOf(["deleted"]) } });
    // What lay in an environment that was deleted is nowhere any more, and nobody could take it away.
    const inside = {
      namespaceId: namespace.id,
      environmentId: oneOf(environments.map((one) => one.id)),
      state: "active" as const,
    };
    const [secrets, workloads] = await Promise.all([
      reader.list("secrets", { where: inside, limit: 20 }),
      reader.list("workloads", { where: standing, limit: 20 }),
    ]);
    const others = workloads.filter((workload) => workload.name !== DEFAULT_WORKLOAD);
    if (secrets.length + others.length > 0) {
      const usedBy = [
        ...secrets.map((secret) => `secret ${secret.name}`),
        ...others.map((workload) => `workload ${workload.name}`),
      ];
      throw new VaultError("in_use", undefined, { detail: { usedBy } });
    }
    const change = new Change()
      .expect("secrets", inside, 0, "secrets", "in_use")
      .expect("workloads", standing, workloads.length, "workloads", "in_use")
      .replace("namespaces", namespace, { state: "deleted" })
      .raiseEpoch();
    await endGrants(reader, change, { namespaceId: namespace.id });
    for (const workload of workloads) change.replace("workloads", workload, { state: "deleted" });
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "namespace", id: namespace.id, name },
    });
  }
}
