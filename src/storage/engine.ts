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

/** The end of one chain in one slot: what the next event builds on. */
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

/** What a request wants committed: statements of one org, and the entries of its events. */
export interface Job {
  readonly org: Id<"org">;
  /** The chains that take the events, with what the scribe needs; none for what is unaudited by declaration. */
  readonly events: readonly { readonly chain: Id<"org">; readonly entry: unknown }[];
  readonly statements: readonly Statement[];
  readonly hold: Hold;
}

/**
 * How a job keeps the changes of other nodes to the same org away while it commits, where several write at once.
 * `alone`: it bears on access or values, or expects what a new row could break, so no other change of the org may come
 * between. `beside`: it changes rows that nobody else changes; only those that hold alone keep it waiting. `nothing`: it only
 * appends to the log.
 */
export type Hold = "alone" | "beside" | "nothing";

export interface Committed {
  /** Of the first event; 0 where there is none. */
  readonly seq: number;
  readonly at: Date;
}

export interface EngineHealth {
  readonly writable: boolean;
  /** What failed last, in words that anybody may read. */
  readonly reason: string | null;
  /** Jobs that wait for a commit, and what their statements hold, in bytes. */
  readonly queued: number;
  readonly queuedBytes: number;
  /** How far the machine's clock is behind the vault's time, which never runs back behind the last event. */
  readonly clockBehindMs: number;
  /** How far the machine's clock is ahead of the database server's; behind it, where negative. `null`: there is no server. */
  readonly clockAheadMs: number | null;
  /** `null`: there is no server. */
  readonly connections: ConnectionUse | null;
}

/** Connections of this node to the database's server. */
export interface ConnectionUse {
  readonly inUse: number;
  readonly idle: number;
  /** Who waits for one. */
  readonly waiting: number;
}

/** A writer slot, and whether a node holds it. */
export interface NodeSeen {
  readonly slot: number;
  /** A node holds it and has said so lately. */
  readonly isHeld: boolean;
  /** Since when its last holder has had it, and when that was last heard of: by the server's clock. */
  readonly since: Date;
  readonly seenAt: Date;
}

/** What one commit took, or what it took to fail. */
export interface CommitMeasure {
  /** Jobs that shared it, and audit events among what they did. */
  readonly jobs: number;
  readonly events: number;
  readonly ok: boolean;
  /** All of it; and the part that waits for the disk. */
  readonly ms: number;
  readonly syncMs: number;
}

/** Hears of each commit; must not throw. */
export type CommitWatch = (measure: CommitMeasure) => void;

/** What an engine must do. They are in sqlite/ and postgres/. */
export interface Engine {
  readonly kind: "sqlite" | "postgres";
  /** The writer slot that this node's events go to: 0 on SQLite; one that is leased elsewhere, and may change when its lease is lost. */
  readonly slot: number;
  /** Every writer slot that was ever leased, ascending: where the events of a chain may stand. SQLite has slot 0 alone, and what came to it. */
  slots(): Promise<readonly number[]>;
  /** The slots with who holds them, ascending; none on SQLite. */
  nodes(): Promise<readonly NodeSeen[]>;
  /** Rows of one org. */
  rows(org: Id<"org">, sql: string, values: readonly Raw[]): Promise<readonly Readonly<Record<string, Raw>>[]>;
  /**
   * Runs one job, durably, perhaps together with others.
   *
   * @throws {MissedExpectation} nothing of this job was done.
   * @throws {VaultError} `overloaded`: too much waits. `store_unavailable`: nothing was done. `outcome_unknown`: the commit
   * failed, and nobody knows.
   */
  commit(job: Job): Promise<Committed>;
  /** The time that the next event would get: see {@link EventClock}. */
  now(): Date;
  health(): Promise<EngineHealth>;
  /** What the database takes, in bytes, where it lies. */
  bytes(): Promise<number>;
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
