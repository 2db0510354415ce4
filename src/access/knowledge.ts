import type { Actor, Clock, Id } from "#base";
import { VaultError } from "#base";
import type { Facts, Reader, Row } from "#storage";
import type { AccessFacts, Subject } from "./decide.ts";

/** A subject with the facts that bear on it. */
export interface Known {
  readonly subject: Subject;
  readonly facts: AccessFacts;
}

/**
 * Loads what decisions look at, once per actor: the actor object lives as long as its request, so what it is allowed is
 * never older than that.
 */
export class Knowledge {
  readonly #facts: Facts;
  readonly #clock: Clock;
  readonly #known = new WeakMap<Actor, Promise<Known>>();

  constructor(facts: Facts, clock: Clock) {
    this.#facts = facts;
    this.#clock = clock;
  }

  now(): Date {
    return this.#clock.now();
  }

  reader(org: Id<"org">): Reader {
    return this.#facts.of(org);
  }

  of(actor: Actor): Promise<Known> {
    let known = this.#known.get(actor);
    if (known === undefined) {
      known = this.#load(actor);
      this.#known.set(actor, known);
    }
    return known;
  }

  /** The same for a principal who is not acting: a token's minter, a runner. `null` when there is none any more. */
  async ofPrincipal(org: Id<"org">, id: Id<"prn">): Promise<Known | null> {
    const reader = this.reader(org);
    const principal = await reader.get("principals", { id });
    if (principal === null) return null;
    return { subject: subjectOf(org, principal), facts: await loadFacts(reader, org, id) };
  }

  async #load(actor: Actor): Promise<Known> {
    const { org } = actor;
    const reader = this.reader(org);
    if (!("name" in actor)) throw new VaultError("internal", `an actor of type ${actor.type} holds no permission`);
    const subject: Subject = {
      id: actor.id,
      org,
      active: true,
      orgRole: actor.type === "service" ? null : actor.role,
      kind: actor.type === "service" ? actor.role : null,
      instanceAdmin: actor.type === "machine" || (actor.type === "user" && actor.instanceAdmin),
    };
    const facts = await loadFacts(reader, org, actor.id);
    // The person at the machine has the instance; what the owner was granted is the owner's.
    return { subject, facts: actor.type === "machine" ? { ...facts, grants: [] } : facts };
  }
}

function subjectOf(org: Id<"org">, principal: Row<"principals">): Subject {
  return {
    id: principal.id,
    org,
    // Whoever is only invited has no credential to act with; the first owner acts through the machine's socket.
    active: principal.state === "active" || principal.state === "invited",
    orgRole: principal.orgRole,
    kind: principal.kind,
    instanceAdmin: principal.instanceAdmin,
  };
}

async function loadFacts(reader: Reader, org: Id<"org">, principal: Id<"prn">): Promise<AccessFacts> {
  const [grants, settings] = await Promise.all([
    reader.list("grants", { where: { principalId: principal, state: "active" } }),
    reader.get("orgSettings", { id: org }),
  ]);
  if (settings === null) throw new VaultError("integrity_failed", "The org has lost its settings.");
  return { grants, settings };
}
