import { INSTANCE, VaultError, timeOfId } from "#base";
import type { Id } from "#base";
import { frame, sha256 } from "#crypto";
import type { KeySource, Keyring, WrappedKey } from "#crypto";
import type { Facts, NewRow, Row, RowIntegrity } from "#storage";

/** Long before 2^32 (NIST SP 800-38D section 8.3): rotation renews a key well before it stops here. */
const MOST_ENCRYPTIONS = 2 ** 31;

/** The row of a wrapped key. */
export function keyRow(key: WrappedKey, now: Date): NewRow<"keys"> {
  return {
    id: key.id,
    environmentId: key.environment,
    purpose: key.purpose,
    generation: key.generation,
    parentId: key.parent,
    state: key.state,
    wrapped: key.wrapped,
    encryptions: 0,
    createdAt: now,
  };
}

/** Where the keyring finds wrapped keys: their rows. */
export function keySource(facts: Facts): KeySource {
  return {
    async find(org, id) {
      const row = await facts.of(org).get("keys", { id });
      return row === null ? null : wrappedKey(org, row);
    },
    async current(org, purpose, environment) {
      const row = await facts.of(org).get("keys", { purpose, environmentId: environment, state: "current" });
      return row === null ? null : wrappedKey(org, row);
    },
    async reserve(org, id, count) {
      const row = await facts.of(org).get("keys", { id });
      if (row === null || row.encryptions + count > MOST_ENCRYPTIONS)
        throw new VaultError("limit_reached", "The data key has been used too often: rotate it.");
      await facts.count(org, "keys", { id }, "encryptions", count);
    },
  };
}

/** The keys that are in use, by their number and their age. */
export interface KeyAges {
  readonly dataKeys: number;
  /** `null` where there is none yet. */
  readonly oldestDataKeyAt: Date | null;
  readonly rootKeyAt: Date;
}

/** Of all orgs, or of one. A root key is as old as its id. @throws {VaultError} `schema_unknown` in a database without keys. */
export async function keyAges(facts: Facts, only?: Id<"org">): Promise<KeyAges> {
  const instance = await facts.of(INSTANCE).get("keys", { purpose: "instance", state: "current" });
  if (instance === null) throw new VaultError("schema_unknown");
  const made: Date[] = [];
  const orgs = only === undefined ? await facts.of(INSTANCE).list("orgs") : [{ id: only }];
  for (const { id } of orgs) {
    const keys = await facts.of(id).list("keys", { where: { purpose: "data", state: "current" } });
    made.push(...keys.map(({ createdAt }) => createdAt));
  }
  const oldest = made.reduce<Date | null>((first, next) => (first === null || next < first ? next : first), null);
  return { dataKeys: made.length, oldestDataKeyAt: oldest, rootKeyAt: timeOfId(instance.parentId) };
}

function wrappedKey(org: Id<"org">, row: Row<"keys">): WrappedKey {
  return {
    id: row.id,
    org,
    environment: row.environmentId,
    purpose: row.purpose,
    generation: row.generation,
    parent: row.parentId,
    wrapped: row.wrapped,
    state: row.state,
  };
}

/** The MACs of rows are the org's current MAC key's; old ones are checked by the key they name. */
export function rowIntegrity(keyring: () => Keyring): RowIntegrity {
  return {
    async prove(org, fields) {
      const message = frame(fields);
      const key = await keyring().macKey(org);
      return { key: key.id, mac: key.sign(message), digest: sha256(message) };
    },
    async check(org, key, fields, mac) {
      const found = keyring().macKeyCached(org, key) ?? (await keyring().macKeyById(org, key));
      return found?.verify(frame(fields), mac) ?? false;
    },
    digest: (fields) => sha256(frame(fields)),
  };
}
