import { SLOTS_MARK } from "../transfer/place.ts";
import { SLOT } from "./committer.ts";
import type { Statements } from "./statements.ts";

/** The slot of this node, and those that other nodes wrote before the vault came here from a database that several share. */
export function readSlots(statements: Statements): readonly number[] {
  const value = statements.pluck("SELECT value FROM meta WHERE name = ?", [SLOTS_MARK]);
  const before = value === null ? [] : String(value).split(",").map(Number).filter(Number.isSafeInteger);
  return [...new Set([SLOT, ...before])].sort((one, other) => one - other);
}
