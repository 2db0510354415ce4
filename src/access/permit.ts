import type { Actor, EventDraft, Permission, Permit } from "#base";
import { VaultError } from "#base";
import type { Id } from "#base";

/** Issues a permit and enters it in its call's ledger. The only place where one is made. */
export function issue<P>(fields: {
  actor: Actor;
  org: Id<"org">;
  action: Permission | "public";
  place: P;
  event: EventDraft;
}): Permit<P> {
  const permit = new IssuedPermit(fields) as unknown as Permit<P>;
  fields.actor.call.enter(permit);
  return permit;
}

class IssuedPermit<P> {
  readonly actor: Actor;
  readonly org: Id<"org">;
  readonly action: Permission | "public";
  readonly place: P;
  readonly event: EventDraft;
  #settled = false;

  constructor(fields: { actor: Actor; org: Id<"org">; action: Permission | "public"; place: P; event: EventDraft }) {
    this.actor = fields.actor;
    this.org = fields.org;
    this.action = fields.action;
    this.place = fields.place;
    this.event = fields.event;
  }

  get settled(): boolean {
    return this.#settled;
  }

  spend(): void {
    if (this.#settled) throw new VaultError("internal", "a permit was used twice");
    this.#settled = true;
  }

  unspend(): void {
    this.#settled = false;
  }
}
