import { Call, INSTANCE, VaultError } from "#base";
import type { Actor, EventDraft, Id, IdSource, Outcome, Permission, Permit } from "#base";
import { noneOf, oneOf } from "#storage";
import type { Reader, Row, ScopeSet, Store } from "#storage";
import { decide, rolesAt } from "./decide.ts";
import type { Decision, Place } from "./decide.ts";
import type { Knowledge, Known } from "./knowledge.ts";
import { issue } from "./permit.ts";
import { scopesOf, seenBy } from "./visible.ts";
import type { Seen } from "./visible.ts";
import { wordsOf } from "./where.ts";
import type { LaunchPlace, PlaceOf, Where } from "./where.ts";

type EventScope = Pick<EventDraft, "environment" | "namespace" | "workload">;
const NOWHERE: EventScope = { environment: null, namespace: null, workload: null };

interface Found {
  /** What the operation gets: the rows, or `null` where there are none to get. */
  readonly rows: unknown;
  readonly scope: EventScope;
  /** One decision for each: `some` or `every` must allow. */
  readonly places: readonly Place[];
  readonly rule: "some" | "every";
}

/**
 * The door of every operation. It looks up who asks and what is asked about, decides, and either issues a permit or records
 * the refusal and throws. Nothing reads or writes without what it returns.
 */
export class Guard {
  readonly #knowledge: Knowledge;
  readonly #store: Store;
  readonly #ids: IdSource;

  constructor(knowledge: Knowledge, store: Store, ids: IdSource) {
    this.#knowledge = knowledge;
    this.#store = store;
    this.#ids = ids;
  }

  now(): Date {
    return this.#store.now();
  }

  /**
   * @throws {VaultError} `forbidden` when the actor may know the place but not do this there; `not_found` when the place is
   * not there, or not the actor's to know. The refusal is in the audit log before this throws.
   */
  async require<W extends Where>(actor: Actor, action: Permission, where: W): Promise<Permit<PlaceOf[W["on"]]>> {
    const known = await this.#knowledge.of(actor);
    const found = await this.#find(known, actor.org, where);
    const decision =
      found === null
        ? UNKNOWN
        : combine(found, (place) => decide(known.subject, action, place, known.facts, this.now()));
    const org = where.on === "new-org" ? where.org : where.on === "instance" ? INSTANCE : actor.org;
    const chain = where.on === "new-org" || where.on === "instance" ? INSTANCE : actor.org;
    if (!decision.allowed) {
      // A refused stranger leaves a trace in the own org, never in the instance's chain.
      await this.#refuse(actor, action, where, found, decision);
    }
    return issue({
      actor,
      org,
      action,
      place: (found?.rows ?? null) as PlaceOf[W["on"]],
      event: this.#draft(chain, decision.because, found?.scope ?? NOWHERE, null),
    });
  }

  /** What the same actor may do at another place, where an operation looks at more than one: no permit, no event. */
  async weigh(actor: Actor, action: Permission, place: Omit<Place, "org">): Promise<Decision> {
    const known = await this.#knowledge.of(actor);
    return decide(known.subject, action, { ...place, org: actor.org }, known.facts, this.now());
  }

  /** The same, in one environment at least: for what belongs to a namespace and not to an environment. */
  async weighAnywhere(actor: Actor, action: Permission, place: Omit<Place, "org" | "environment">): Promise<Decision> {
    const known = await this.#knowledge.of(actor);
    const places = await this.#everywhere(known, this.#knowledge.reader(actor.org), {
      ...place,
      org: actor.org,
      environment: null,
    });
    return combine({ places, rule: "some", rows: null, scope: NOWHERE }, (one) =>
      decide(known.subject, action, one, known.facts, this.now()),
    );
  }

  /** The roles that reach the actor at a place. */
  async rolesAt(actor: Actor, place: Omit<Place, "org">): Promise<readonly string[]> {
    const known = await this.#knowledge.of(actor);
    return rolesAt(known.subject, { ...place, org: actor.org }, known.facts, this.now());
  }

  /** The roles that reach a principal who is not acting, at a place. */
  async rolesFor(org: Id<"org">, principal: Id<"prn">, place: Omit<Place, "org">): Promise<readonly string[]> {
    const known = await this.#knowledge.ofPrincipal(org, principal);
    return known === null ? [] : rolesAt(known.subject, { ...place, org }, known.facts, this.now());
  }

  /** What a principal who is not acting may do: the author of a manifest, the minter of a token. */
  async weighFor(
    org: Id<"org">,
    principal: Id<"prn">,
    action: Permission,
    place: Omit<Place, "org">,
  ): Promise<Decision> {
    const known = await this.#knowledge.ofPrincipal(org, principal);
    return known === null ? UNKNOWN : decide(known.subject, action, { ...place, org }, known.facts, this.now());
  }

  /** The scopes in which the actor may do this: becomes part of a query, so that nothing is filtered after paging. */
  async visible(actor: Actor, action: Permission): Promise<ScopeSet> {
    return scopesOf(await this.#knowledge.of(actor), action, this.#knowledge.reader(actor.org), this.now());
  }

  /**
   * For lists: a permit, and what of the org it reaches. Nothing is refused; whoever may see nothing gets nothing.
   */
  async among(actor: Actor, action: Permission): Promise<{ readonly permit: Permit<null>; readonly seen: Seen }> {
    const known = await this.#knowledge.of(actor);
    const seen = await seenBy(known, action, this.#knowledge.reader(actor.org), this.now());
    const permit = issue({
      actor,
      org: actor.org,
      action,
      place: null,
      event: this.#draft(actor.org, "what the actor may see", NOWHERE, null),
    });
    return { permit, seen };
  }

  /** For the few operations without an actor's permission: sign-in, set-up. The event goes to the org's chain. */
  public(actor: Actor, because: string): Permit<null> {
    return issue({
      actor,
      org: actor.org,
      action: "public",
      place: null,
      event: this.#draft(actor.org, because, NOWHERE, null),
    });
  }

  /** For what the bearer of a token or lease does with it, at the place of its launch and by its minter's authority. */
  bearer(
    actor: Extract<Actor, { type: "token" | "service" }>,
    place: LaunchPlace | null,
    minter: Id<"prn">,
    because: string,
  ): Permit<LaunchPlace | null> {
    return issue({
      actor,
      org: actor.org,
      action: "public",
      place,
      event: this.#draft(actor.org, because, place === null ? NOWHERE : scopeOf(place), minter),
    });
  }

  /** For the vault's own work. `org` is whose rows it may touch; the event goes to the instance's chain, or to that org's. */
  system(operation: string, org: Id<"org"> = INSTANCE, chain: Id<"org"> = INSTANCE): Permit<null> {
    const call = new Call(operation, this.#ids.next("evt"), null);
    return issue({
      actor: { type: "system", call, org },
      org,
      action: "instance.admin",
      place: null,
      event: this.#draft(chain, "the vault itself", NOWHERE, null),
    });
  }

  /** Settles a permit whose operation changed nothing. */
  async settle(permit: Permit, outcome: Outcome): Promise<void> {
    await this.#store.commit(permit, null, outcome);
  }

  async #refuse(
    actor: Actor,
    action: Permission,
    where: Where,
    found: Found | null,
    decision: Decision,
  ): Promise<never> {
    const code = decision.visible ? (decision.missing === null ? "disabled" : "forbidden") : "not_found";
    // Whoever is refused may read the event: of what is not theirs to know it says what they asked for, and no more.
    const [because, scope] = decision.visible
      ? [decision.because, found?.scope ?? NOWHERE]
      : ["not there, or not the actor's to know", NOWHERE];
    const permit = issue({
      actor,
      org: actor.org,
      action,
      place: null,
      event: this.#draft(actor.org, because, scope, null),
    });
    await this.#store.commit(permit, null, {
      result: "refused",
      code,
      ...(decision.visible ? {} : { target: { type: where.on, id: null, name: wordsOf(where) } }),
    });
    if (code === "forbidden")
      throw new VaultError("forbidden", undefined, { detail: { missing: { permission: action, on: wordsOf(where) } } });
    if (code === "disabled") throw new VaultError("disabled", `Not now: ${decision.because}.`);
    throw new VaultError("not_found");
  }

  #draft(chain: Id<"org">, because: string, scope: EventScope, onBehalfOf: Id<"prn"> | null): EventDraft {
    return { id: this.#ids.next("evt"), chain, because, onBehalfOf, ...scope };
  }

  async #find(known: Known, org: Id<"org">, where: Where): Promise<Found | null> {
    const reader = this.#knowledge.reader(org);
    const bare: Place = { org, environment: null, namespace: null, workload: null };
    switch (where.on) {
      case "self":
      case "instance":
      case "new-org":
      case "org":
        return { rows: null, scope: NOWHERE, places: [bare], rule: "some" };
      case "environment": {
        const environment = await environmentNamed(reader, where.environment);
        if (environment === null) return null;
        // Whoever was granted a namespace of it knows the environment too.
        const mentioned = known.facts.grants.map((grant) => grant.namespaceId).filter((id) => id !== null);
        const namespaces = await reader.list("namespaces", { where: { id: oneOf(mentioned), state: "active" } });
        const places = [null, ...namespaces].map((namespace) => ({ ...bare, environment, namespace }));
        return { rows: { environment }, scope: { ...NOWHERE, environment }, places, rule: "some" };
      }
      case "namespace": {
        const namespace = await namespaceNamed(reader, where.namespace);
        if (namespace === null) return null;
        const places = await this.#everywhere(known, reader, { ...bare, namespace });
        return { rows: { namespace }, scope: { ...NOWHERE, namespace }, places, rule: "some" };
      }
      case "scope": {
        const [environment, namespace] = await Promise.all([
          environmentNamed(reader, where.environment),
          namespaceNamed(reader, where.namespace),
        ]);
        if (environment === null || namespace === null) return null;
        const rows = { environment, namespace };
        return { rows, scope: { ...NOWHERE, ...rows }, places: [{ ...bare, ...rows }], rule: "some" };
      }
      case "workload": {
        const rows = await workloadNamed(reader, where.namespace, where.workload);
        if (rows === null) return null;
        const deployments =
          where.in === "deployed"
            ? await reader.list("deployments", { where: { workloadId: rows.workload.id, state: "active" } })
            : [];
        const deployed = await environmentsOf(reader, deployments);
        const places =
          deployed.length > 0
            ? deployed.map((environment) => ({ ...bare, ...rows, environment }))
            : await this.#everywhere(known, reader, { ...bare, ...rows });
        return {
          rows: { ...rows, deployments },
          scope: { ...NOWHERE, ...rows },
          places,
          rule: deployed.length > 0 ? "every" : "some",
        };
      }
      case "injection": {
        const injection = await reader.get("injections", { id: where.id });
        const launch = injection === null ? null : await placeOfLaunch(reader, injection);
        if (launch === null) return null;
        // A launch can be ended where none may begin: that its place is disabled is a reason to, not one against.
        const place: Place = {
          ...bare,
          namespace: launch.namespace,
          environment: { ...launch.environment, state: "active" },
          workload: { ...launch.workload, state: "active" },
        };
        return { rows: { ...launch, injection }, scope: launch, places: [place], rule: "some" };
      }
      case "workload-in": {
        const [environment, named] = await Promise.all([
          environmentNamed(reader, where.environment),
          workloadNamed(reader, where.namespace, where.workload),
        ]);
        if (environment === null || named === null) return null;
        const rows = { environment, ...named };
        return { rows, scope: rows, places: [{ ...bare, ...rows }], rule: "some" };
      }
    }
  }

  /** The place in every environment, and in none: for what is not about one. Owners and admins need no list. */
  async #everywhere({ subject }: Known, reader: Reader, place: Place): Promise<readonly Place[]> {
    if (subject.orgRole === "owner" || subject.orgRole === "admin") return [place];
    const environments = await reader.list("environments", { where: { state: noneOf(["deleted"]) } });
    return [place, ...environments.map((environment) => ({ ...place, environment }))];
  }
}

const UNKNOWN: Decision = { allowed: false, because: "there is no such thing", missing: null, visible: false };

function combine({ places, rule }: Found, decideAt: (place: Place) => Decision): Decision {
  const decisions = places.map(decideAt);
  const visible = decisions.some((one) => one.visible);
  const chosen =
    rule === "every"
      ? (decisions.find((one) => !one.allowed) ?? decisions[0])
      : (decisions.find((one) => one.allowed) ?? decisions.find((one) => one.missing !== null) ?? decisions[0]);
  return chosen === undefined ? UNKNOWN : { ...chosen, visible };
}

export function scopeOf(place: LaunchPlace): EventScope {
  return { environment: place.environment, namespace: place.namespace, workload: place.workload };
}

/** The environment that stands under this name. */
export function environmentNamed(reader: Reader, name: string): Promise<Row<"environments"> | null> {
  return reader.get("environments", { name, state: noneOf(["deleted"]) });
}

export function namespaceNamed(reader: Reader, name: string): Promise<Row<"namespaces"> | null> {
  return reader.get("namespaces", { name, state: "active" });
}

export async function workloadNamed(
  reader: Reader,
  namespaceName: string,
  name: string,
): Promise<{ namespace: Row<"namespaces">; workload: Row<"workloads"> } | null> {
  const namespace = await namespaceNamed(reader, namespaceName);
  if (namespace === null) return null;
  const workload = await reader.get("workloads", { namespaceId: namespace.id, name, state: noneOf(["deleted"]) });
  return workload === null ? null : { namespace, workload };
}

/** Where a launch takes place, by the ids that its row holds; `null` when something of it is gone. */
export async function placeOfLaunch(reader: Reader, injection: Row<"injections">): Promise<LaunchPlace | null> {
  const [environment, namespace, workload] = await Promise.all([
    reader.get("environments", { id: injection.environmentId, state: noneOf(["deleted"]) }),
    reader.get("namespaces", { id: injection.namespaceId, state: "active" }),
    reader.get("workloads", { id: injection.workloadId, state: noneOf(["deleted"]) }),
  ]);
  return environment === null || namespace === null || workload === null ? null : { environment, namespace, workload };
}

async function environmentsOf(
  reader: Reader,
  deployments: readonly Row<"deployments">[],
): Promise<readonly Row<"environments">[]> {
  if (deployments.length === 0) return [];
  return reader.list("environments", {
    where: { id: oneOf(deployments.map((one) => one.environmentId)), state: noneOf(["deleted"]) },
  });
}
