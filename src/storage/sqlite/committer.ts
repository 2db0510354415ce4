import type { Clock, Id } from "#base";
import { VaultError, idToBytes } from "#base";
import { encodeRow, snake } from "../table.ts";
import { TABLES } from "../tables.ts";
import { MissedExpectation } from "../engine.ts";
import type { AuditRow, ChainHead, Committed, Job, Scribe, Statement } from "../engine.ts";
import { codeOf } from "./open.ts";
import type { Connection } from "./open.ts";
import { Statements } from "./statements.ts";

/** A node of one machine has one chain an org. */
const SLOT = 0;
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
  readonly #clock: Clock;
  #heads = new Map<Id<"org">, ChainHead>();
  #lastTime: number;

  constructor(db: Connection, scribe: Scribe, clock: Clock) {
    this.#db = db;
    this.#statements = new Statements(db);
    this.#scribe = scribe;
    this.#clock = clock;
    this.#lastTime = lastTime(db);
  }

  /** Never before the last committed event, whatever the machine's clock does. */
  now(): Date {
    return new Date(Math.max(this.#clock.now().getTime(), this.#lastTime));
  }

  /**
   * @returns a result for each job, in order.
   * @throws {VaultError} `store_unavailable` when nothing was committed; `outcome_unknown` when COMMIT itself failed.
   */
  run(jobs: readonly Job[]): JobResult[] {
    const heads = new Map(this.#heads);
    const results: JobResult[] = [];
    const now = this.now();
    try {
      this.#db.exec("BEGIN IMMEDIATE");
      for (const job of jobs) results.push(this.#one(job, heads, now));
    } catch (error) {
      this.#abandon();
      throw new VaultError("store_unavailable", undefined, { cause: error });
    }
    try {
      this.#db.exec("COMMIT");
    } catch (error) {
      throw new VaultError("outcome_unknown", undefined, { cause: error });
    }
    this.#heads = heads;
    this.#lastTime = now.getTime();
    return results;
  }

  #one(job: Job, heads: Map<Id<"org">, ChainHead>, now: Date): JobResult {
    // One write cannot leave half a job behind; more than one is undone by a savepoint.
    const guarded = job.statements.filter((statement) => statement.kind === "write").length > 1;
    if (guarded) this.#statements.run("SAVEPOINT job", []);
    try {
      for (const statement of job.statements) this.#step(statement);
    } catch (error) {
      if (!(error instanceof MissedExpectation)) throw error;
      if (guarded) {
        this.#statements.run("ROLLBACK TO job", []);
        this.#statements.run("RELEASE job", []);
      }
      return { error };
    }
    let seq = 0;
    if (job.event !== null) {
      const head = heads.get(job.event.chain) ?? this.#head(job.event.chain);
      const row = this.#scribe.write(job.event.entry, head, now);
      this.#append(job.event.chain, row);
      heads.set(job.event.chain, { slot: SLOT, seq: row.seq, hash: row.hash });
      seq = row.seq;
    }
    if (guarded) this.#statements.run("RELEASE job", []);
    return { committed: { seq, at: now } };
  }

  #step(statement: Statement): void {
    const { sql, values, kind, rows, label, otherwise } = statement;
    let met: number;
    try {
      met = kind === "count" ? Number(this.#statements.pluck(sql, values)) : this.#statements.run(sql, values);
    } catch (error) {
      // The name or key is taken, or what it points to is gone: an answer, not a fault.
      if (codeOf(error).startsWith("SQLITE_CONSTRAINT")) throw new MissedExpectation(label, otherwise);
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

/** The time of the newest event of any chain, by each chain's own index. */
function lastTime(db: Connection): number {
  const newest = "SELECT max(time) AS newest FROM audit_events WHERE org_id = chains.id";
  const chains = "SELECT id FROM orgs UNION SELECT zeroblob(16)";
  return Number(db.prepare(`SELECT max((${newest})) FROM (${chains}) AS chains`).pluck().get() ?? 0);
}
