import { VaultError } from "#base";
import type { Actor, Id, Permit } from "#base";
import { equal } from "#crypto";
import type { Reader, Row, Store } from "#storage";
import type { Guard, ScopePlace } from "#access";
import { targetOf } from "./scope.ts";
import type { ScopeNames } from "./scope.ts";
import type { Values } from "./values.ts";
import { currentVersions } from "./writes.ts";

const MOST_COMPARED = 5_000;
/** So many values are open at once. */
const VALUES_AT_ONCE = 100;

type Side = { readonly version: number; readonly updatedAt: Date };

export interface Compared {
  readonly name: string;
  readonly from: Side | null;
  readonly to: Side | null;
  /** `null`: in one of them only, or not compared. */
  readonly same: boolean | null;
}

/** Holds two scopes against each other. */
export class Comparison {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #values: Values;

  constructor(guard: Guard, store: Store, values: Values) {
    this.#guard = guard;
    this.#store = store;
    this.#values = values;
  }

  /**
   * The names of both. With a reason also which values are equal, for who may reveal in both: whoever can ask that can find
   * a value by trying. Both scopes' events are durable before the answer, with the reason and each secret that was compared.
   *
   * @throws {VaultError} `invalid_input` for a scope of more than 5,000 secrets.
   */
  async compare(actor: Actor, from: ScopeNames, to: ScopeNames, reason: string | null): Promise<Compared[]> {
    const permits = [
      await this.#guard.require(actor, "secret.list", { on: "scope", ...from, side: "from" }),
      await this.#guard.require(actor, "secret.list", { on: "scope", ...to, side: "to" }),
    ] as const;
    if (reason !== null)
      for (const scope of [from, to]) await this.#guard.also(permits[0], ["secret.reveal"], { on: "scope", ...scope });
    const [left, right] = [await this.#secrets(permits[0]), await this.#secrets(permits[1])];
    const pairs = reason === null ? [] : comparable(left, right);
    const same = await this.#equal(permits[0], pairs);
    for (const [permit, side] of [
      [permits[0], 0],
      [permits[1], 1],
    ] as const) {
      await this.#guard.settle(permit, {
        result: "success",
        target: targetOf(permit.place),
        facts: { values: reason !== null, compared: pairs.length, ...otherOf(permits[side === 0 ? 1 : 0].place) },
        ...(reason === null
          ? {}
          : {
              reason,
              secrets: pairs
                .map((pair) => pair[side])
                .map((row) => ({ id: row.id, name: row.name, version: row.currentVersion })),
            }),
      });
    }
    return [...new Set([...left.keys(), ...right.keys()])].sort().map((name) => ({
      name,
      from: sideOf(left.get(name)),
      to: sideOf(right.get(name)),
      same: same.get(name) ?? null,
    }));
  }

  async #secrets(permit: Permit<ScopePlace>): Promise<ReadonlyMap<string, Row<"secrets">>> {
    const { environment, namespace } = permit.place;
    const rows = await this.#store.read(permit).list("secrets", {
      where: { environmentId: environment.id, namespaceId: namespace.id, state: "active" },
      order: ["name"],
      limit: MOST_COMPARED + 1,
    });
    if (rows.length > MOST_COMPARED)
      throw new VaultError("invalid_input", `Scopes of at most ${String(MOST_COMPARED)} secrets are compared.`);
    return new Map(rows.map((row) => [row.name, row]));
  }

  async #equal(
    permit: Permit,
    pairs: readonly (readonly [Row<"secrets">, Row<"secrets">])[],
  ): Promise<ReadonlyMap<string, boolean>> {
    const reader = this.#store.read(permit);
    const same = new Map<string, boolean>();
    for (let at = 0; at < pairs.length; at += VALUES_AT_ONCE) {
      const batch = pairs.slice(at, at + VALUES_AT_ONCE);
      const opened = await this.#open(permit.org, reader, batch.flat());
      for (const [left, right] of batch) {
        const [one, other] = [opened.get(left.id), opened.get(right.id)];
        if (one !== undefined && other !== undefined) same.set(left.name, equal(one, other));
      }
    }
    return same;
  }

  /** Throws `integrity_failed`: what does not open is not taken for another value. */
  async #open(org: Id<"org">, reader: Reader, heads: readonly Row<"secrets">[]): Promise<Map<Id<"sec">, Buffer>> {
    const opened = new Map<Id<"sec">, Buffer>();
    for await (const [head, row] of currentVersions(reader, heads)) {
      if (row === null) throw new VaultError("integrity_failed");
      opened.set(head.id, (await this.#values.open(org, head, row)).reveal());
    }
    return opened;
  }
}

/** Nobody reveals what only a tool may use, so nobody may find out by comparing either. */
function comparable(
  left: ReadonlyMap<string, Row<"secrets">>,
  right: ReadonlyMap<string, Row<"secrets">>,
): (readonly [Row<"secrets">, Row<"secrets">])[] {
  return [...left.values()].flatMap((row) => {
    const other = right.get(row.name);
    return other !== undefined && row.delivery === "inject" && other.delivery === "inject"
      ? [[row, other] as const]
      : [];
  });
}

function otherOf({ environment, namespace }: ScopePlace) {
  return { withEnvironment: environment.id, withNamespace: namespace.id };
}

function sideOf(row: Row<"secrets"> | undefined): Side | null {
  return row === undefined ? null : { version: row.currentVersion, updatedAt: row.updatedAt };
}
