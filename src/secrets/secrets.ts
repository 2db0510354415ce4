import { VaultError } from "#base";
import type { Actor } from "#base";
import { Change, listPage } from "#storage";
import type { Page, Row, Store } from "#storage";
import { differences, principalOf } from "#access";
import type { Guard } from "#access";
import { policyOf } from "./policy.ts";
import type { PolicyRequest } from "./policy.ts";
import { expectPlace, newestDeleted, noSecret, standing } from "./scope.ts";
import type { ScopeNames, SecretAt } from "./scope.ts";
import { listed, searched } from "./search.ts";
import type { ListFilter, SearchFilter } from "./search.ts";
import { RESTORABLE_MS, SecretViews } from "./view.ts";
import type { SecretView } from "./view.ts";

export interface Metadata {
  readonly description?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly owner?: string | undefined;
  readonly rotateBy?: Date | null | undefined;
}

/** What {@link Metadata} says, as an event names it. */
export const DESCRIBED = ["description", "tags", "owner", "rotateBy"] as const;

/** Secrets without their values: names, metadata, policy, and where they stand in their life. */
export class Secrets {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #views: SecretViews;

  constructor(guard: Guard, store: Store) {
    this.#guard = guard;
    this.#store = store;
    this.#views = new SecretViews(guard, store);
  }

  /** Over every scope in which the actor may list. */
  async search(actor: Actor, filter: SearchFilter): Promise<Page<SecretView>> {
    const { permit, seen } = await this.#guard.among(actor, "secret.list");
    const reader = this.#store.read(permit);
    const where = await searched(reader, filter);
    const page = await listPage(reader, "secrets", { where, scopes: seen.scopes, order: ["name", "id"] }, filter);
    return { items: await this.#views.of(permit, page.items), next: page.next };
  }

  async list(actor: Actor, scope: ScopeNames, filter: ListFilter): Promise<Page<SecretView>> {
    const permit = await this.#guard.require(actor, "secret.list", { on: "scope", ...scope });
    const reader = this.#store.read(permit);
    const { environment, namespace } = permit.place;
    const where = { ...listed(filter), environmentId: environment.id, namespaceId: namespace.id };
    const page = await listPage(reader, "secrets", { where, order: ["name", "id"] }, filter);
    return { items: await this.#views.of(permit, page.items), next: page.next };
  }

  async get(actor: Actor, at: SecretAt): Promise<SecretView> {
    const permit = await this.#guard.require(actor, "secret.list", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    return this.#views.one(permit, await standing(reader, permit.place, at.secret));
  }

  async update(actor: Actor, at: SecretAt, metadata: Metadata, ifMatch?: number | null): Promise<SecretView> {
    const permit = await this.#guard.require(actor, "secret.write", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    const before = await standing(reader, permit.place, at.secret);
    mustMatch(before, ifMatch);
    const after = {
      ...before,
      ...metadataOf(metadata, before),
      updatedAt: this.#store.now(),
      updatedBy: principalOf(actor),
    };
    await this.#store.commit(permit, new Change().replace("secrets", before, after), {
      result: "success",
      target: { type: "secret", id: before.id, name: before.name },
      changes: differences(before, after, DESCRIBED),
    });
    return this.#views.one(permit, after);
  }

  /** Which namespaces, workloads and roles may reference it; `null` for the default: its own namespace. */
  async setPolicy(actor: Actor, at: SecretAt, policy: PolicyRequest | null): Promise<SecretView> {
    const permit = await this.#guard.require(actor, "secret.policy", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    const before = await standing(reader, permit.place, at.secret);
    const after = { ...before, policy: await policyOf(reader, policy, before.namespaceId) };
    const [shownBefore, shownAfter] = await this.#views.of(permit, [before, after]);
    await this.#store.commit(permit, new Change().replace("secrets", before, after).raiseEpoch(), {
      result: "success",
      target: { type: "secret", id: before.id, name: before.name },
      changes: [{ field: "policy", before: shownBefore?.policy ?? null, after: shownAfter?.policy ?? null }],
    });
    return this.#views.one(permit, after);
  }

  /** Nothing gets it from now on; it can be brought back for 30 days. */
  async delete(actor: Actor, at: SecretAt, ifMatch?: number | null): Promise<void> {
    const permit = await this.#guard.require(actor, "secret.delete", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const secret = await standing(this.#store.read(permit), permit.place, at.secret);
    mustMatch(secret, ifMatch);
    const change = new Change()
      .replace("secrets", secret, { state: "deleted", deletedAt: this.#store.now() })
      .raiseEpoch();
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "secret", id: secret.id, name: secret.name },
    });
  }

  /** The newest deleted secret of this name. Throws `already_exists` when another has taken the name. */
  async restore(actor: Actor, at: SecretAt): Promise<SecretView> {
    const permit = await this.#guard.require(actor, "secret.write", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    const deleted = await newestDeleted(reader, permit.place, at.secret);
    if (deleted === null || this.#store.now().getTime() - (deleted.deletedAt?.getTime() ?? 0) > RESTORABLE_MS)
      throw noSecret("there is no secret of this name that was deleted here in the last 30 days");
    const after = {
      ...deleted,
      state: "active" as const,
      deletedAt: null,
      updatedAt: this.#store.now(),
      updatedBy: principalOf(actor),
    };
    const change = expectPlace(new Change(), permit.place)
      .replace("secrets", deleted, after, "already_exists")
      .raiseEpoch();
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "secret", id: deleted.id, name: deleted.name },
    });
    return this.#views.one(permit, after);
  }
}

/** `undefined`: no condition. `null`: any version, but there must be one. Throws `precondition_failed`. */
export function mustMatch(secret: Row<"secrets"> | null, ifMatch: number | null | undefined): void {
  if (ifMatch === undefined || (secret !== null && (ifMatch === null || ifMatch === secret.currentVersion))) return;
  throw new VaultError(
    "precondition_failed",
    secret === null ? "There is no such secret yet." : `The current version is ${String(secret.currentVersion)}.`,
  );
}

export function metadataOf(
  given: Metadata,
  before: Pick<Row<"secrets">, "description" | "tags" | "owner" | "rotateBy"> | null,
) {
  return {
    description: given.description ?? before?.description ?? "",
    tags: given.tags ?? before?.tags ?? [],
    owner: given.owner ?? before?.owner ?? "",
    rotateBy: given.rotateBy === undefined ? (before?.rotateBy ?? null) : given.rotateBy,
  };
}
