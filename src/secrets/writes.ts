import { Turns, VaultError, isVaultError } from "#base";
import type { Id, IdSource, Permit, Redacted } from "#base";
import { equal } from "#crypto";
import { MissedExpectation } from "#storage";
import type { Change, NewRow, Reader, Row, Store } from "#storage";
import { principalOf } from "#access";
import type { ScopePlace } from "#access";
import { expectPlace } from "./scope.ts";
import { metadataOf } from "./secrets.ts";
import type { Metadata } from "./secrets.ts";
import type { Values } from "./values.ts";

const MOST_SECRETS = 100_000;
const MOST_TRIES = 5;
/** So many versions are asked for at once: a query has no room for a thousand. */
const VERSIONS_AT_ONCE = 100;

/** One version to be written. */
export interface Draft {
  readonly name: string;
  /** The row of this name as it was read; `null` makes a secret. */
  readonly before: Row<"secrets"> | null;
  readonly value: Redacted<Buffer>;
  readonly metadata: Metadata;
  /** `broker` makes it one that nobody reads, for good; otherwise it stays what it is. */
  readonly delivery?: Row<"secrets">["delivery"];
}

export interface Written {
  readonly head: Row<"secrets">;
  readonly bytes: number;
}

/** How values become versions, for every operation that writes one. */
export class Writes {
  readonly #store: Store;
  readonly #values: Values;
  readonly #ids: IdSource;
  readonly #mostSecrets: number;
  /** Writes of one secret wait for each other: each is a version, so none may give up because of the others. */
  readonly #turns = new Turns();

  constructor(store: Store, values: Values, ids: IdSource, limits: { mostSecrets?: number } = {}) {
    this.#store = store;
    this.#values = values;
    this.#ids = ids;
    this.#mostSecrets = limits.mostSecrets ?? MOST_SECRETS;
  }

  /** Adds the versions to a change of the permit's scope, all or none. Throws `limit_reached`, `payload_too_large`. */
  async add(permit: Permit<ScopePlace>, change: Change, drafts: readonly Draft[]): Promise<Written[]> {
    await this.#expectRoom(permit, change, drafts.filter((draft) => draft.before === null).length);
    const written: Written[] = [];
    const keys = new Set<Id<"key">>();
    for (const draft of drafts) {
      const { before } = draft;
      const head = this.#head(permit, draft);
      if (before === null) change.insert("secrets", head, "conflict", "head");
      else change.replace("secrets", before, head, "conflict", "head");
      const version = await this.#values.seal(
        permit.org,
        head,
        head.currentVersion,
        draft.value,
        head.updatedBy,
        head.updatedAt,
      );
      change.insert("secretVersions", version, "conflict", "head");
      keys.add(version.keyId);
      written.push({ head: { ...head, changedBy: permit.event.id }, bytes: version.bytes });
    }
    for (const id of keys) change.expect("keys", { id, state: "current" }, 1, "key");
    expectPlace(change.raiseEpoch(), permit.place);
    return written;
  }

  /** Says something else of a secret that is there. */
  describe(permit: Permit<ScopePlace>, change: Change, before: Row<"secrets">, metadata: Metadata): Row<"secrets"> {
    const by = principalOf(permit.actor);
    const after = { ...before, ...metadataOf(metadata, before), updatedAt: this.#store.now(), updatedBy: by };
    change.replace("secrets", before, after, "conflict", "head");
    return { ...after, changedBy: permit.event.id };
  }

  /**
   * Takes the turn of these names; when another node wrote first, or the data key was rotated meanwhile, reads again and
   * tries again.
   */
  inTurn<T>(
    permit: Permit<ScopePlace>,
    names: readonly string[],
    attempt: () => Promise<T>,
    also: { readonly place: ScopePlace; readonly names: readonly string[] } = { place: permit.place, names: [] },
  ): Promise<T> {
    const keys = [
      ...names.map((name) => turnOf(permit.place, name)),
      ...also.names.map((name) => turnOf(also.place, name)),
    ];
    return this.#turns.takeAll(keys, () => this.#again(permit, attempt));
  }

  async #again<T>(permit: Permit<ScopePlace>, attempt: () => Promise<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof MissedExpectation) || !["head", "key"].includes(error.label) || tries >= MOST_TRIES)
          throw error;
        if (error.label === "key") this.#values.forgetCurrent(permit.org, permit.place.environment.id);
      }
    }
  }

  /** Which of these are the current values already. Only for who may reveal them: anybody else could guess a value. */
  async current(permit: Permit, reader: Reader, drafts: readonly Draft[]): Promise<ReadonlySet<Id<"sec">>> {
    const same = new Set<Id<"sec">>();
    const wanted = new Map(
      drafts.flatMap(({ before, value }) => (before === null ? [] : [[before.id, value] as const])),
    );
    // Nobody reveals what only a tool may use, so nobody may guess it either.
    const heads = drafts.map((draft) => draft.before).filter((head) => head !== null);
    const readable = heads.filter((head) => head.delivery === "inject");
    for await (const [head, row] of currentVersions(reader, readable)) {
      const value = wanted.get(head.id);
      const held = row === null ? null : await this.#opened(permit, head, row);
      if (value !== undefined && held !== null && equal(held.reveal(), value.reveal())) same.add(head.id);
    }
    return same;
  }

  /** A value that cannot be opened is replaced like any other. */
  async #opened(permit: Permit, head: Row<"secrets">, row: Row<"secretVersions">): Promise<Redacted<Buffer> | null> {
    try {
      return await this.#values.open(permit.org, head, row);
    } catch (error) {
      if (isVaultError(error, "destroyed") || isVaultError(error, "integrity_failed")) return null;
      throw error;
    }
  }

  #head(permit: Permit<ScopePlace>, { name, before, metadata, delivery }: Draft): NewRow<"secrets"> {
    const { environment, namespace } = permit.place;
    const by = principalOf(permit.actor);
    const now = this.#store.now();
    if (before !== null)
      return {
        ...before,
        ...metadataOf(metadata, before),
        delivery: delivery === "broker" ? "broker" : before.delivery,
        currentVersion: before.currentVersion + 1,
        updatedAt: now,
        updatedBy: by,
      };
    return {
      id: this.#ids.next("sec"),
      environmentId: environment.id,
      namespaceId: namespace.id,
      name,
      currentVersion: 1,
      delivery: delivery ?? "inject",
      state: "active",
      policy: null,
      ...metadataOf(metadata, null),
      createdAt: now,
      createdBy: by,
      updatedAt: now,
      updatedBy: by,
      deletedAt: null,
      lastUsedAt: null,
      lastUsedBy: null,
      lastUsedIn: null,
    };
  }

  /** Near the limit the number itself is expected, so that those who come at once do not pass it together. */
  async #expectRoom(permit: Permit, change: Change, more: number): Promise<void> {
    if (more === 0) return;
    const most = this.#mostSecrets;
    const there = await this.#store.read(permit).count("secrets", { state: "active" });
    if (there + more > most) throw new VaultError("limit_reached", `An org has at most ${String(most)} secrets.`);
    if (there + more > most - 1_000) change.expect("secrets", { state: "active" }, there, "head");
  }
}

function turnOf({ environment, namespace }: ScopePlace, name: string): string {
  return [environment.id, namespace.id, name].join("/");
}

/** The current version of each secret, a batch at a time; `null` where it is not there. */
export async function* currentVersions(
  reader: Reader,
  heads: readonly Row<"secrets">[],
): AsyncGenerator<readonly [Row<"secrets">, Row<"secretVersions"> | null]> {
  for (let from = 0; from < heads.length; from += VERSIONS_AT_ONCE) {
    const batch = heads.slice(from, from + VERSIONS_AT_ONCE);
    const anyOf = batch.map((head) => ({ secretId: head.id, version: head.currentVersion }));
    const rows = new Map((await reader.list("secretVersions", { anyOf })).map((row) => [row.secretId, row]));
    for (const head of batch) yield [head, rows.get(head.id) ?? null];
  }
}
