import { VaultError } from "#base";
import type { Actor, Permit, Redacted } from "#base";
import { generateValue } from "#crypto";
import type { GeneratedKind } from "#crypto";
import { Change } from "#storage";
import type { Reader, Row, Store } from "#storage";
import { differences, namesOf } from "#access";
import type { Guard, ScopePlace } from "#access";
import { standing } from "./scope.ts";
import type { SecretAt } from "./scope.ts";
import { DESCRIBED, metadataOf, mustMatch } from "./secrets.ts";
import type { Metadata } from "./secrets.ts";
import type { Values } from "./values.ts";
import { SecretViews } from "./view.ts";
import type { SecretView } from "./view.ts";
import type { Draft, Writes } from "./writes.ts";

export interface WriteConditions {
  readonly ifMatch?: number | null | undefined;
  readonly ifNoneMatch?: boolean;
}

export interface VersionView {
  readonly version: number;
  readonly state: "live" | "destroyed";
  readonly bytes: number | null;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly current: boolean;
}

/** What happens to values: written, generated, rolled back, revealed. Each value is a version, sealed for its place. */
export class Versions {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #values: Values;
  readonly #writes: Writes;
  readonly #views: SecretViews;

  constructor(guard: Guard, store: Store, values: Values, writes: Writes) {
    this.#guard = guard;
    this.#store = store;
    this.#values = values;
    this.#writes = writes;
    this.#views = new SecretViews(guard, store);
  }

  /**
   * Makes a new version, always: only for a caller who may reveal, and writes what is already there, the value stays as it
   * is. Anybody else could guess a value by seeing that nothing changed.
   *
   * @throws {VaultError} `precondition_failed`, `payload_too_large`, `limit_reached`.
   */
  async write(
    actor: Actor,
    at: SecretAt,
    value: Redacted<Buffer>,
    metadata: Metadata,
    conditions: WriteConditions,
  ): Promise<SecretView & { created: boolean; changed: boolean }> {
    const permit = await this.#guard.require(actor, "secret.write", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    const mayReveal = (await this.#guard.weigh(actor, "secret.reveal", { ...permit.place, workload: null })).allowed;
    return this.#writes.inTurn(permit, [at.secret], async () => {
      const before = await this.#before(reader, permit.place, at.secret, conditions);
      const draft: Draft = { name: at.secret, before, value, metadata };
      if (before !== null && mayReveal && (await this.#writes.current(permit, reader, [draft])).size > 0) {
        const after = await this.#describe(permit, before, metadata);
        return { ...(await this.#views.one(permit, after)), created: false, changed: false };
      }
      const after = await this.#append(permit, draft);
      return { ...(await this.#views.one(permit, after)), created: before === null, changed: true };
    });
  }

  /**
   * A random value becomes a new version. Nobody sees it: it is not in the answer.
   *
   * @throws {VaultError} as {@link write}; `invalid_input` for a length that somebody could guess.
   */
  async generate(
    actor: Actor,
    at: SecretAt,
    { kind, length }: { kind: GeneratedKind; length?: number | undefined },
    metadata: Metadata,
    conditions: WriteConditions,
  ): Promise<SecretView & { created: boolean; changed: boolean }> {
    const permit = await this.#guard.require(actor, "secret.write", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const value = await generateValue(kind, length);
    const reader = this.#store.read(permit);
    return this.#writes.inTurn(permit, [at.secret], async () => {
      const before = await this.#before(reader, permit.place, at.secret, conditions);
      const after = await this.#append(permit, { name: at.secret, before, value, metadata }, { generated: kind });
      return { ...(await this.#views.one(permit, after)), created: before === null, changed: true };
    });
  }

  /** The value of an earlier version becomes the newest version. Nobody sees it on the way. */
  async rollback(actor: Actor, at: SecretAt, version: number, ifMatch?: number | null): Promise<SecretView> {
    const permit = await this.#guard.require(actor, "secret.write", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    return this.#writes.inTurn(permit, [at.secret], async () => {
      const before = await standing(reader, permit.place, at.secret);
      mustMatch(before, ifMatch);
      const value = await this.#values.open(permit.org, before, await versionOf(reader, before, version));
      const draft: Draft = { name: before.name, before, value, metadata: {} };
      return this.#views.one(permit, await this.#append(permit, draft, { from: version }));
    });
  }

  async list(actor: Actor, at: SecretAt): Promise<readonly VersionView[]> {
    const permit = await this.#guard.require(actor, "secret.list", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    const secret = await standing(reader, permit.place, at.secret);
    const rows = await reader.list("secretVersions", {
      where: { secretId: secret.id },
      order: ["version"],
      descending: true,
    });
    const names = await namesOf(
      reader,
      rows.map((row) => row.createdBy),
    );
    return rows.map((row) => ({
      version: row.version,
      state: row.sealed === null ? "destroyed" : "live",
      bytes: row.sealed === null ? null : row.bytes,
      createdAt: row.createdAt,
      createdBy: names(row.createdBy),
      current: row.version === secret.currentVersion,
    }));
  }

  /** The event, with the reason, is durable before the value is returned. */
  async reveal(
    actor: Actor,
    at: SecretAt,
    reason: string,
    version?: number,
  ): Promise<{ name: string; version: number; value: Redacted<Buffer> }> {
    const permit = await this.#guard.require(actor, "secret.reveal", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    const secret = await standing(reader, permit.place, at.secret);
    if (secret.delivery === "broker")
      throw new VaultError("disabled", "This secret can only be used through a tool: nobody sees it.");
    const row = await versionOf(reader, secret, version ?? secret.currentVersion);
    const value = await this.#values.open(permit.org, secret, row);
    const change = new Change()
      .expect("secrets", { id: secret.id, state: "active" }, 1)
      .expect("orgSettings", { id: permit.org, reveal: "admins" }, 1);
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "secret", id: secret.id, name: secret.name },
      secrets: [{ id: secret.id, name: secret.name, version: row.version }],
      reason,
    });
    return { name: secret.name, version: row.version, value };
  }

  /** The value is there already: only what was said about it is written. */
  async #describe(permit: Permit<ScopePlace>, before: Row<"secrets">, metadata: Metadata): Promise<Row<"secrets">> {
    const outcome = {
      result: "success",
      target: { type: "secret", id: before.id, name: before.name },
      facts: { changed: false },
    } as const;
    const changes = differences(before, { ...before, ...metadataOf(metadata, before) }, DESCRIBED);
    if (changes.length === 0) {
      await this.#store.commit(permit, null, outcome);
      return before;
    }
    const change = new Change();
    const after = this.#writes.describe(permit, change, before, metadata);
    await this.#store.commit(permit, change, { ...outcome, changes });
    return after;
  }

  async #append(
    permit: Permit<ScopePlace>,
    draft: Draft,
    facts: Readonly<Record<string, string | number>> = {},
  ): Promise<Row<"secrets">> {
    const change = new Change();
    const [written] = await this.#writes.add(permit, change, [draft]);
    if (written === undefined) throw new VaultError("internal");
    const { head, bytes } = written;
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "secret", id: head.id, name: head.name },
      facts: { version: head.currentVersion, bytes, ...facts },
    });
    return head;
  }

  /** The secret of this name as it is now, or `null`. Throws `precondition_failed`. */
  async #before(
    reader: Reader,
    { environment, namespace }: ScopePlace,
    name: string,
    conditions: WriteConditions,
  ): Promise<Row<"secrets"> | null> {
    const where = { environmentId: environment.id, namespaceId: namespace.id, name, state: "active" } as const;
    const before = await reader.get("secrets", where);
    if (conditions.ifNoneMatch === true && before !== null)
      throw new VaultError("precondition_failed", "There is a secret of this name already.");
    mustMatch(before, conditions.ifMatch);
    return before;
  }
}

async function versionOf(reader: Reader, secret: Row<"secrets">, version: number): Promise<Row<"secretVersions">> {
  const row = await reader.get("secretVersions", { secretId: secret.id, version });
  if (row === null) throw new VaultError("not_found", `There is no version ${String(version)}.`);
  return row;
}
