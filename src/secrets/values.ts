import { VaultError, idToBytes } from "#base";
import type { Id, Redacted } from "#base";
import type { Field, Keyring } from "#crypto";
import type { NewRow, Row } from "#storage";

/** What a secret is, as far as its sealed bytes are concerned. */
export type Head = Pick<Row<"secrets">, "id" | "environmentId" | "namespaceId" | "name">;

export const MOST_BYTES = 64 * 1024;

/**
 * Seals and opens values. The associated data is the list
 *
 * ```
 * "value" | org | environment | namespace | secret id | NAME | version
 * ```
 *
 * and the key's id, so a sealed value that was moved, renamed, swapped or put under another version does not open.
 */
export class Values {
  readonly #keyring: Keyring;

  constructor(keyring: Keyring) {
    this.#keyring = keyring;
  }

  /** The row of a version. The change that stores it expects `keyId` to be current still. */
  async seal(
    org: Id<"org">,
    head: Head,
    version: number,
    plaintext: Redacted<Buffer>,
    by: Id<"prn">,
    now: Date,
  ): Promise<NewRow<"secretVersions">> {
    const bytes = plaintext.reveal().length;
    if (bytes > MOST_BYTES) throw new VaultError("payload_too_large", "A value holds at most 64 KiB.");
    const { key, sealed } = await this.#keyring.sealValue(
      org,
      head.environmentId,
      associated(org, head, version),
      plaintext,
    );
    return { secretId: head.id, version, keyId: key, sealed, bytes, createdAt: now, createdBy: by };
  }

  /** Throws `destroyed` when there is nothing left to open, `integrity_failed` when it does not open. */
  async open(org: Id<"org">, head: Head, row: Row<"secretVersions">): Promise<Redacted<Buffer>> {
    if (row.sealed === null) throw new VaultError("destroyed");
    const fields = associated(org, head, row.version);
    return (
      this.#keyring.openValueCached(org, head.environmentId, fields, row.sealed) ??
      this.#keyring.openValue(org, head.environmentId, fields, row.sealed)
    );
  }

  /** The environment's data key is no longer the current one: look again before the next seal. */
  forgetCurrent(org: Id<"org">, environment: Id<"env">): void {
    this.#keyring.forgetCurrent(org, environment);
  }
}

function associated(org: Id<"org">, head: Head, version: number): Field[] {
  return [
    "value",
    idToBytes(org),
    idToBytes(head.environmentId),
    idToBytes(head.namespaceId),
    idToBytes(head.id),
    head.name,
    version,
  ];
}
