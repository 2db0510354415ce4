import type { Id } from "#base";
import { VaultError, idToBytes, isVaultError } from "#base";
import type { EventClock } from "../event-clock.ts";
import { encodeRow, snake } from "../table.ts";
import { TABLES } from "../tables.ts";
import { MissedExpectation } from "../engine.ts";
import type { AuditRow, ChainHead, CommitWatch, Committed, Job, Scribe, Statement } from "../engine.ts";
import type { Connection } from "./open.ts";
import { codeOf } from "./reason.ts";
import { Statements } from "./statements.ts";

/** A node of one machine has one chain an org. */
export const SLOT = 0;
const GENESIS = Buffer.alloc(32);

export type JobResult = { readonly committed: Committed } | { readonly error: Error };

/**
 * Runs a batch of jobs in one transaction on the one connection that writes: each gets its sequence, its time and the hash
 * of its event here, and one fsync serves them all. A job that misses an expectation is undone alone.
 */
export class Committer {
  readonly #db: Connection;
  readonly #statements: Statements;
  readonly #scribe: Scribe;
  readonly #clock: EventClock;
  readonly #watch: CommitWatch;
  readonly #heads = new Map<Id<"org">, ChainHead>();

  constructor(db: Connection, scribe: Scribe, clock: EventClock, watch: CommitWatch = () => undefined) {
    this.#watch = watch;
    this.#db = db;
    this.#statements = new Statements(db);
    this.#scribe = scribe;
    this.#clock = clock;
    clock.notBefore(lastTime(db));
  }

  /**
   * @returns a result for each job, in order.
   * @throws {VaultError} `store_unavailable` when nothing was committed; `outcome_unknown` when COMMIT itself failed.
   */
  run(jobs: readonly Job[]): JobResult[] {
    const began = performance.now();
    let waited = began;
    let ok = false;
    let results: JobResult[] = [];
    try {
      results = this.#run(jobs, () => (waited = performance.now()));
      ok = true;
      return results;
    } finally {
      const now = performance.now();
      const events = jobs
        .filter((_, at) => results[at] !== undefined && "committed" in results[at])
        .reduce((sum, job) => sum + job.events.length, 0);
      this.#watch({ jobs: jobs.length, events, ok, ms: now - began, syncMs: ok ? now - waited : 0 });
    }
  }

  #run(jobs: readonly Job[], beforeSync: () => void): JobResult[] {
    /** The ends of the chains that this batch has made longer. They count once it is committed. */
    const heads = new Map<Id<"org">, ChainHead>();
    const results: JobResult[] = [];
    const now = this.#clock.now();
    try {
      this.#db.exec("BEGIN IMMEDIATE");
      for (const job of jobs) results.push(this.#one(job, heads, now));
    } catch (error) {
      this.#abandon();
      throw new VaultError("store_unavailable", undefined, { cause: error });
    }
    beforeSync();
    try {
      this.#db.exec("COMMIT");
    } catch (error) {
      this.#abandon();
      // A commit counts from its last page on, and that is the one that found no room: nothing was done. After any other
      // failure (a sync that failed, say) the pages may be on the disk or not.
      const code = codeOf(error) === "SQLITE_FULL" ? "store_unavailable" : "outcome_unknown";
      throw new VaultError(code, undefined, { cause: error });
    }
    for (const [chain, head] of heads) this.#heads.set(chain, head);
    this.#clock.notBefore(now.getTime());
    return results;
  }

  #one(job: Job, heads: Map<Id<"org">, ChainHead>, now: Date): JobResult {
    // Without a write there is nothing to undo but the one event, which is written last.
    const guarded = job.events.length > 1 || job.statements.some((statement) => statement.kind === "write");
    if (guarded) this.#statements.run("SAVEPOINT job", []);
    const own = new Map<Id<"org">, ChainHead>();
    try {
      for (const statement of job.statements) this.#step(statement);
      const [seq = 0] = job.events.map((event) => this.#tell(event, own, heads, now));
      if (guarded) this.#statements.run("RELEASE job", []);
      // Only now: the events of a job that is undone are nothing to build on.
      for (const [chain, head] of own) heads.set(chain, head);
      return { committed: { seq, at: now } };
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      if (guarded) {
        this.#statements.run("ROLLBACK TO job", []);
        this.#statements.run("RELEASE job", []);
      }
      return { error: isVaultError(error) ? error : new VaultError("internal", undefined, { cause: error }) };
    }
  }

  /** Appends an event of the job. Its sequence. */
  #tell(
    { chain, entry }: Job["events"][number],
    own: Map<Id<"org">, ChainHead>,
    heads: ReadonlyMap<Id<"org">, ChainHead>,
    now: Date,
  ): number {
    const head = own.get(chain) ?? heads.get(chain) ?? this.#heads.get(chain) ?? this.#head(chain);
    const row = this.#scribe.write(entry, head, now);
    this.#append(chain, row);
    own.set(chain, { slot: SLOT, seq: row.seq, hash: row.hash });
    return row.seq;
  }

  #step(statement: Statement): void {
    const { sql, values, kind, rows, label, otherwise } = statement;
    let met: number;
    try {
      met = kind === "count" ? Number(this.#statements.pluck(sql, values)) : this.#statements.run(sql, values);
    } catch (error) {
      const code = codeOf(error);
      if (TAKEN_OR_GONE.has(code)) throw new MissedExpectation(label, otherwise);
      // A value that its column does not take: somebody above has a fault, and trying again would not help.
      if (code.startsWith("SQLITE_CONSTRAINT")) throw new VaultError("internal", undefined, { cause: error });
      throw error;
    }
    if (rows >= 0 && met !== rows) throw new MissedExpectation(label, otherwise);
  }

  #head(chain: Id<"org">): ChainHead {
    const row = this.#statements.get(
      "SELECT seq, hash FROM audit_events WHERE org_id = ? AND slot = ? ORDER BY seq DESC LIMIT 1",
      [idToBytes(chain), SLOT],
    );
    return row === null
      ? { slot: SLOT, seq: 0, hash: GENESIS }
      : { slot: SLOT, seq: Number(row.seq), hash: row.hash as Buffer };
  }

  #append(chain: Id<"org">, row: AuditRow): void {
    const raw = encodeRow(TABLES.auditEvents.columns, row);
    const names = Object.keys(raw);
    const sql = `INSERT INTO audit_events (org_id, ${names.map(snake).join(", ")}) VALUES (?${", ?".repeat(names.length)})`;
    this.#statements.run(sql, [idToBytes(chain), ...Object.values(raw)]);
  }

  #abandon(): void {
    try {
      if (this.#db.inTransaction) this.#db.exec("ROLLBACK");
    } catch {
      // The engine opens a new connection after any failure; this one is done with.
    }
  }
}

/**
 * Whether the job itself is at fault, so that it fails alone: an expectation missed, or a value or statement that nothing
 * could have written. Any other failure is the store's, and all of the batch's.
 */
function isOwnFault(error: unknown): boolean {
  const code = codeOf(error);
  return error instanceof MissedExpectation || !code.startsWith("SQLITE_") || OF_THE_JOB.has(code);
}

/** The name or key is taken, or what it points to is gone: answers, not faults. */
const TAKEN_OR_GONE: ReadonlySet<string> = new Set([
  "SQLITE_CONSTRAINT_UNIQUE",
  "SQLITE_CONSTRAINT_PRIMARYKEY",
  "SQLITE_CONSTRAINT_FOREIGNKEY",
]);

const OF_THE_JOB: ReadonlySet<string> = new Set(["SQLITE_ERROR", "SQLITE_TOOBIG", "SQLITE_RANGE", "SQLITE_MISMATCH"]);

/** The time of the newest event of any chain, by each chain's own index. */
function lastTime(db: Connection): number {
  const newest = "SELECT max(time) AS newest FROM audit_events WHERE org_id = chains.id";
  const chains = "SELECT id FROM orgs UNION SELECT zeroblob(16)";
  return Number(db.prepare(`SELECT max((${newest})) FROM (${chains}) AS chains`).pluck().get() ?? 0);
}
