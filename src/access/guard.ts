import { Call, INSTANCE, VaultError } from "#base";
import type { Actor, ErrorDetail, EventDraft, Id, IdSource, Outcome, Permission, Permit } from "#base";
import type { ScopeSet, Store } from "#storage";
import { decide, rolesAt } from "./decide.ts";
import type { Decision, Place } from "./decide.ts";
import { NOWHERE, everywhere, find } from "./find.ts";
import type { EventScope, Found } from "./find.ts";
import type { Knowledge } from "./knowledge.ts";
import { issue } from "./permit.ts";
import { unknownParts } from "./unknown.ts";
import { scopesOf, seenBy } from "./visible.ts";
import type { Seen } from "./visible.ts";
import { wordsOf } from "./where.ts";
import type { LaunchPlace, PlaceOf, Where } from "./where.ts";

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
    const found = await find(this.#knowledge.reader(actor.org), known, actor.org, where);
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

  /**
   * The other place of an operation that is about two: a permit for its event there, where the actor may do all of this.
   * Refuses as {@link require} does, with an event at that place.
   */
  async across<W extends Where>(
    permit: Permit,
    actions: readonly Permission[],
    where: W,
  ): Promise<Permit<PlaceOf[W["on"]]>> {
    const { found, because } = await this.#also(permit, actions, where);
    return issue({
      actor: permit.actor,
      org: permit.org,
      action: permit.action,
      place: (found?.rows ?? null) as PlaceOf[W["on"]],
      event: this.#draft(permit.event.chain, because, found?.scope ?? NOWHERE, null),
    });
  }

  /** What the operation's actor has to be allowed besides. Refuses likewise, and issues nothing: the permit is there. */
  async also(permit: Permit, actions: readonly Permission[], where: Where): Promise<void> {
    await this.#also(permit, actions, where);
  }

  async #also(
    { actor, action: asked }: Permit,
    actions: readonly Permission[],
    where: Where,
  ): Promise<{ readonly found: Found | null; readonly because: string }> {
    let because = "";
    const known = await this.#knowledge.of(actor);
    const found = await find(this.#knowledge.reader(actor.org), known, actor.org, where);
    for (const action of actions) {
      const decision =
        found === null
          ? UNKNOWN
          : combine(found, (place) => decide(known.subject, action, place, known.facts, this.now()));
      if (!decision.allowed) await this.#refuse(actor, action, where, found, decision, asked);
      because = decision.because;
    }
    return { found, because };
  }

  /** What the same actor may do at another place, where an operation looks at more than one: no permit, no event. */
  async weigh(actor: Actor, action: Permission, place: Omit<Place, "org">): Promise<Decision> {
    const known = await this.#knowledge.of(actor);
    return decide(known.subject, action, { ...place, org: actor.org }, known.facts, this.now());
  }

  /** The same, in one environment at least: for what belongs to a namespace and not to an environment. */
  async weighAnywhere(actor: Actor, action: Permission, place: Omit<Place, "org" | "environment">): Promise<Decision> {
    const known = await this.#knowledge.of(actor);
    const places = await everywhere(this.#knowledge.reader(actor.org), known, {
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

  /** {@link weighFor} of one principal at many places: looked up once. */
  async judge(
    org: Id<"org">,
    principal: Id<"prn">,
  ): Promise<(action: Permission, place: Omit<Place, "org">) => Decision> {
    const known = await this.#knowledge.ofPrincipal(org, principal);
    const now = this.now();
    return (action, place) =>
      known === null ? UNKNOWN : decide(known.subject, action, { ...place, org }, known.facts, now);
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

  /** `asked`: what the operation as a whole asks for, where it is something else that is missing. */
  async #refuse(
    actor: Actor,
    action: Permission,
    where: Where,
    found: Found | null,
    decision: Decision,
    asked: Permit["action"] = action,
  ): Promise<never> {
    const error = refusal(decision, action, where, decision.visible ? {} : await this.#unknown(actor, where));
    // Whoever is refused may read the event: of what is not theirs to know it says what they asked for, and no more.
    const [because, scope] = decision.visible
      ? [decision.because, found?.scope ?? NOWHERE]
      : ["not there, or not the actor's to know", NOWHERE];
    const permit = issue({
      actor,
      org: actor.org,
      action: asked,
      place: null,
      event: this.#draft(actor.org, because, scope, null),
    });
    await this.#store.commit(permit, null, {
      result: "refused",
      code: error.code,
      ...(decision.visible ? {} : { target: { type: where.on, id: null, name: wordsOf(where) } }),
    });
    throw error;
  }

  async #unknown(actor: Actor, where: Where): Promise<ErrorDetail> {
    return unknownParts(this.#knowledge.reader(actor.org), await this.#knowledge.of(actor), where, this.now());
  }

  #draft(chain: Id<"org">, because: string, scope: EventScope, onBehalfOf: Id<"prn"> | null): EventDraft {
    return { id: this.#ids.next("evt"), chain, because, onBehalfOf, ...scope };
  }
}

/** What the caller is told: nothing of what is not theirs to know. */
function refusal(decision: Decision, action: Permission, where: Where, unknown: ErrorDetail): VaultError {
  if (!decision.visible) return new VaultError("not_found", undefined, { detail: unknown });
  if (decision.missing === null) return new VaultError("disabled", `Not now: ${decision.because}.`);
  return new VaultError("forbidden", undefined, {
    detail: { missing: { permission: action, on: wordsOf(where) } },
  });
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
