import { INSTANCE, VaultError } from "#base";
import type { Actor, Id } from "#base";
import type { Store } from "#storage";
import type { Grants, GrantView, Guard } from "#access";

export interface WhoAmI {
  readonly type: "user" | "service" | "machine";
  readonly id: Id<"prn">;
  readonly name: string;
  readonly role: string;
  readonly org: string;
  readonly instanceAdmin: boolean;
  readonly grants: readonly GrantView[];
}

/** Who the caller is, and what was granted. */
export async function whoAmI(
  actor: Actor,
  { guard, store, grants }: { guard: Guard; store: Store; grants: Grants },
): Promise<WhoAmI> {
  const permit = await guard.require(actor, "self", { on: "self" });
  if (!("name" in actor)) throw new VaultError("internal");
  const reader = store.read(permit);
  const org = await reader.get("orgs", { id: actor.org });
  const own = actor.type === "machine" ? [] : await grants.of(permit, actor.id);
  return {
    type: actor.type,
    id: actor.id,
    name: actor.name,
    role: actor.role,
    org: org?.slug ?? (actor.org === INSTANCE ? "instance" : actor.org),
    instanceAdmin: actor.type === "machine" || (actor.type === "user" && actor.instanceAdmin),
    grants: own,
  };
}
