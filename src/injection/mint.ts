import { SECOND, VaultError } from "#base";
import type { Actor, Id, IdSource, Redacted } from "#base";
import { generateToken } from "#crypto";
import { Change } from "#storage";
import type { NewRow, Store } from "#storage";
import { principalOf } from "#access";
import type { Guard } from "#access";
import type { WorkloadAt } from "#workloads";
import { mayReceive, needsOf, pinned } from "./launch.ts";

export const DEFAULT_TTL_SECONDS = 60;
/** A bound token is worthless alone, so it may travel for longer. */
export const LONGEST_TTL_SECONDS = 900;

export interface MintRequest {
  readonly environment: string;
  readonly ttlSeconds?: number | undefined;
  readonly cidrs?: readonly string[] | undefined;
  readonly note?: string | undefined;
  readonly count?: number | undefined;
}

export interface Minted {
  readonly items: readonly { readonly token: Redacted<string>; readonly injectionId: Id<"inj"> }[];
  readonly environment: string;
  readonly workload: string;
  readonly manifestVersion: number;
  readonly bound: boolean;
  readonly expiresAt: Date;
}

/** Mints injection tokens. All that the exchange will check is checked here too, so that a launch that cannot work fails now. */
export class Mint {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#ids = ids;
  }

  /**
   * Bound when the caller may not take delivery: exchanging then also takes a runner's credential.
   *
   * @throws {VaultError} `not_deployed`; `launch_refused`, with the variables for those who may know them.
   */
  async mint(actor: Actor, at: WorkloadAt, request: MintRequest): Promise<Minted> {
    const permit = await this.#guard.require(actor, "workload.run", {
      on: "workload-in",
      ...at,
      environment: request.environment,
    });
    const { place } = permit;
    const reader = this.#store.read(permit);
    const deployed = await pinned(this.#guard, reader, permit.org, place, null);
    const mayKnow = (await this.#guard.weigh(actor, "secret.list", place)).allowed;
    const needs = await needsOf(this.#guard, reader, permit.org, place, deployed, mayKnow);
    const bound = !(await mayReceive(place, needs, (there) => this.#guard.weigh(actor, "injection.receive", there)));
    const now = this.#store.now();
    const ttlSeconds = request.ttlSeconds ?? (bound ? LONGEST_TTL_SECONDS : DEFAULT_TTL_SECONDS);
    if (ttlSeconds > LONGEST_TTL_SECONDS) throw new VaultError("invalid_input");
    const expiresAt = new Date(now.getTime() + ttlSeconds * SECOND);
    const change = new Change();
    const items = Array.from({ length: request.count ?? 1 }, () => {
      const id = this.#ids.next("inj");
      const { text, digest } = generateToken("inj", permit.org, id);
      const row: NewRow<"injections"> = {
        id,
        workloadId: place.workload.id,
        namespaceId: place.namespace.id,
        environmentId: place.environment.id,
        manifestVersion: deployed.manifest.version,
        deploymentId: deployed.deployment?.id ?? null,
        digest,
        state: "minted",
        bound,
        cidrs: request.cidrs ?? [],
        note: request.note ?? "",
        mintedBy: principalOf(actor),
        mintedAt: now,
        expiresAt,
      };
      change.insert("injections", row);
      return { token: text, injectionId: id };
    });
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "injection", id: items[0]?.injectionId ?? null, name: null },
      facts: { count: items.length, bound, ttlSeconds, manifestVersion: deployed.manifest.version },
      ...(request.note === undefined ? {} : { reason: request.note }),
    });
    return {
      items,
      environment: request.environment,
      workload: `${at.namespace}/${at.workload}`,
      manifestVersion: deployed.manifest.version,
      bound,
      expiresAt,
    };
  }
}
