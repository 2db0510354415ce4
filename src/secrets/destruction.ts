import { VaultError } from "#base";
import type { Actor, Permit } from "#base";
import { Change } from "#storage";
import type { Reader, Row, Store } from "#storage";
import type { Guard, ScopePlace } from "#access";
import { newestDeleted, standing } from "./scope.ts";
import type { SecretAt } from "./scope.ts";
import { epochOf, usedByWords } from "./users.ts";
import type { SecretUsers } from "./users.ts";
import type { Writes } from "./writes.ts";

/** The end of values: what was destroyed nobody brings back. */
export class Destruction {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #writes: Writes;
  readonly #users: SecretUsers;

  constructor(guard: Guard, store: Store, writes: Writes, users: SecretUsers) {
    this.#guard = guard;
    this.#store = store;
    this.#writes = writes;
    this.#users = users;
  }

  /**
   * Takes away the sealed bytes, for good: of the versions named, but not the current one; or of all versions of a deleted
   * secret. Backups keep what they hold until they are gone.
   *
   * @throws {VaultError} `in_use` for the current version, one that a deployed workload is pinned to, and a secret that
   * still stands; `not_found`.
   */
  async destroy(actor: Actor, at: SecretAt, versions: readonly number[] | undefined): Promise<void> {
    const permit = await this.#guard.require(actor, "secret.delete", {
      on: "scope",
      environment: at.environment,
      namespace: at.namespace,
    });
    await this.#writes.inTurn(permit, [at.secret], () => this.#destroy(permit, at, versions));
  }

  async #destroy(permit: Permit<ScopePlace>, at: SecretAt, versions: readonly number[] | undefined): Promise<void> {
    const reader = this.#store.read(permit);
    const change = new Change();
    const secret =
      versions === undefined
        ? await this.#wholly(reader, permit, at, change)
        : await this.#unpinned(reader, permit, at, change, versions);
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

  /** The secret, where nothing that is deployed is pinned to one of these versions. Throws `in_use`. */
  async #unpinned(
    reader: Reader,
    permit: Permit<ScopePlace>,
    at: SecretAt,
    change: Change,
    versions: readonly number[],
  ): Promise<Row<"secrets">> {
    const epoch = await epochOf(reader);
    const secret = await standing(reader, permit.place, at.secret);
    const uses = (await this.#users.of(permit.actor, reader, [secret])).get(secret.id) ?? [];
    const pinned = uses.filter((use) => use.pinned !== null && versions.includes(use.pinned));
    if (pinned.length > 0)
      throw new VaultError("in_use", "A deployed workload is pinned to a version of these: deploy another first.", {
        detail: { usedBy: usedByWords(pinned) },
      });
    change.expectEpoch(epoch, "head");
    return secret;
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
}
