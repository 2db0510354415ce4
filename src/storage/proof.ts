import { VaultError, bytesToId, idToBytes } from "#base";
import type { Id } from "#base";
import type { Raw } from "./column.ts";
import { snake } from "./table.ts";
import { TABLES } from "./tables.ts";
import type { TableName } from "./tables.ts";

type Field = string | number | Uint8Array | null;

/** The MAC of rows. The composition root makes it of the keyring; storage knows no key. */
export interface RowIntegrity {
  /** The MAC of these fields under the org's current MAC key, and their plain digest. */
  prove(org: Id<"org">, fields: readonly Field[]): Promise<{ key: Id<"key">; mac: Buffer; digest: Buffer }>;
  /** Whether this MAC, under that key, is of these fields. Unknown keys prove nothing. */
  check(org: Id<"org">, key: Id<"key">, fields: readonly Field[], mac: Buffer): Promise<boolean>;
  digest(fields: readonly Field[]): Buffer;
}

/** Called when a row does not prove itself, before the error is thrown. */
export type TamperAlarm = (org: Id<"org">, table: TableName, row: string) => void;

/** What an event says of a proved row that it changed: the digest of what the MAC covers, or that the row is gone. */
export interface RowDigest {
  readonly table: TableName;
  readonly row: string;
  readonly digest: Buffer | null;
  /** The event that the row named before; `null` for a new row. */
  readonly before: Id<"evt"> | null;
}

/**
 * Row MACs.
 *
 * ```
 * fields = "row" | table | MAC version | org id | the columns of that version's list, as stored | changed_by
 * stored = changed_by(16) | mac_version | mac_key(16) | mac(32)
 * ```
 *
 * `changed_by` is the id of the audit event that last changed the row; that event carries the SHA-256 of the same fields.
 * So a row that was edited, moved to another org or put in another's place proves nothing, and an old authentic row put
 * back names an event that is not the newest one about it.
 */
export class Proofs {
  readonly #integrity: RowIntegrity;
  readonly #alarm: TamperAlarm;

  constructor(integrity: RowIntegrity, alarm: TamperAlarm) {
    this.#integrity = integrity;
    this.#alarm = alarm;
  }

  async prove(
    org: Id<"org">,
    table: TableName,
    raw: Readonly<Record<string, Raw>>,
    changedBy: Id<"evt">,
    before: Id<"evt"> | null,
  ): Promise<{ columns: Record<string, Raw>; digest: RowDigest }> {
    const version = newest(table);
    const fields = fieldsOf(table, version, org, raw, idToBytes(changedBy));
    if (fields === null) throw new TypeError(`a row of ${table} with a number that is no safe integer`);
    const { key, mac, digest } = await this.#integrity.prove(org, fields);
    return {
      columns: { changed_by: idToBytes(changedBy), mac_version: version, mac_key: idToBytes(key), mac },
      digest: { table, row: nameOf(table, raw), digest, before },
    };
  }

  gone(table: TableName, raw: Readonly<Record<string, Raw>>, before: Id<"evt">): RowDigest {
    return { table, row: nameOf(table, raw), digest: null, before };
  }

  /** The event that last changed the row. Throws `integrity_failed`, after the alarm, when the row does not prove itself. */
  async check(org: Id<"org">, table: TableName, raw: Readonly<Record<string, Raw>>): Promise<Id<"evt">> {
    const { changed_by: changedBy, mac_version: version, mac_key: key, mac } = raw;
    if (isId(changedBy) && isId(key) && Buffer.isBuffer(mac)) {
      const fields = fieldsOf(table, Number(version), org, raw, changedBy);
      if (fields !== null && (await this.#integrity.check(org, bytesToId("key", key), fields, mac)))
        return bytesToId("evt", changedBy);
    }
    throw this.refuse(org, table, raw);
  }

  /** Rings the alarm; gives the error to throw. */
  refuse(org: Id<"org">, table: TableName, raw: Readonly<Record<string, Raw>>, cause?: unknown): VaultError {
    this.#alarm(org, table, nameOf(table, raw));
    return new VaultError("integrity_failed", undefined, { cause });
  }
}

function newest(table: TableName): number {
  return Math.max(...Object.keys(TABLES[table].macs ?? {}).map(Number));
}

function isId(raw: Raw | undefined): raw is Buffer {
  return Buffer.isBuffer(raw) && raw.length === 16;
}

/** What the MAC covers; `null` for a version that this table does not have or a number that no row of ours holds. */
function fieldsOf(
  table: TableName,
  version: number,
  org: Id<"org">,
  raw: Readonly<Record<string, Raw>>,
  changedBy: Buffer,
): Field[] | null {
  const names = (TABLES[table].macs as Readonly<Record<number, readonly string[]>> | null)?.[version];
  if (names === undefined) return null;
  const values = names.map((name): Field => {
    const value = raw[snake(name)] ?? null;
    return typeof value === "bigint" ? Number(value) : value;
  });
  if (values.some((value) => typeof value === "number" && !Number.isSafeInteger(value))) return null;
  return ["row", table, version, idToBytes(org), ...values, changedBy];
}

/**
 * The row's key in words, for events and alarms: ids and numbers only, since keys of proved rows hold nothing else. `?` for
 * what was changed into something that is none.
 */
function nameOf(table: TableName, raw: Readonly<Record<string, Raw>>): string {
  const columns = TABLES[table].columns as Readonly<Record<string, { decode: (value: Raw) => unknown }>>;
  const part = (name: string): string => {
    try {
      return String(columns[name]?.decode(raw[snake(name)] ?? null));
    } catch {
      return "?";
    }
  };
  return TABLES[table].key.map(part).join("/");
}
