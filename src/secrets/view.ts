import { DAY, VaultError } from "#base";
import type { Permit } from "#base";
import { oneOf } from "#storage";
import type { Row, Store } from "#storage";
import { namesOf } from "#access";
import type { Guard } from "#access";
import { lastUsesOf } from "./last-use.ts";
import type { LastUse } from "./last-use.ts";
import { policyNames } from "./policy.ts";
import type { PolicyNames } from "./policy.ts";

/** Deleted secrets can be brought back for this long. */
export const RESTORABLE_MS = 30 * DAY;

/** A secret as whoever may list it sees it: everything but the value. */
export interface SecretView {
  readonly id: Row<"secrets">["id"];
  readonly environment: string;
  readonly namespace: string;
  readonly name: string;
  readonly version: number;
  readonly delivery: Row<"secrets">["delivery"];
  readonly state: "active" | "deleted";
  readonly description: string;
  readonly tags: readonly string[];
  readonly owner: string;
  readonly rotateBy: Date | null;
  readonly policy: PolicyNames | null;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly updatedAt: Date;
  readonly updatedBy: string;
  readonly deletedAt: Date | null;
  readonly restorableUntil: Date | null;
  readonly lastUsed: LastUse | null;
}

/** Makes views for one reader, with the names of places and people in a look-up each, however many rows there are. */
export class SecretViews {
  readonly #guard: Guard;
  readonly #store: Store;

  constructor(guard: Guard, store: Store) {
    this.#guard = guard;
    this.#store = store;
  }

  async one(permit: Permit, row: Row<"secrets">): Promise<SecretView> {
    const [view] = await this.of(permit, [row]);
    if (view === undefined) throw new VaultError("internal");
    return view;
  }

  async of(permit: Permit, rows: readonly Row<"secrets">[]): Promise<SecretView[]> {
    const reader = this.#store.read(permit);
    const [environments, namespaces, names, policies, lastUses] = await Promise.all([
      reader.list("environments", { where: { id: oneOf([...new Set(rows.map((row) => row.environmentId))]) } }),
      reader.list("namespaces", { where: { id: oneOf([...new Set(rows.map((row) => row.namespaceId))]) } }),
      namesOf(
        reader,
        rows.flatMap((row) => [row.createdBy, row.updatedBy]),
      ),
      policyNames(reader, rows),
      lastUsesOf(this.#guard, reader, permit.actor, rows),
    ]);
    const environmentNames = new Map(environments.map((row) => [row.id, row.name]));
    const namespaceNames = new Map(namespaces.map((row) => [row.id, row.name]));
    return rows.map((row) => ({
      id: row.id,
      environment: environmentNames.get(row.environmentId) ?? row.environmentId,
      namespace: namespaceNames.get(row.namespaceId) ?? row.namespaceId,
      name: row.name,
      version: row.currentVersion,
      delivery: row.delivery,
      state: row.state === "active" ? "active" : "deleted",
      description: row.description,
      tags: row.tags,
      owner: row.owner,
      rotateBy: row.rotateBy,
      policy: policies(row.policy),
      createdAt: row.createdAt,
      createdBy: names(row.createdBy),
      updatedAt: row.updatedAt,
      updatedBy: names(row.updatedBy),
      deletedAt: row.deletedAt,
      restorableUntil: row.deletedAt === null ? null : new Date(row.deletedAt.getTime() + RESTORABLE_MS),
      lastUsed: lastUses(row),
    }));
  }
}
