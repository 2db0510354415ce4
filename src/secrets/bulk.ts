import { VaultError } from "#base";
import type { Actor, Id, Permit, Redacted } from "#base";
import { Change } from "#storage";
import type { Row, Store } from "#storage";
import { differences } from "#access";
import type { Guard, ScopePlace } from "#access";
import { standingNamed, targetOf } from "./scope.ts";
import type { ScopeNames } from "./scope.ts";
import { DESCRIBED, metadataOf } from "./secrets.ts";
import type { Metadata } from "./secrets.ts";
import { MOST_BYTES } from "./values.ts";
import type { Draft, Writes } from "./writes.ts";

export interface BulkItem {
  readonly name: string;
  /** `undefined`: only what is said about it. */
  readonly value?: Redacted<Buffer> | undefined;
  /** The version that it must have now; 0: it must not be there. */
  readonly ifVersion?: number | undefined;
  readonly metadata: Metadata;
}

export type BulkAction = "create" | "write" | "describe" | "unchanged" | "missing";

export interface BulkResult {
  readonly name: string;
  readonly action: BulkAction;
  /** The one it has now, after a write the new one; `null`: it is not there. */
  readonly version: number | null;
}

/** An item with what was found under its name, and what is to be done with it. */
interface Plan {
  readonly item: BulkItem;
  readonly before: Row<"secrets"> | null;
  readonly action: BulkAction;
}

/** Many secrets of one scope at once: all of it happens, in one commit with one event, or none. */
export class Bulk {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #writes: Writes;

  constructor(guard: Guard, store: Store, writes: Writes) {
    this.#guard = guard;
    this.#store = store;
    this.#writes = writes;
  }

  /**
   * The names must differ from each other. A preview changes nothing and says what would be done.
   *
   * @throws {VaultError} `precondition_failed`, `invalid_input`, `payload_too_large`, each naming the items; `limit_reached`.
   */
  async write(actor: Actor, scope: ScopeNames, items: readonly BulkItem[], preview: boolean): Promise<BulkResult[]> {
    const permit = await this.#guard.require(actor, "secret.write", { on: "scope", ...scope });
    const mayReveal = (await this.#guard.weigh(actor, "secret.reveal", { ...permit.place, workload: null })).allowed;
    mustFit(items);
    const names = items.map((item) => item.name);
    if (preview) return this.#preview(permit, await this.#plan(permit, items, mayReveal));
    return this.#writes.inTurn(permit, names, async () =>
      this.#commit(permit, await this.#plan(permit, items, mayReveal)),
    );
  }

  async #plan(permit: Permit<ScopePlace>, items: readonly BulkItem[], mayReveal: boolean): Promise<Plan[]> {
    const reader = this.#store.read(permit);
    const there = await standingNamed(
      reader,
      permit.place,
      items.map((item) => item.name),
    );
    mustMatch(items, there);
    const same = mayReveal ? await this.#writes.current(permit, reader, drafts(items, there)) : new Set<Id<"sec">>();
    return items.map((item) => {
      const before = there.get(item.name) ?? null;
      return { item, before, action: actionOf(item, before, before !== null && same.has(before.id)) };
    });
  }

  async #preview(permit: Permit<ScopePlace>, plans: readonly Plan[]): Promise<BulkResult[]> {
    await this.#guard.settle(permit, {
      result: "success",
      target: targetOf(permit.place),
      facts: { preview: true, names: plans.length },
    });
    return plans.map(({ item, before, action }) => ({
      name: item.name,
      action,
      version: before?.currentVersion ?? null,
    }));
  }

  async #commit(permit: Permit<ScopePlace>, plans: readonly Plan[]): Promise<BulkResult[]> {
    mustBeThere(plans);
    const change = new Change();
    const described = plans.filter((plan) => plan.action === "describe");
    const changes = described.flatMap(({ item, before }) =>
      before === null
        ? []
        : changesOf(before, item.metadata).map((one) => ({ ...one, field: `${item.name}.${one.field}` })),
    );
    for (const { item, before } of described)
      if (before !== null) this.#writes.describe(permit, change, before, item.metadata);
    const written = await this.#writes.add(
      permit,
      change,
      plans.flatMap(({ item, before, action }): Draft[] =>
        (action === "create" || action === "write") && item.value !== undefined
          ? [{ name: item.name, before, value: item.value, metadata: item.metadata }]
          : [],
      ),
    );
    const versions = new Map(written.map(({ head }) => [head.name, head.currentVersion]));
    const results = plans.map(({ item, before, action }) => ({
      name: item.name,
      action,
      version: versions.get(item.name) ?? before?.currentVersion ?? null,
    }));
    const idle = written.length === 0 && described.length === 0;
    // A change also where nothing is: it uses up the Idempotency-Key, so that this is good for no other request.
    await this.#store.commit(permit, idle ? new Change() : change, {
      result: "success",
      target: targetOf(permit.place),
      secrets: [
        ...written.map(({ head }) => ({ id: head.id, name: head.name, version: head.currentVersion })),
        ...described.flatMap(({ before }) =>
          before === null ? [] : [{ id: before.id, name: before.name, version: before.currentVersion }],
        ),
      ],
      ...(changes.length === 0 ? {} : { changes }),
      facts: {
        ...countsOf(plans),
        bytes: written.reduce((sum, one) => sum + one.bytes, 0),
      },
    });
    return results;
  }
}

/** Equal values are told only of those that were compared: `same`. */
function actionOf(item: BulkItem, before: Row<"secrets"> | null, same: boolean): BulkAction {
  if (before === null) return item.value === undefined ? "missing" : "create";
  if (item.value !== undefined && !same) return "write";
  return changesOf(before, item.metadata).length === 0 ? "unchanged" : "describe";
}

function changesOf(before: Row<"secrets">, metadata: Metadata) {
  return differences(before, { ...before, ...metadataOf(metadata, before) }, DESCRIBED);
}

function drafts(items: readonly BulkItem[], there: ReadonlyMap<string, Row<"secrets">>): Draft[] {
  return items.flatMap(({ name, value, metadata }) =>
    value === undefined ? [] : [{ name, before: there.get(name) ?? null, value, metadata }],
  );
}

function countsOf(plans: readonly Plan[]): Record<string, number> {
  const count = (action: BulkAction) => plans.filter((plan) => plan.action === action).length;
  return {
    created: count("create"),
    written: count("write"),
    described: count("describe"),
    unchanged: count("unchanged"),
  };
}

function mustFit(items: readonly BulkItem[]): void {
  const faults = items.flatMap(({ name, value }, at) =>
    value !== undefined && value.reveal().length > MOST_BYTES
      ? [{ field: `secrets.${String(at)}`, message: `${name} holds more than 64 KiB` }]
      : [],
  );
  if (faults.length > 0)
    throw new VaultError("payload_too_large", "A value holds at most 64 KiB.", { detail: { faults } });
}

/** Whoever may write here may know which names there are. */
function mustMatch(items: readonly BulkItem[], there: ReadonlyMap<string, Row<"secrets">>): void {
  const faults = items.flatMap(({ name, ifVersion }, at) => {
    const now = there.get(name)?.currentVersion ?? 0;
    if (ifVersion === undefined || ifVersion === now) return [];
    const message = now === 0 ? `${name} is not there` : `${name} is at version ${String(now)}`;
    return [{ field: `secrets.${String(at)}`, message }];
  });
  if (faults.length > 0) throw new VaultError("precondition_failed", undefined, { detail: { faults } });
}

function mustBeThere(plans: readonly Plan[]): void {
  const faults = plans.flatMap(({ item, action }, at) =>
    action === "missing"
      ? [{ field: `secrets.${String(at)}`, message: `${item.name} is not there: give it a value` }]
      : [],
  );
  if (faults.length > 0) throw new VaultError("invalid_input", undefined, { detail: { faults } });
}
