import { VaultError } from "#base";
import type { Actor, Id, IdSource, Permit } from "#base";
import { Change, listPage, noneOf, oneOf } from "#storage";
import type { NewRow, Page, PageRequest, Reader, Row, Store, Where } from "#storage";
import { environmentNamed, namespaceNamed } from "./find.ts";
import type { Guard } from "./guard.ts";
import { namesOf, principalOf } from "./principal.ts";
import { isGrantRole } from "./roles.ts";

export interface GrantRequest {
  readonly principal: string;
  readonly role: string;
  readonly environment?: string | undefined;
  readonly namespace?: string | undefined;
  readonly workload?: string | undefined;
  readonly startsAt?: Date | undefined;
  readonly endsAt?: Date | undefined;
  readonly reason?: string | undefined;
}

export type GrantView = Row<"grants"> & {
  readonly principal: string;
  readonly environment: string | null;
  readonly namespace: string | null;
  readonly workload: string | null;
  readonly by: string;
};

/** Grants: principal × role × scope (× workload), with an optional start and end. They hold ids: names made anew get nothing. */
export class Grants {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#ids = ids;
  }

  /** Throws `invalid_input` for a role no grant gives, `not_found` for a name that does not stand. */
  async create(actor: Actor, request: GrantRequest): Promise<GrantView> {
    const permit = await this.#guard.require(actor, "grant.manage", { on: "org" });
    if (!isGrantRole(request.role)) throw fault("role", "not a role that a grant gives: see GET /v1/roles");
    if (request.workload !== undefined && request.namespace === undefined)
      throw fault("namespace", "a workload is named with its namespace");
    const reader = this.#store.read(permit);
    const now = this.#store.now();
    if (request.endsAt !== undefined && request.endsAt <= (request.startsAt ?? now))
      throw fault("endsAt", "must be after the start, and in the future");
    const principal = await reader.get("principals", { name: request.principal, state: noneOf(["deleted"]) });
    if (principal === null) throw absent("principal", "there is no such user or service user");
    const place = await this.#place(reader, request);
    const grant: NewRow<"grants"> = {
      id: this.#ids.next("grt"),
      principalId: principal.id,
      role: request.role,
      ...place,
      startsAt: request.startsAt ?? null,
      endsAt: request.endsAt ?? null,
      reason: request.reason ?? "",
      grantedBy: principalOf(actor),
      state: "active",
      createdAt: now,
    };
    await this.#store.commit(permit, new Change().insert("grants", grant).raiseEpoch(), {
      result: "success",
      target: { type: "grant", id: grant.id, name: principal.name },
      changes: [{ field: "grant", before: null, after: wordsOf(grant, request) }],
      ...(request.reason === undefined ? {} : { reason: request.reason }),
    });
    const [view] = await this.#views(reader, [{ ...grant, changedBy: permit.event.id }]);
    if (view === undefined) throw new VaultError("internal");
    return view;
  }

  async list(
    actor: Actor,
    filter: PageRequest & { readonly principal?: string | undefined },
  ): Promise<Page<GrantView>> {
    const permit = await this.#guard.require(actor, "grant.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const principal =
      filter.principal === undefined
        ? null
        : await reader.get("principals", { name: filter.principal, state: noneOf(["deleted"]) });
    if (filter.principal !== undefined && principal === null) return { items: [], next: null };
    const where = { state: "active" as const, principalId: principal?.id };
    const page = await listPage(reader, "grants", { where, order: ["id"] }, filter);
    return { items: await this.#views(reader, page.items), next: page.next };
  }

  /** A principal's own grants, for whoever holds a permit to see them. */
  async of(permit: Permit, principal: Id<"prn">): Promise<readonly GrantView[]> {
    const reader = this.#store.read(permit);
    return this.#views(
      reader,
      await reader.list("grants", { where: { principalId: principal, state: "active" }, order: ["id"] }),
    );
  }

  /** The default applies again on the next request. */
  async delete(actor: Actor, id: Id<"grt">): Promise<void> {
    const permit = await this.#guard.require(actor, "grant.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const grant = await reader.get("grants", { id, state: "active" });
    if (grant === null) throw new VaultError("not_found");
    const [view] = await this.#views(reader, [grant]);
    await this.#store.commit(permit, new Change().replace("grants", grant, { state: "removed" }).raiseEpoch(), {
      result: "success",
      target: { type: "grant", id, name: view?.principal ?? null },
      changes: [{ field: "grant", before: view === undefined ? grant.role : wordsOf(grant, view), after: null }],
    });
  }

  async #place(
    reader: Reader,
    request: GrantRequest,
  ): Promise<Pick<Row<"grants">, "environmentId" | "namespaceId" | "workloadId">> {
    const environment = request.environment === undefined ? null : await environmentNamed(reader, request.environment);
    const namespace = request.namespace === undefined ? null : await namespaceNamed(reader, request.namespace);
    const workload =
      request.workload === undefined || namespace === null
        ? null
        : await reader.get("workloads", {
            namespaceId: namespace.id,
            name: request.workload,
            state: noneOf(["deleted"]),
          });
    const missing = (["environment", "namespace", "workload"] as const).find(
      (one) => request[one] !== undefined && { environment, namespace, workload }[one] === null,
    );
    if (missing !== undefined) throw absent(missing, `there is no such ${missing}`);
    return {
      environmentId: environment?.id ?? null,
      namespaceId: namespace?.id ?? null,
      workloadId: workload?.id ?? null,
    };
  }

  async #views(reader: Reader, grants: readonly Row<"grants">[]): Promise<GrantView[]> {
    const pick = <K extends "environmentId" | "namespaceId" | "workloadId">(
      key: K,
    ): NonNullable<Row<"grants">[K]>[] => [
      ...new Set(grants.map((grant) => grant[key]).filter((id): id is NonNullable<Row<"grants">[K]> => id !== null)),
    ];
    const [names, environments, namespaces, workloads] = await Promise.all([
      namesOf(
        reader,
        grants.flatMap((grant) => [grant.principalId, grant.grantedBy]),
      ),
      reader.list("environments", { where: { id: oneOf(pick("environmentId")) } }),
      reader.list("namespaces", { where: { id: oneOf(pick("namespaceId")) } }),
      reader.list("workloads", { where: { id: oneOf(pick("workloadId")) } }),
    ]);
    const nameIn = (
      rows: readonly { readonly id: string; readonly name: string }[],
      id: string | null,
    ): string | null => (id === null ? null : (rows.find((row) => row.id === id)?.name ?? id));
    return grants.map((grant) => ({
      ...grant,
      principal: names(grant.principalId),
      environment: nameIn(environments, grant.environmentId),
      namespace: nameIn(namespaces, grant.namespaceId),
      workload: nameIn(workloads, grant.workloadId),
      by: names(grant.grantedBy),
    }));
  }
}

/**
 * Ends the grants of a principal or a place that is deleted. They would reach nothing any more, since grants hold ids; but
 * in a list they would stand under a name that somebody or something else may bear by then.
 */
export async function endGrants(
  reader: Reader,
  change: Change,
  of: Pick<Where<"grants">, "principalId" | "environmentId" | "namespaceId" | "workloadId">,
): Promise<void> {
  for (const grant of await reader.list("grants", { where: { ...of, state: "active" } }))
    change.replace("grants", grant, { state: "removed" });
}

function wordsOf(
  grant: Pick<Row<"grants">, "role" | "startsAt" | "endsAt">,
  place: {
    environment?: string | null | undefined;
    namespace?: string | null | undefined;
    workload?: string | null | undefined;
  },
): Record<string, unknown> {
  return {
    role: grant.role,
    environment: place.environment ?? "*",
    namespace: place.namespace ?? "*",
    workload: place.workload ?? "*",
    startsAt: grant.startsAt?.toISOString() ?? null,
    endsAt: grant.endsAt?.toISOString() ?? null,
  };
}

function absent(field: string, message: string): VaultError {
  return new VaultError("not_found", undefined, { detail: { faults: [{ field, message }] } });
}

function fault(field: string, message: string): VaultError {
  return new VaultError("invalid_input", undefined, { detail: { faults: [{ field, message }] } });
}
