import { VaultError } from "#base";
import type { Actor, Id } from "#base";
import type { Reader, Row } from "#storage";

/** One deployed reference to a secret. */
export interface SecretUse {
  /** `namespace/workload in environment`; `null` where the actor may not view the workload there. */
  readonly words: string | null;
  /** The version it is pinned to, if it is. */
  readonly pinned: number | null;
}

/** What counts on secrets, by name. Implemented by workloads/, which this room does not know. */
export interface SecretUsers {
  /** The deployed references that name each of these secrets. What takes all that is there, whatever it is, names none. */
  of(
    actor: Actor,
    reader: Reader,
    secrets: readonly Row<"secrets">[],
  ): Promise<ReadonlyMap<Id<"sec">, readonly SecretUse[]>>;
}

/**
 * Read before the uses are looked for, and expected with the change (`expectEpoch`, as `head`, so that it is tried again):
 * then nothing was deployed between the two.
 */
export async function epochOf(reader: Reader): Promise<number> {
  const row = await reader.get("epochs", { name: "access" });
  if (row === null) throw new VaultError("integrity_failed");
  return row.epoch;
}

/** For the caller: the names that may be known, and how many others there are. */
export function usedBy(uses: readonly SecretUse[]): { readonly seen: readonly string[]; readonly hidden: number } {
  const seen = uses.map((use) => use.words).filter((words) => words !== null);
  return { seen: [...new Set(seen)], hidden: uses.length - seen.length };
}

/** The same in words, for an error. */
export function usedByWords(uses: readonly SecretUse[]): string[] {
  const { seen, hidden } = usedBy(uses);
  return [...seen, ...(hidden === 0 ? [] : [`${String(hidden)} that you may not see`])];
}
