import { VaultError } from "#base";
import type { Actor, EventChange, IdSource } from "#base";
import type { Keyring } from "#crypto";
import { Change, listPage, noneOf, oneOf } from "#storage";
import type { Page, PageRequest, Row, Store } from "#storage";
import { foundEnvironment } from "./founding.ts";
import { endGrants } from "./grants.ts";
import type { Guard } from "./guard.ts";
import { environmentsIn } from "./visible.ts";

const MOST_ENVIRONMENTS = 1_500;

export interface EnvironmentUpdate {
  readonly mode?: Row<"environments">["mode"] | undefined;
  readonly localRun?: boolean | undefined;
  readonly description?: string | undefined;
  readonly state?: "active" | "disabled" | undefined;
}

/** Environments: the boundary that every operation is decided at. */
export class Environments {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #keyring: Keyring;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, keyring: Keyring, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#keyring = keyring;
    this.#ids = ids;
  }

  /** Restricted unless said. Throws `already_exists`, `limit_reached`. */
  async create(actor: Actor, settings: { name: string } & EnvironmentUpdate): Promise<Row<"environments">> {
    const permit = await this.#guard.require(actor, "environment.manage", { on: "org" });
    const reader = this.#store.read(permit);
    if ((await reader.count("environments", { state: noneOf(["deleted"]) })) >= MOST_ENVIRONMENTS) {
      throw new VaultError("limit_reached", `An org has at most ${String(MOST_ENVIRONMENTS)} environments.`);
    }
    const now = this.#store.now();
    const change = new Change();
    const made = await foundEnvironment(
      change,
      permit.org,
      {
        name: settings.name,
        mode: settings.mode ?? "restricted",
        localRun: settings.localRun ?? false,
        description: settings.description ?? "",
      },
      { keyring: this.#keyring, ids: this.#ids, now },
    );
    const { environment, key } = made;
    await this.#store.commit(permit, change.raiseEpoch(), {
      result: "success",
      target: { type: "environment", id: environment.id, name: environment.name },
      changes: [
        { field: "mode", before: null, after: environment.mode },
        { field: "localRun", before: null, after: environment.localRun },
      ],
    });
    this.#keyring.adopt([key]);
    return { ...environment, changedBy: permit.event.id };
  }

  /** Those in which the actor may see anything. */
  async list(actor: Actor, page: PageRequest): Promise<Page<Row<"environments">>> {
    const { permit, seen } = await this.#guard.among(actor, "workload.view");
    const ids = environmentsIn(seen.scopes);
    const where = {
      state: noneOf<Row<"environments">["state"]>(["deleted"]),
      ...(ids === "all" ? {} : { id: oneOf(ids) }),
    };
    return listPage(this.#store.read(permit), "environments", { where, order: ["name"] }, page);
  }

  async get(actor: Actor, name: string): Promise<Row<"environments">> {
    const permit = await this.#guard.require(actor, "workload.view", { on: "environment", environment: name });
    return permit.place.environment;
  }

  async update(actor: Actor, name: string, update: EnvironmentUpdate): Promise<Row<"environments">> {
    const permit = await this.#guard.require(actor, "environment.manage", { on: "environment", environment: name });
    const before = permit.place.environment;
    const after = {
      ...before,
      mode: update.mode ?? before.mode,
      localRun: update.localRun ?? before.localRun,
      description: update.description ?? before.description,
      state: update.state ?? before.state,
    };
    await this.#store.commit(permit, new Change().replace("environments", before, after).raiseEpoch(), {
      result: "success",
      target: { type: "environment", id: before.id, name },
      changes: differences(before, after, ["mode", "localRun", "state", "description"]),
    });
    return { ...after, changedBy: permit.event.id };
  }

  /**
   * Ends the environment: nothing in it can be reached again and its name is free. Its keys stay until the delay is over.
   * `confirm` must be its name.
   */
  async delete(actor: Actor, name: string, confirm: string): Promise<void> {
    const permit = await this.#guard.require(actor, "environment.manage", { on: "environment", environment: name });
    if (confirm !== name)
      throw new VaultError("invalid_input", "The confirmation is not the environment's name.", {
        detail: { faults: [{ field: "confirm", message: "must be the name of the environment" }] },
      });
    const { environment } = permit.place;
    const change = new Change()
      .replace("environments", environment, { state: "deleted", deletedAt: this.#store.now() })
      .raiseEpoch();
    await endGrants(this.#store.read(permit), change, { environmentId: environment.id });
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "environment", id: environment.id, name },
    });
  }
}

/** What an event says of a change of configuration: the fields that differ. */
export function differences<R extends object>(
  before: R,
  after: R,
  fields: readonly (keyof R & string)[],
): EventChange[] {
  return fields
    .filter((field) => JSON.stringify(before[field]) !== JSON.stringify(after[field]))
    .map((field) => ({ field, before: before[field], after: after[field] }));
}
