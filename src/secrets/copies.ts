import { VaultError } from "#base";
import type { Actor, Outcome, Permit } from "#base";
import { Change } from "#storage";
import type { Row, Settlement, Store } from "#storage";
import type { Guard, ScopePlace } from "#access";
import { copiedOf, expectAsRead, mustBeFree, mustBeUnused, renamedTo, sourcesOf, tooMany } from "./copy-plan.ts";
import type { Copied, CopyPlan, CopyRequest } from "./copy-plan.ts";
import { expectPlace, standingNamed, targetOf } from "./scope.ts";
import { epochOf } from "./users.ts";
import type { SecretUsers } from "./users.ts";
import type { Values } from "./values.ts";
import { currentVersions } from "./writes.ts";
import type { Draft, Writes } from "./writes.ts";

/** Values that are open at once. */
const MOST_BYTES_AT_ONCE = 8 * 1024 * 1024;

/** Both ends of a copy: the permit is for the target, and the source's for the event there. */
interface Ends {
  readonly permit: Permit<ScopePlace>;
  readonly from: Permit<ScopePlace>;
  /** As it was before anything else was read. */
  readonly epoch: number;
}

/** Secrets of one scope in another, sealed anew for their place. Nobody sees a value on the way. */
export class Copies {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #values: Values;
  readonly #writes: Writes;
  readonly #users: SecretUsers;

  constructor(guard: Guard, store: Store, values: Values, writes: Writes, users: SecretUsers) {
    this.#guard = guard;
    this.#store = store;
    this.#values = values;
    this.#writes = writes;
    this.#users = users;
  }

  /**
   * The current versions, all or none. It takes `secret.write` in the target and in the source what reads the values
   * anyway: `secret.list` and `injection.receive`; to move, `secret.delete` too. So nobody gains a value by copying. Both
   * scopes' events are in the one commit: who watches the source sees what left it, and where to.
   *
   * @throws {VaultError} `not_found`, `already_exists`, `in_use`, `invalid_input`, each naming the secrets.
   */
  async copy(actor: Actor, request: CopyRequest): Promise<Copied[]> {
    const permit = await this.#guard.require(actor, "secret.write", {
      on: "scope",
      ...request.to,
      side: "to",
    });
    const from = await this.#guard.across(
      permit,
      ["secret.list", "injection.receive", ...(request.move === true ? (["secret.delete"] as const) : [])],
      { on: "scope", ...request.from, side: "from" },
    );
    const ends: Ends = { permit, from, epoch: await epochOf(this.#store.read(permit)) };
    if (request.preview === true) return this.#preview(ends, await this.#plan(ends, request));
    // The names are known before the turn is taken; what stands under them is read within it.
    const plans = await this.#plan(ends, request);
    return this.#writes.inTurn(
      permit,
      plans.map((plan) => plan.as),
      async () => {
        const now = { ...ends, epoch: await epochOf(this.#store.read(permit)) };
        return this.#commit(now, request, await this.#plan(now, request));
      },
      { place: from.place, names: plans.map((plan) => plan.source.name) },
    );
  }

  async #plan(ends: Ends, request: CopyRequest): Promise<CopyPlan[]> {
    const { permit } = ends;
    const source = ends.from.place;
    const reader = this.#store.read(permit);
    const sources = await sourcesOf(reader, source, request.names);
    await this.#mustBeOffered(ends, request, sources);
    const renamed = renamedTo(sources, request.rename ?? {}, isSame(source, permit.place));
    const there = await standingNamed(reader, permit.place, [...renamed.values()]);
    const uses = request.move === true ? await this.#users.of(permit.actor, reader, sources) : null;
    return sources.map((one) => {
      const as = renamed.get(one.name) ?? one.name;
      const before = there.get(as) ?? null;
      const action = before === null ? "create" : request.overwrite === true ? "write" : "taken";
      return { source: one, as, before, action, uses: uses?.get(one.id) ?? [] };
    });
  }

  /**
   * A policy may keep a secret from launches that its readers could make; a copy has no policy. So what is withheld from
   * its own namespace, or from the actor's roles, is copied only by who could change that policy.
   */
  async #mustBeOffered(
    { permit, from }: Ends,
    request: CopyRequest,
    sources: readonly Row<"secrets">[],
  ): Promise<void> {
    const roles = await this.#guard.rolesAt(permit.actor, { ...from.place, workload: null });
    const withheld = ({ policy, namespaceId }: Row<"secrets">): boolean =>
      policy !== null &&
      (!policy.namespaces.includes(namespaceId) ||
        (policy.roles.length > 0 && !policy.roles.some((role) => roles.includes(role))));
    if (sources.some(withheld)) await this.#guard.also(permit, ["secret.policy"], { on: "scope", ...request.from });
  }

  async #preview({ permit, from }: Ends, plans: readonly CopyPlan[]): Promise<Copied[]> {
    const facts = { preview: true, names: plans.length };
    await this.#store.commit(
      permit,
      null,
      { result: "success", target: targetOf(permit.place), facts: { ...facts, ...fromFacts(from.place) } },
      [leaving(from, permit.place, plans, facts)],
    );
    return plans.map((plan) => copiedOf(plan, plan.before?.currentVersion ?? null));
  }

  async #commit(ends: Ends, request: CopyRequest, plans: readonly CopyPlan[]): Promise<Copied[]> {
    const { permit, from } = ends;
    mustBeFree(plans);
    if (request.force !== true) mustBeUnused(plans);
    const change = new Change();
    if (request.move === true && request.force !== true) change.expectEpoch(ends.epoch, "head");
    const written = await this.#writes.add(permit, change, await this.#drafts(permit, plans));
    expectPlace(change, from.place);
    expectAsRead(
      change,
      plans.map((plan) => plan.source),
    );
    if (request.move === true) {
      const gone = { state: "deleted", deletedAt: this.#store.now() } as const;
      for (const plan of plans) change.replace("secrets", plan.source, gone, "conflict", "head");
    }
    const versions = new Map(written.map(({ head }) => [head.name, head]));
    const facts = { moved: request.move === true, names: plans.length };
    const arrived: Outcome = {
      result: "success",
      target: targetOf(permit.place),
      secrets: written.map(({ head }) => ({ id: head.id, name: head.name, version: head.currentVersion })),
      // By ids: who may list here need not know the names there.
      changes: plans.map((plan) => ({
        field: plan.as,
        before: plan.before?.currentVersion ?? null,
        after: {
          version: versions.get(plan.as)?.currentVersion ?? null,
          from: plan.source.id,
          of: plan.source.currentVersion,
        },
      })),
      facts: { ...facts, ...fromFacts(from.place) },
    };
    await this.#store.commit(permit, change, arrived, [leaving(from, permit.place, plans, facts)]);
    return plans.map((plan) => copiedOf(plan, versions.get(plan.as)?.currentVersion ?? null));
  }

  async #drafts(permit: Permit, plans: readonly CopyPlan[]): Promise<Draft[]> {
    const planned = new Map(plans.map((plan) => [plan.source.id, plan]));
    const drafts: Draft[] = [];
    let bytes = 0;
    for await (const [source, row] of currentVersions(
      this.#store.read(permit),
      plans.map((plan) => plan.source),
    )) {
      if (row === null) throw new VaultError("integrity_failed");
      bytes += row.bytes;
      if (bytes > MOST_BYTES_AT_ONCE) throw tooMany("their values are more than 8 MiB: name fewer at a time");
      const plan = planned.get(source.id);
      if (plan === undefined) continue;
      const { description, tags, owner, rotateBy, delivery } = source;
      drafts.push({
        name: plan.as,
        before: plan.before,
        value: await this.#values.open(permit.org, source, row),
        metadata: { description, tags, owner, rotateBy },
        delivery,
      });
    }
    return drafts;
  }
}

function isSame(one: ScopePlace, other: ScopePlace): boolean {
  return one.environment.id === other.environment.id && one.namespace.id === other.namespace.id;
}

function fromFacts({ environment, namespace }: ScopePlace) {
  return { fromEnvironment: environment.id, fromNamespace: namespace.id };
}

/** The source's event: its own names and versions, and the target by ids, since who may list here need not know it. */
function leaving(
  permit: Permit<ScopePlace>,
  { environment, namespace }: ScopePlace,
  plans: readonly CopyPlan[],
  facts: NonNullable<Outcome["facts"]>,
): Settlement {
  return {
    permit,
    outcome: {
      action: "secret.copied",
      result: "success",
      target: targetOf(permit.place),
      secrets: plans.map(({ source }) => ({ id: source.id, name: source.name, version: source.currentVersion })),
      facts: { ...facts, toEnvironment: environment.id, toNamespace: namespace.id },
    },
  };
}
