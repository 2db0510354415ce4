import type { ErrorCode, Id } from "#base";
import { VaultError } from "#base";
import type { Raw } from "./column.ts";
import type { NewRow } from "./tables.ts";

/** One SQL statement with its parameters, and the number of rows it must meet. */
export interface Statement {
  readonly sql: string;
  readonly values: readonly Raw[];
  /** `count`: the one number it selects must be `rows`. `write`: it must change `rows` rows. */
  readonly kind: "count" | "write";
  readonly rows: number;
  readonly label: string;
  readonly otherwise: ErrorCode;
}

/** The end of one chain: what the next event builds on. */
export interface ChainHead {
  readonly slot: number;
  readonly seq: number;
  readonly hash: Buffer;
}

export type AuditRow = NewRow<"auditEvents">;

/**
 * Writes events. Implemented by audit/; the engine asks for the next event of a chain inside the commit, where sequence and
 * time are known. Must not do I/O.
 */
export interface Scribe<E = unknown> {
  write(entry: E, head: ChainHead, now: Date): AuditRow;
}

/** What a request wants committed: statements of one org, and the entry of its event. */
export interface Job {
  readonly org: Id<"org">;
  /** The chain that takes the event, with what the scribe needs; `null` for what is unaudited by declaration. */
  readonly event: { readonly chain: Id<"org">; readonly entry: unknown } | null;
  readonly statements: readonly Statement[];
}

export interface Committed {
  readonly seq: number;
  readonly at: Date;
}

export interface EngineHealth {
  readonly writable: boolean;
  readonly reason: string | null;
  readonly queued: number;
}

/** What an engine must do. SQLite's is in sqlite/. */
export interface Engine {
  readonly kind: "sqlite" | "postgres";
  /** Rows of one org. */
  rows(org: Id<"org">, sql: string, values: readonly Raw[]): Promise<readonly Readonly<Record<string, Raw>>[]>;
  /**
   * Runs one job, durably, perhaps together with others.
   *
   * @throws {MissedExpectation} nothing of this job was done.
   * @throws {VaultError} `store_unavailable`: nothing was done. `outcome_unknown`: the commit failed, and nobody knows.
   */
  commit(job: Job): Promise<Committed>;
  /** The time that the next event would get: never before the last one. */
  now(): Date;
  health(): Promise<EngineHealth>;
  /** Lets waiting jobs finish, then closes. */
  close(): Promise<void>;
}

/** A command met another number of rows than it expected. Nothing of its change was done. */
export class MissedExpectation extends VaultError {
  readonly label: string;

  constructor(label: string, code: ErrorCode) {
    super(code);
    this.label = label;
  }
}
