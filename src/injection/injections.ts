import { VaultError } from "#base";
import type { Actor, Id } from "#base";
import { Change, MissedExpectation, above, below, listPage, oneOf } from "#storage";
import type { Page, PageRequest, Query, Reader, Row, Store } from "#storage";
import { environmentNamed, namesOf, namespaceNamed } from "#access";
import type { Guard, LaunchPlace } from "#access";
import { injectionState, leaseState } from "./lease.ts";
import type { LeaseState } from "./lease.ts";

export interface LeaseView {
  readonly id: Id<"lea">;
  readonly state: LeaseState;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly endedAt: Date | null;
  readonly exitCode: number | null;
}

/** One launch from mint to end, without a secret's name. */
export interface InjectionView {
  readonly id: Id<"inj">;
  readonly workload: string;
  readonly environment: string;
  readonly manifestVersion: number;
  readonly state: "minted" | "exchanged" | "revoked" | "expired";
  readonly bound: boolean;
  readonly note: string;
  readonly mintedBy: string;
  readonly mintedAt: Date;
  readonly expiresAt: Date;
  readonly exchangedAt: Date | null;
  readonly exchangedFrom: string | null;
  readonly exchangedBy: string | null;
  readonly lease: LeaseView | null;
}

export interface InjectionFilter extends PageRequest {
  readonly environment?: string | undefined;
  readonly namespace?: string | undefined;
  readonly workload?: string | undefined;
  readonly state?: "minted" | "exchanged" | "revoked" | "expired" | undefined;
}

const MOST_TRIES = 5;

/** Launches: who launched what, where, when, with which outcome. */
export class Injections {
  readonly #guard: Guard;
  readonly #store: Store;

  constructor(guard: Guard, store: Store) {
    this.#guard = guard;
    this.#store = store;
  }

  /** Newest first: those of the scopes the actor may look into, and the actor's own. */
  async list(actor: Actor, filter: InjectionFilter): Promise<Page<InjectionView>> {
    const { reader, query } = await this.#seen(actor);
    const { environment, namespace, workload } = filter;
    const inEnvironment = environment === undefined ? undefined : await environmentNamed(reader, environment);
    const inNamespace = namespace === undefined ? undefined : await namespaceNamed(reader, namespace);
    const named =
      workload === undefined
        ? undefined
        : await reader.list("workloads", { where: { name: workload, namespaceId: inNamespace?.id } });
    if (inEnvironment === null || inNamespace === null) return { items: [], next: null };
    const inWorkloads = named === undefined ? {} : { workloadId: oneOf(named.map((row) => row.id)) };
    const where = {
      environmentId: inEnvironment?.id,
      namespaceId: inNamespace?.id,
      ...inWorkloads,
      ...stateIs(filter.state, this.#store.now()),
    };
    const page = await listPage(reader, "injections", { ...query, where, order: ["id"], descending: true }, filter);
    return { items: await this.#views(reader, page.items), next: page.next };
  }

  async get(actor: Actor, id: Id<"inj">): Promise<InjectionView> {
    const { reader, query } = await this.#seen(actor);
    const [injection] = await reader.list("injections", { ...query, where: { id } });
    if (injection === undefined) throw new VaultError("not_found");
    return this.#view(reader, injection);
  }

  /** Voids a token that was not used; ends the lease of one that was, also of one that is being used at this moment. */
  async revoke(actor: Actor, id: Id<"inj">): Promise<InjectionView> {
    const permit = await this.#guard.require(actor, "workload.run", { on: "injection", id });
    const reader = this.#store.read(permit);
    for (let tries = 1; ; tries += 1) {
      const injection = await reader.get("injections", { id });
      const lease = await reader.get("leases", { injectionId: id });
      if (injection === null) throw new VaultError("not_found");
      const change = new Change();
      if (lease?.state === "active") change.replace("leases", lease, { state: "revoked", endedAt: this.#store.now() });
      if (injection.state === "minted") change.replace("injections", injection, { state: "revoked" });
      try {
        await this.#store.commit(permit, change.raiseEpoch(), {
          result: "success",
          target: { type: "injection", id, name: null },
        });
        return await this.#view(reader, { ...injection, ...(await reader.get("injections", { id })) });
      } catch (error) {
        if (!(error instanceof MissedExpectation) || tries >= MOST_TRIES) throw error;
      }
    }
  }

  async #seen(actor: Actor): Promise<{ reader: Reader; query: Pick<Query<"injections">, "anyOf"> }> {
    const { permit, seen } = await this.#guard.among(actor, "injection.view");
    const own = "name" in actor ? [{ mintedBy: actor.id }] : [];
    return {
      reader: this.#store.read(permit),
      query: seen.rows === "all" ? {} : { anyOf: [...own, ...seen.rows] },
    };
  }

  async #view(reader: Reader, injection: Row<"injections">): Promise<InjectionView> {
    const [view] = await this.#views(reader, [injection]);
    if (view === undefined) throw new VaultError("internal");
    return view;
  }

  async #views(reader: Reader, rows: readonly Row<"injections">[]): Promise<InjectionView[]> {
    const ids = rows.map((row) => row.id);
    const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
    const [environments, namespaces, workloads, exchanges, leases] = await Promise.all([
      reader.list("environments", { where: { id: oneOf(unique(rows.map((row) => row.environmentId))) } }),
      reader.list("namespaces", { where: { id: oneOf(unique(rows.map((row) => row.namespaceId))) } }),
      reader.list("workloads", { where: { id: oneOf(unique(rows.map((row) => row.workloadId))) } }),
      reader.list("exchanges", { where: { injectionId: oneOf(ids) } }),
      reader.list("leases", { where: { injectionId: oneOf(ids) } }),
    ]);
    const runners = exchanges.map((row) => row.runnerId).filter((id) => id !== null);
    const names = await namesOf(reader, [...rows.map((row) => row.mintedBy), ...runners]);
    const now = this.#store.now();
    const nameIn = (all: readonly { readonly id: string; readonly name: string }[], id: string): string =>
      all.find((one) => one.id === id)?.name ?? id;
    const place = (row: Row<"injections">) => {
      const environment = environments.find((one) => one.id === row.environmentId && one.state !== "deleted");
      const workload = workloads.find((one) => one.id === row.workloadId && one.state !== "deleted");
      return environment === undefined || workload === undefined ? null : { environment, workload };
    };
    return rows.map((row) => {
      const exchange = exchanges.find((one) => one.injectionId === row.id);
      const lease = leases.find((one) => one.injectionId === row.id);
      return {
        id: row.id,
        workload: `${nameIn(namespaces, row.namespaceId)}/${nameIn(workloads, row.workloadId)}`,
        environment: nameIn(environments, row.environmentId),
        manifestVersion: row.manifestVersion,
        state: injectionState(row, exchange !== undefined, now),
        bound: row.bound,
        note: row.note,
        mintedBy: names(row.mintedBy),
        mintedAt: row.mintedAt,
        expiresAt: row.expiresAt,
        exchangedAt: exchange?.at ?? null,
        exchangedFrom: exchange?.address ?? null,
        exchangedBy: exchange?.runnerId == null ? null : names(exchange.runnerId),
        lease: lease === undefined ? null : leaseView(lease, place(row), now),
      };
    });
  }
}

export function leaseView(
  lease: Row<"leases">,
  place: Pick<LaunchPlace, "environment" | "workload"> | null,
  now: Date,
): LeaseView {
  return {
    id: lease.id,
    state: leaseState(lease, place, now),
    createdAt: lease.createdAt,
    expiresAt: lease.expiresAt,
    endedAt: lease.endedAt,
    exitCode: lease.exitCode,
  };
}

function stateIs(state: InjectionFilter["state"], now: Date) {
  switch (state) {
    case undefined:
      return {};
    case "minted":
      return { state: "minted" as const, expiresAt: above(now) };
    case "expired":
      return { state: "minted" as const, expiresAt: below(new Date(now.getTime() + 1)) };
    case "exchanged":
    case "revoked":
      return { state };
  }
}
