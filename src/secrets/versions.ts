import { Turns, VaultError, isVaultError } from "#base";
import type { Actor, IdSource, Permit, Redacted } from "#base";
import { equal } from "#crypto";
import { Change, MissedExpectation } from "#storage";
import type { NewRow, Reader, Row, Store } from "#storage";
import { differences, namesOf, principalOf } from "#access";
import type { Guard, ScopePlace } from "#access";
import { expectPlace, metadataOf, mustMatch, newestDeleted, standing, viewOf } from "./secrets.ts";
import type { Metadata, SecretAt } from "./secrets.ts";
import type { Values } from "./values.ts";
import type { SecretView } from "./view.ts";

const MOST_SECRETS = 100_000;
const MOST_TRIES = 5;

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

/** What happens to values: written, rolled back, revealed, destroyed. Each value is a version, sealed for its place. */
export class Versions {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #values: Values;
  readonly #ids: IdSource;
  /** Writes of one secret wait for each other: each is a version, so none may give up because of the others. */
  readonly #turns = new Turns();

  constructor(guard: Guard, store: Store, values: Values, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#values = values;
    this.#ids = ids;
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
    return this.#retrying(permit, at.secret, async () => {
      const before = await reader.get("secrets", {
        environmentId: permit.place.environment.id,
        namespaceId: permit.place.namespace.id,
        name: at.secret,
        state: "active",
      });
      if (conditions.ifNoneMatch === true && before !== null)
        throw new VaultError("precondition_failed", "There is a secret of this name already.");
      mustMatch(before, conditions.ifMatch);
      if (before !== null && mayReveal && (await this.#isCurrent(permit, reader, before, value))) {
        const after = await this.#describe(permit, before, metadata);
        return { ...(await viewOf(reader, after)), created: false, changed: false };
      }
      const after = await this.#append(permit, before, value, { name: at.secret, metadata });
      return { ...(await viewOf(reader, after)), created: before === null, changed: true };
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
    return this.#retrying(permit, at.secret, async () => {
      const before = await standing(reader, permit.place, at.secret);
      mustMatch(before, ifMatch);
      const value = await this.#values.open(permit.org, before, await versionOf(reader, before, version));
      return viewOf(
        reader,
        await this.#append(permit, before, value, { name: before.name, metadata: {}, from: version }),
      );
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

  /**
   * Takes away the sealed bytes, for good: of the versions named, but not the current one; or of all versions of a deleted
   * secret. Backups keep what they hold until they are gone.
   */
  async destroy(actor: Actor, at: SecretAt, versions: readonly number[] | undefined): Promise<void> {
    const permit = await this.#guard.require(actor, "secret.delete", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    const reader = this.#store.read(permit);
    const change = new Change();
    const secret =
      versions === undefined
        ? await this.#wholly(reader, permit, at, change)
        : await standing(reader, permit.place, at.secret);
    const rows = await reader.list("secretVersions", { where: { secretId: secret.id } });
    for (const version of versions ?? []) {
      if (version === secret.currentVersion)
        throw new VaultError("in_use", "The current version is in use: write or roll back to another first.", {
          detail: { usedBy: [`version ${String(version)} is current`] },
        });
      if (!rows.some((row) => row.version === version))
        throw new VaultError("not_found", `There is no version ${String(version)}.`);
    }
    const doomed = rows.filter(
      (row) => row.sealed !== null && (versions === undefined || versions.includes(row.version)),
    );
    for (const row of doomed) change.replace("secretVersions", row, { sealed: null });
    await this.#store.commit(permit, change.raiseEpoch(), {
      result: "success",
      target: { type: "secret", id: secret.id, name: secret.name },
      secrets: doomed.map((row) => ({ id: secret.id, name: secret.name, version: row.version })),
    });
  }

  async #wholly(reader: Reader, { place }: Permit<ScopePlace>, at: SecretAt, change: Change): Promise<Row<"secrets">> {
    const secret = await newestDeleted(reader, place, at.secret);
    if (secret === null) {
      await standing(reader, place, at.secret);
      throw new VaultError("in_use", "Delete the secret first, or name the versions to destroy.", {
        detail: { usedBy: ["the secret still stands"] },
      });
    }
    change.replace("secrets", secret, { state: "destroyed" });
    return secret;
  }

  /** The value is there already: only what was said about it is written. */
  async #describe(permit: Permit<ScopePlace>, before: Row<"secrets">, metadata: Metadata): Promise<Row<"secrets">> {
    const outcome = {
      result: "success",
      target: { type: "secret", id: before.id, name: before.name },
      facts: { changed: false },
    } as const;
    const described = { ...before, ...metadataOf(metadata, before) };
    const changes = differences(before, described, ["description", "tags", "owner", "rotateBy"]);
    if (changes.length === 0) {
      await this.#store.commit(permit, null, outcome);
      return before;
    }
    const after = { ...described, updatedAt: this.#store.now(), updatedBy: principalOf(permit.actor) };
    const change = new Change().replace("secrets", before, after, "conflict", "head");
    await this.#store.commit(permit, change, { ...outcome, changes });
    return { ...after, changedBy: permit.event.id };
  }

  async #append(
    permit: Permit<ScopePlace>,
    before: Row<"secrets"> | null,
    value: Redacted<Buffer>,
    { name, metadata, from }: { name: string; metadata: Metadata; from?: number },
  ): Promise<Row<"secrets">> {
    const { environment, namespace } = permit.place;
    const by = principalOf(permit.actor);
    const now = this.#store.now();
    const change = new Change();
    const head: NewRow<"secrets"> =
      before === null
        ? {
            id: this.#ids.next("sec"),
            environmentId: environment.id,
            namespaceId: namespace.id,
            name,
            currentVersion: 1,
            delivery: "inject",
            state: "active",
            policy: null,
            ...metadataOf(metadata, null),
            createdAt: now,
            createdBy: by,
            updatedAt: now,
            updatedBy: by,
            deletedAt: null,
          }
        : {
            ...before,
            ...metadataOf(metadata, before),
            currentVersion: before.currentVersion + 1,
            updatedAt: now,
            updatedBy: by,
          };
    if (before === null) {
      if ((await this.#store.read(permit).count("secrets", { state: "active" })) >= MOST_SECRETS)
        throw new VaultError("limit_reached", `An org has at most ${String(MOST_SECRETS)} secrets.`);
      change.insert("secrets", head, "conflict", "head");
    } else change.replace("secrets", before, head, "conflict", "head");
    const version = await this.#values.seal(permit.org, head, head.currentVersion, value, by, now);
    change
      .insert("secretVersions", version, "conflict", "head")
      .expect("keys", { id: version.keyId, state: "current" }, 1, "key")
      .raiseEpoch();
    expectPlace(change, permit.place);
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "secret", id: head.id, name },
      facts: { version: head.currentVersion, bytes: version.bytes, ...(from === undefined ? {} : { from }) },
    });
    return { ...head, changedBy: permit.event.id };
  }

  #retrying<T>(permit: Permit<ScopePlace>, name: string, attempt: () => Promise<T>): Promise<T> {
    const { environment, namespace } = permit.place;
    return this.#turns.take([environment.id, namespace.id, name].join("/"), () => this.#again(permit, attempt));
  }

  /** Another node wrote first, or the data key was rotated meanwhile: read again and try again. */
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

  async #isCurrent(
    permit: Permit<ScopePlace>,
    reader: Reader,
    secret: Row<"secrets">,
    value: Redacted<Buffer>,
  ): Promise<boolean> {
    // Nobody reveals what only a tool may use, so nobody may guess it either.
    if (secret.delivery === "broker") return false;
    try {
      const current = await this.#values.open(
        permit.org,
        secret,
        await versionOf(reader, secret, secret.currentVersion),
      );
      return equal(current.reveal(), value.reveal());
    } catch (error) {
      // A value that cannot be opened is replaced like any other.
      if (
        isVaultError(error, "destroyed") ||
        isVaultError(error, "integrity_failed") ||
        isVaultError(error, "not_found")
      )
        return false;
      throw error;
    }
  }
}

async function versionOf(reader: Reader, secret: Row<"secrets">, version: number): Promise<Row<"secretVersions">> {
  const row = await reader.get("secretVersions", { secretId: secret.id, version });
  if (row === null) throw new VaultError("not_found", `There is no version ${String(version)}.`);
  return row;
}
