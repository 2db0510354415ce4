import { VaultError } from "#base";
import type { Actor, Id } from "#base";
import { oneOf } from "#storage";
import type { Reader } from "#storage";

/** The principal behind an actor: who is written down as author. */
export function principalOf(actor: Actor): Id<"prn"> {
  switch (actor.type) {
    case "user":
    case "service":
    case "machine":
      return actor.id;
    case "token":
      return actor.minter;
    case "system":
    case "anonymous":
      throw new VaultError("internal", "nobody acts here");
  }
}

/** Names of principals by id, in one look-up; whoever is gone keeps the id for a name. */
export async function namesOf(reader: Reader, ids: readonly Id<"prn">[]): Promise<(id: Id<"prn">) => string> {
  const wanted = [...new Set(ids)];
  const rows = wanted.length === 0 ? [] : await reader.list("principals", { where: { id: oneOf(wanted) } });
  const names = new Map(rows.map((row) => [row.id, row.name]));
  return (id) => names.get(id) ?? id;
}
