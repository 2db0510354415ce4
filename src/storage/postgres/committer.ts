import type { Id } from "#base";
import { VaultError, idToBytes, isVaultError } from "#base";
import { MissedExpectation } from "../engine.ts";
import type { ChainHead, CommitWatch, Committed, Hold, Job, Scribe, Statement } from "../engine.ts";
import type { EventClock } from "../event-clock.ts";
import { encodeRow, snake } from "../table.ts";
import { TABLES } from "../tables.ts";
import { codeOf, isAnswer, isLost, isRace } from "./reason.ts";
import { together } from "./session.ts";
import type { Answer, Session } from "./session.ts";
import type { Sessions } from "./sessions.ts";

const GENESIS = Buffer.alloc(32);
/** Times that a batch is tried after others won a race for the same rows; nothing is done by an attempt that loses. */
const MOST_TRIES = 5;
const HEAD = "SELECT seq, hash FROM audit_events WHERE org_id = $1 AND slot = $2 ORDER BY seq DESC LIMIT 1";
const NEWEST = "SELECT slot, time FROM audit_events WHERE org_id = $1 ORDER BY time DESC, slot DESC, seq DESC LIMIT 1";
const HELD = "SELECT FROM nodes WHERE slot = $1 AND holder = $2";
const EVENTS_KEY = "audit_events_pk";

export type JobResult = { readonly committed: Committed } | { readonly error: Error };

/** What the chain's slot was when the batch began; another node may hold it by now. */
export class SlotTaken extends Error {}

interface Chain {
  readonly org: Id<"org">;
  readonly slot: number;
  readonly head: ChainHead;
  readonly at: Date;
}

/**
 * Runs a batch of jobs, whose events all go to one chain, in one transaction: as if none of them could fail, everything on
 * the way at once, and where one did, again from the beginning with a savepoint for each.
 *
 * READ COMMITTED is enough: rows that a job changes are named with the event that changed them last, so whoever comes second
 * meets none; what a new row could break, or what bears on access or values, is kept apart by a lock for the org
 * ({@link Hold}), which the server's lock queue gives in order. Such a lock goes with its transaction.
 */
export class Committer {
  readonly #sessions: Sessions;
  readonly #scribe: Scribe;
  readonly #clock: EventClock;
  readonly #slot: () => number;
  readonly #holder: string;
  readonly #watch: CommitWatch;

  constructor(options: {
    sessions: Sessions;
    scribe: Scribe;
    clock: EventClock;
    slot: () => number;
    /** Who this node is in the list of slots. */
    holder: string;
    watch?: CommitWatch | undefined;
  }) {
    this.#sessions = options.sessions;
    this.#scribe = options.scribe;
    this.#clock = options.clock;
    this.#slot = options.slot;
    this.#holder = options.holder;
    this.#watch = options.watch ?? (() => undefined);
  }

  /**
   * @returns a result for each job, in order.
   * @throws {VaultError} `store_unavailable`, `overloaded`: nothing was committed. `outcome_unknown`: the server has not
   * said whether it was.
   * @throws {SlotTaken} nothing was committed; another node writes this slot.
   */
  async run(chain: Id<"org">, jobs: readonly Job[]): Promise<readonly JobResult[]> {
    const began = performance.now();
    let results: readonly JobResult[] = [];
    let syncMs = 0;
    let ok = false;
    try {
      results = await this.#sessions.use(async (session) => {
        const { answers, ms } = await this.#persist(session, chain, jobs);
        syncMs = ms;
        return answers;
      });
      ok = true;
      return results;
    } finally {
      const events = results.filter((one) => "committed" in one && one.committed.seq > 0).length;
      this.#watch({ jobs: jobs.length, events, ok, ms: performance.now() - began, syncMs });
    }
  }

  /** Until it is through: once for all jobs, then with care; again where others won a race. */
  async #persist(
    session: Session,
    chain: Id<"org">,
    jobs: readonly Job[],
  ): Promise<{ answers: readonly JobResult[]; ms: number }> {
    let isCareful = false;
    for (let tries = 1; ; tries += 1) {
      try {
        const open = await this.#open(session, chain, jobs);
        const answers = isCareful ? await this.#withCare(session, open, jobs) : await this.#atOnce(session, open, jobs);
        if (answers === null) {
          await session.rollback();
          isCareful = true;
          continue;
        }
        const ms = await this.#commit(session);
        this.#clock.notBefore(open.at.getTime());
        return { answers, ms };
      } catch (error) {
        const isOver =
          isVaultError(error, "outcome_unknown") || (isLost(causeOf(error)) && !(error instanceof SlotTaken));
        if (isOver) throw error;
        await session.rollback();
        if (!isRace(error)) throw error;
        if (tries >= MOST_TRIES) throw new VaultError("overloaded", undefined, { detail: { retryAfterSeconds: 1 } });
      }
    }
  }

  /** Begins, takes the locks, and finds where the chain ends and what time it is there. */
  async #open(session: Session, chain: Id<"org">, jobs: readonly Job[]): Promise<Chain> {
    const slot = this.#slot();
    const org = idToBytes(chain);
    const begun = session.begin(chain, "READ WRITE");
    const locks = locksOf(jobs).map(([key, how]) => session.ask(`SELECT ${how}($1)`, [key]));
    const asked = [
      session.ask(HEAD, [org, slot]),
      session.ask(NEWEST, [org]),
      session.ask(HELD, [slot, this.#holder]),
    ] as const;
    const [head, newest, held] = await together([...asked, begun, ...locks] as [
      Promise<Answer>,
      Promise<Answer>,
      Promise<Answer>,
      Promise<unknown>,
    ]);
    // A node that slept past its lease hears of it here, and not only when both write the same sequence.
    if (held.rows.length === 0) throw new SlotTaken();
    const last = newest.rows[0];
    const lastTime = last === undefined ? 0 : Number(last.time);
    // What another node's event tells of came before: by time, since between chains nothing else says so.
    if (last !== undefined) this.#clock.notBefore(Number(last.slot) === slot ? lastTime : lastTime + 1);
    const [row] = head.rows;
    return {
      org: chain,
      slot,
      head:
        row === undefined ? { slot, seq: 0, hash: GENESIS } : { slot, seq: Number(row.seq), hash: row.hash as Buffer },
      at: this.#clock.now(),
    };
  }

  /** Everything on the way at once. `null` where a job could not be done, which undoes all. */
  async #atOnce(session: Session, chain: Chain, jobs: readonly Job[]): Promise<readonly JobResult[] | null> {
    let { head } = chain;
    const asked: Promise<unknown>[] = [];
    const results: JobResult[] = [];
    for (const job of jobs) {
      const events = this.#eventsOf(job, chain, head);
      if (events instanceof VaultError) {
        results.push({ error: events });
        continue;
      }
      asked.push(...ask(session, job, chain, events));
      head = events.at(-1)?.head ?? head;
      results.push({ committed: { seq: events[0]?.head.seq ?? 0, at: chain.at } });
    }
    try {
      await together(asked);
      return results;
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      return null;
    }
  }

  /** A savepoint for each job, so that one that cannot be done is undone alone. */
  async #withCare(session: Session, chain: Chain, jobs: readonly Job[]): Promise<readonly JobResult[]> {
    let { head } = chain;
    const results: JobResult[] = [];
    for (const job of jobs) {
      const events = this.#eventsOf(job, chain, head);
      if (events instanceof VaultError) {
        results.push({ error: events });
        continue;
      }
      try {
        await together([session.tell("SAVEPOINT job"), ...ask(session, job, chain, events)]);
        await session.tell("RELEASE job");
        head = events.at(-1)?.head ?? head;
        results.push({ committed: { seq: events[0]?.head.seq ?? 0, at: chain.at } });
      } catch (error) {
        if (!isOwnFault(error)) throw error;
        await session.undo("job");
        results.push({ error: isVaultError(error) ? error : new VaultError("internal", undefined, { cause: error }) });
      }
    }
    return results;
  }

  /** @returns how long the server took, in ms. */
  async #commit(session: Session): Promise<number> {
    const began = performance.now();
    const isConfirmed = await session.commit().catch((error: unknown) => {
      // An answer that it cannot be done says that it was not. No answer says nothing.
      if (isAnswer(error) && !isLost(error)) throw error;
      throw new VaultError("outcome_unknown", undefined, { cause: error });
    });
    if (!isConfirmed) throw new VaultError("outcome_unknown");
    return performance.now() - began;
  }

  /** What the job's events are, at this place of the chain; an error where one cannot be made. */
  #eventsOf(job: Job, chain: Chain, before: ChainHead): readonly Event[] | VaultError {
    let head = before;
    try {
      return job.events.map((event) => {
        if (event.chain !== chain.org) throw new TypeError("the events of a job go to one chain");
        const row = this.#scribe.write(event.entry, head, chain.at);
        const raw = encodeRow(TABLES.auditEvents.columns, row);
        const names = ["org_id", ...Object.keys(raw).map(snake)];
        const places = names.map((_, at) => `$${String(at + 1)}`);
        head = { slot: head.slot, seq: row.seq, hash: row.hash };
        return {
          sql: `INSERT INTO audit_events (${names.join(", ")}) VALUES (${places.join(", ")})`,
          values: [idToBytes(chain.org), ...Object.values(raw)],
          head,
        };
      });
    } catch (error) {
      return isVaultError(error) ? error : new VaultError("internal", undefined, { cause: error });
    }
  }
}

interface Event {
  readonly sql: string;
  readonly values: Parameters<Session["ask"]>[1];
  /** Where the chain ends with it. */
  readonly head: ChainHead;
}

/** All that a job does, on the way at once. */
function ask(session: Session, job: Job, chain: Chain, events: readonly Event[]): Promise<unknown>[] {
  return [
    session.enter(job.org),
    ...job.statements.map((statement) => step(session, statement)),
    ...(events.length === 0 ? [] : [session.enter(chain.org)]),
    ...events.map((event) => append(session, event)),
  ];
}

async function append(session: Session, { sql, values }: Event): Promise<void> {
  try {
    await session.ask(sql, values);
  } catch (error) {
    const { constraint } = error as { constraint?: string };
    if (codeOf(error) === "23505" && constraint === EVENTS_KEY) throw new SlotTaken();
    throw error;
  }
}

async function step(session: Session, { sql, values, kind, rows, label, otherwise }: Statement): Promise<void> {
  let met: number;
  try {
    const answer = await session.ask(sql, values);
    met = kind === "count" ? Number(answer.rows[0]?.count) : answer.changed;
  } catch (error) {
    if (TAKEN_OR_GONE.has(codeOf(error))) throw new MissedExpectation(label, otherwise);
    throw error;
  }
  if (rows >= 0 && met !== rows) throw new MissedExpectation(label, otherwise);
}

/** The name or key is taken, or what it points to is gone: answers, not faults. */
const TAKEN_OR_GONE: ReadonlySet<string> = new Set(["23505", "23503"]);

/**
 * Whether the job itself is at fault, so that it fails alone: an expectation missed, or a value or statement that nothing could have written (classes 22, 23, 42 and 54, but for a right that is missing).
 */
function isOwnFault(error: unknown): boolean {
  if (error instanceof MissedExpectation) return true;
  if (error instanceof SlotTaken || isLost(error)) return false;
  return /^(22|23|42(?!501)|54)/.test(codeOf(error));
}

/** The lock of each org among the jobs, the stricter of what they ask for, always in the same order. */
function locksOf(jobs: readonly Job[]): (readonly [key: string, how: string])[] {
  const holds = new Map<string, Hold>();
  for (const { org, hold } of jobs) {
    const key = idToBytes(org).readBigInt64BE(8).toString();
    if (hold === "alone" || (hold === "beside" && !holds.has(key))) holds.set(key, hold);
  }
  return [...holds]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, hold]) => [key, hold === "alone" ? "pg_advisory_xact_lock" : "pg_advisory_xact_lock_shared"]);
}

function causeOf(error: unknown): unknown {
  return isVaultError(error) ? error.cause : error;
}
