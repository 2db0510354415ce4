import { VaultError } from "#base";
import { oneOf } from "#storage";
import type { Change, Reader, Row } from "#storage";
import type { ScopePlace } from "#access";
import { standingNamed } from "./scope.ts";
import type { ScopeNames } from "./scope.ts";
import { usedBy, usedByWords } from "./users.ts";
import type { SecretUse } from "./users.ts";

const MOST_AT_ONCE = 500;

export interface CopyRequest {
  readonly from: ScopeNames;
  readonly to: ScopeNames;
  /** `undefined`: all that stand there. */
  readonly names?: readonly string[] | undefined;
  /** From the name there to the name here. */
  readonly rename?: Readonly<Record<string, string>> | undefined;
  readonly overwrite?: boolean | undefined;
  readonly move?: boolean | undefined;
  /** Move also what something uses. */
  readonly force?: boolean | undefined;
  readonly preview?: boolean | undefined;
}

export interface Copied {
  readonly name: string;
  readonly as: string;
  readonly action: "create" | "write" | "taken";
  /** The one that the target has now; `null`: it is not there. */
  readonly version: number | null;
  readonly usedBy: readonly string[];
  readonly hiddenUses: number;
}

/** A source, the name it gets, what stands under that name, and what counts on the source. */
export interface CopyPlan {
  readonly source: Row<"secrets">;
  readonly as: string;
  readonly before: Row<"secrets"> | null;
  readonly action: Copied["action"];
  readonly uses: readonly SecretUse[];
}

/** Throws `not_found` with the names that are not there, `invalid_input` where all are too many. */
export async function sourcesOf(
  reader: Reader,
  place: ScopePlace,
  names: readonly string[] | undefined,
): Promise<readonly Row<"secrets">[]> {
  if (names !== undefined) {
    const there = await standingNamed(reader, place, names);
    const faults = names.flatMap((name, at) =>
      there.has(name) ? [] : [{ field: `names.${String(at)}`, message: `there is no secret ${name}` }],
    );
    if (faults.length > 0) throw new VaultError("not_found", undefined, { detail: { faults } });
    return names.map((name) => there.get(name)).filter((row) => row !== undefined);
  }
  const where = { environmentId: place.environment.id, namespaceId: place.namespace.id, state: "active" } as const;
  const all = await reader.list("secrets", { where, order: ["name"], limit: MOST_AT_ONCE + 1 });
  if (all.length > MOST_AT_ONCE)
    throw tooMany(`the scope has more than ${String(MOST_AT_ONCE)} secrets: name those to copy, so many at a time`);
  return all;
}

export function tooMany(message: string): VaultError {
  return new VaultError("invalid_input", undefined, { detail: { faults: [{ field: "names", message }] } });
}

/** The name that each source gets. Throws `invalid_input` where two would be one, or one would stay where it is. */
export function renamedTo(
  sources: readonly Row<"secrets">[],
  rename: Readonly<Record<string, string>>,
  sameScope: boolean,
): ReadonlyMap<string, string> {
  const names = new Set(sources.map((source) => source.name));
  const renamed = new Map(
    [...names].map((name) => [name, Object.hasOwn(rename, name) ? (rename[name] ?? name) : name]),
  );
  const targets = [...renamed.values()];
  const faults = [
    ...Object.keys(rename)
      .filter((name) => !names.has(name))
      .map((name) => ({ field: "rename", message: `${name} is not among what is copied` })),
    ...targets
      .filter((name, at) => targets.indexOf(name) < at)
      .map((name) => ({ field: "rename", message: `two would be called ${name}` })),
    ...(sameScope ? targets.filter((name) => names.has(name)) : []).map((name) => ({
      field: "rename",
      message: `within one scope a copy takes another name: ${name} is itself copied`,
    })),
  ];
  if (faults.length > 0) throw new VaultError("invalid_input", undefined, { detail: { faults } });
  return renamed;
}

export function mustBeFree(plans: readonly CopyPlan[]): void {
  const faults = plans
    .filter((plan) => plan.action === "taken")
    .map((plan) => ({ field: "names", message: `${plan.as} is taken: overwrite it, or rename` }));
  if (faults.length > 0) throw new VaultError("already_exists", undefined, { detail: { faults } });
}

export function mustBeUnused(plans: readonly CopyPlan[]): void {
  const uses = plans.flatMap((plan) => plan.uses);
  if (uses.length === 0) return;
  const message = "Deployed workloads refer to what would be moved: copy it, or force the move.";
  throw new VaultError("in_use", message, { detail: { usedBy: usedByWords(uses) } });
}

/** The sources stand and are what was read: each still names the event that it named then. */
export function expectAsRead(change: Change, sources: readonly Row<"secrets">[]): void {
  if (sources.length === 0) return;
  const as = { id: oneOf(sources.map((row) => row.id)), changedBy: oneOf(sources.map((row) => row.changedBy)) };
  change.expect("secrets", { ...as, state: "active" }, sources.length, "head");
}

export function copiedOf({ source, as, action, uses }: CopyPlan, version: number | null): Copied {
  const { seen, hidden } = usedBy(uses);
  return { name: source.name, as, action, version, usedBy: seen, hiddenUses: hidden };
}
