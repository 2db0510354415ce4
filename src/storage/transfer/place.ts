import type { Id } from "#base";
import { VaultError } from "#base";
import type { Raw } from "../column.ts";
import type { Compiled } from "../compile.ts";
import type { Engine } from "../engine.ts";
import type { PostgresAddress } from "../postgres/address.ts";

/** A database that is to be read or filled. */
export type StoreAt =
  | { readonly engine: "sqlite"; readonly folder: string }
  | {
      readonly engine: "postgres";
      /** As the role that serves. */
      readonly address: PostgresAddress;
      /** As the owner, who makes the schema of a target that has none yet. */
      readonly owner: PostgresAddress | null;
    };

/** What a row of the table `meta` says there while a copy is under way; its value is the instance that is copied. */
export const COPY_MARK = "moving";
/** What the row is called that says which instance a database is: the mark becomes it when everything has arrived. */
export const INSTANCE_MARK = "instance";
/** SQLite's record of the slots that other nodes wrote before the vault came to it: numbers with commas. */
export const SLOTS_MARK = "slots";
/** Rows of `meta` that belong to the database and not to the vault: never copied. */
export const OWN_MARKS: readonly string[] = [COPY_MARK, INSTANCE_MARK, SLOTS_MARK, "probe"];

/** One side of a copy, which nobody else uses while it is open. */
export interface Place {
  readonly kind: Engine["kind"];
  rows(org: Id<"org">, query: Compiled): Promise<readonly Readonly<Record<string, Raw>>[]>;
  /** All of them in one transaction that sees one org, durably. @returns how many rows each has changed. */
  write(org: Id<"org">, statements: readonly Compiled[]): Promise<readonly number[]>;
  /** Every writer slot whose events may be there, ascending. */
  slots(): Promise<readonly number[]>;
  /** Makes these slots known, held by nobody. The next node's time is not before `newest` (epoch ms). */
  addSlots(slots: readonly number[], newest: number): Promise<void>;
  /**
   * Throws `in_use` where a vault runs on it, or has run since it was opened. A target with a mark is not asked: no vault
   * starts there.
   */
  checkAlone(): Promise<void>;
  /** Rows of orgs that are not in the list of orgs, where this role can see them. */
  strays(): Promise<number>;
  close(): Promise<void>;
}

/** Reads for {@link openStore}; writes nothing. */
export function readingEngine(place: Place): Engine {
  const refuse = () => Promise.reject(new VaultError("internal", "A copy is not written to by the vault."));
  return {
    kind: place.kind,
    slot: 0,
    slots: () => place.slots(),
    rows: (org, sql, values) => place.rows(org, { sql, values }),
    commit: refuse,
    now: () => new Date(),
    health: refuse,
    nodes: refuse,
    bytes: () => Promise.resolve(0),
    close: () => Promise.resolve(),
  };
}
