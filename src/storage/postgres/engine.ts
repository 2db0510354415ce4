import { setTimeout as pause } from "node:timers/promises";
import type { Clock, Id } from "#base";
import { INSTANCE, SECOND, VaultError, formatSpan, isVaultError } from "#base";
import { Backlog, QUEUE_LIMITS } from "../backlog.ts";
import type { QueueLimits, Waiting } from "../backlog.ts";
import type { Raw } from "../column.ts";
import type { CommitWatch, Committed, ConnectionUse, Engine, EngineHealth, Job, NodeSeen, Scribe } from "../engine.ts";
import { EventClock } from "../event-clock.ts";
import type { PostgresAddress } from "./address.ts";
import { Committer, SlotTaken } from "./committer.ts";
import { prepareDatabase } from "./prepare.ts";
import { Reach } from "./reach.ts";
import { isLost, reasonOf } from "./reason.ts";
import { together } from "./session.ts";
import { Sessions } from "./sessions.ts";
import { Slot } from "./slot.ts";

const MOST_IN_BATCH = 128;
const PROBE_EVERY_MS = SECOND;
/** A health check that waits longer than this says what was known before. */
const PROBE_MS = 2 * SECOND;
/** A job whose turn has not come by then is turned away: whoever sent it would soon wait no longer. */
const LONGEST_WAIT_MS = 5 * SECOND;

export interface PostgresOptions {
  /** As a role that owns nothing. */
  readonly address: PostgresAddress;
  /** As the owner, for migrations; without it a database that needs one is refused. */
  readonly owner: PostgresAddress | null;
  /** Names this process among the nodes: no two have the same. */
  readonly node: string;
  readonly scribe: Scribe;
  readonly clock: Clock;
  /** Connections at most: a third of them commits, the others read. */
  readonly connections?: number;
  readonly queue?: QueueLimits;
  readonly watch?: CommitWatch;
  /**
   * How far the clock may be from the server's, in ms: it is refused at the start where it is further, because the time of
   * one node's events is the earliest that any node's can have. Without it, it is not asked about.
   */
  readonly maxSkewMs?: number;
  /** Jobs that share a transaction at most. */
  readonly batch?: number;
}

/**
 * PostgreSQL, for several nodes on one database.
 *
 * @throws {VaultError} `store_unavailable`, `schema_unknown`, `migration_needed`, `role_unsafe`.
 */
export async function openPostgres(options: PostgresOptions): Promise<Engine> {
  const connections = options.connections ?? 12;
  const writers = Math.max(1, Math.floor(connections / 3));
  await prepareDatabase(options.address, options.owner);
  const clock = new EventClock(options.clock);
  const reach = new Reach();
  const parts = {
    reading: new Sessions(options.address, Math.max(1, connections - writers), reach),
    writing: new Sessions(options.address, writers, reach),
  };
  const { maxSkewMs } = options;
  const slot = new Slot(parts.writing, clock, options.node, maxSkewMs);
  try {
    await slot.take();
    if (maxSkewMs !== undefined && Math.abs(slot.aheadMs) > maxSkewMs) {
      await slot.release();
      throw new VaultError(
        "store_unavailable",
        `This machine's clock is ${formatSpan(slot.aheadMs)} ${slot.aheadMs > 0 ? "ahead of" : "behind"} the database server's, and would set the time of all nodes. Set it right`,
      );
    }
    await slot.beat();
    return new PostgresEngine({ ...parts, slot, clock, writers, options });
  } catch (error) {
    await Promise.all([parts.reading.close(), parts.writing.close()]);
    throw error;
  }
}

function unreadable(cause: unknown): never {
  throw isVaultError(cause) ? cause : new VaultError("store_unavailable", undefined, { cause });
}

/** What waits for one chain: its jobs commit one batch after the other, because each event names the one before. */
interface Lane {
  readonly chain: Id<"org">;
  waiting: Waiting[];
}

class PostgresEngine implements Engine {
  readonly kind = "postgres";
  readonly #reading: Sessions;
  readonly #writing: Sessions;
  readonly #slot: Slot;
  readonly #clock: EventClock;
  readonly #committer: Committer;
  readonly #backlog: Backlog;
  readonly #batch: number;
  readonly #writers: number;
  readonly #lanes = new Map<Id<"org">, Lane>();
  /** Lanes with something to do that nobody does yet, who came first first. */
  readonly #ready: Lane[] = [];
  #atWork = 0;
  #fault: string | null = null;
  #probedAt = -Infinity;
  #idle: (() => void)[] = [];

  constructor(parts: {
    reading: Sessions;
    writing: Sessions;
    slot: Slot;
    clock: EventClock;
    writers: number;
    options: PostgresOptions;
  }) {
    const { options } = parts;
    this.#reading = parts.reading;
    this.#writing = parts.writing;
    this.#slot = parts.slot;
    this.#clock = parts.clock;
    this.#writers = parts.writers;
    this.#batch = options.batch ?? MOST_IN_BATCH;
    this.#backlog = new Backlog(options.queue ?? QUEUE_LIMITS);
    this.#committer = new Committer({
      sessions: parts.writing,
      scribe: options.scribe,
      clock: parts.clock,
      slot: () => parts.slot.number,
      holder: options.node,
      watch: options.watch,
    });
    this.#slot.start((error) => {
      this.#heard(error);
    });
  }

  get slot(): number {
    return this.#slot.number;
  }

  slots(): Promise<readonly number[]> {
    return this.#slot.all();
  }

  nodes(): Promise<readonly NodeSeen[]> {
    return this.#slot.nodes();
  }

  now(): Date {
    return this.#clock.now();
  }

  async rows(org: Id<"org">, sql: string, values: readonly Raw[]): Promise<readonly Readonly<Record<string, Raw>>[]> {
    const read = (): Promise<readonly Readonly<Record<string, Raw>>[]> =>
      this.#reading.use(async (session) => {
        const [, { rows }] = await together([
          session.begin(org, "READ ONLY"),
          session.ask(sql, values),
          session.tell("COMMIT"),
        ]);
        return rows;
      });
    try {
      return await read();
    } catch (error) {
      if (isVaultError(error)) throw error;
      // The connection may have broken while nobody used it. To read once more does no harm.
      return isLost(error) ? await read().catch(unreadable) : unreadable(error);
    }
  }

  commit(job: Job): Promise<Committed> {
    return this.#backlog.admit(job, (waiting) => {
      const chain = job.events[0]?.chain ?? job.org;
      const lane = this.#lanes.get(chain);
      if (lane !== undefined) {
        lane.waiting.push(waiting);
        return;
      }
      const made: Lane = { chain, waiting: [waiting] };
      this.#lanes.set(chain, made);
      this.#ready.push(made);
      // Whoever comes in the same turn of the event loop shares the transaction.
      setImmediate(() => {
        this.#next();
      });
    });
  }

  async health(): Promise<EngineHealth> {
    if (this.#fault !== null) await this.#probe();
    return {
      writable: this.#fault === null,
      reason: this.#fault,
      queued: this.#backlog.jobs,
      queuedBytes: this.#backlog.bytes,
      clockBehindMs: this.#clock.behindMs,
      clockAheadMs: this.#slot.aheadMs,
      connections: useOf(this.#reading, this.#writing),
    };
  }

  async bytes(): Promise<number> {
    const [row] = await this.rows(INSTANCE, "SELECT pg_database_size(current_database()) AS bytes", []);
    return Number(row?.bytes);
  }

  async close(): Promise<void> {
    this.#backlog.close();
    if (this.#lanes.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    // The lease ends by itself where it cannot be given back.
    await this.#slot.release().catch(() => undefined);
    await Promise.all([this.#reading.close(), this.#writing.close()]);
  }

  /** Sets as many lanes to work as there are connections for. */
  #next(): void {
    while (this.#atWork < this.#writers) {
      const lane = this.#ready.shift();
      if (lane === undefined) return;
      this.#atWork += 1;
      void this.#work(lane).then(() => {
        this.#atWork -= 1;
        if (lane.waiting.length > 0) this.#ready.push(lane);
        else this.#lanes.delete(lane.chain);
        if (this.#lanes.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
        this.#next();
      });
    }
  }

  /** One batch of a lane. Never throws: who waits hears of it. */
  async #work(lane: Lane): Promise<void> {
    const batch = this.#take(lane);
    if (batch.length === 0) return;
    try {
      const results = await this.#run(
        lane.chain,
        batch.map(({ job }) => job),
      );
      this.#fault = null;
      for (const [at, one] of batch.entries()) {
        const result = results[at];
        if (result === undefined) one.reject(new VaultError("internal"));
        else if ("error" in result) one.reject(result.error);
        else one.resolve(result.committed);
      }
    } catch (error) {
      const known = isVaultError(error) ? error : new VaultError("store_unavailable", undefined, { cause: error });
      if (known.code !== "overloaded") this.#heard(known.cause ?? known);
      for (const one of batch) one.reject(known);
    }
  }

  /** Who is next; those whose turn comes too late are told. */
  #take(lane: Lane): readonly Waiting[] {
    const before = performance.now() - LONGEST_WAIT_MS;
    const late = lane.waiting.filter(({ since }) => since < before);
    if (late.length > 0) lane.waiting = lane.waiting.filter(({ since }) => since >= before);
    const batch = lane.waiting.splice(0, this.#batch);
    this.#backlog.release([...late, ...batch]);
    for (const one of late) one.reject(new VaultError("overloaded", undefined, { detail: { retryAfterSeconds: 1 } }));
    return batch;
  }

  /** Once more where nothing was done and the reason is gone: a connection that had broken before, a slot that another took. */
  async #run(chain: Id<"org">, jobs: readonly Job[]): ReturnType<Committer["run"]> {
    try {
      return await this.#committer.run(chain, jobs);
    } catch (error) {
      if (error instanceof SlotTaken) await this.#slot.beat();
      else if (isVaultError(error) || !isLost(error)) throw error;
      return await this.#committer.run(chain, jobs);
    }
  }

  /** How the last attempt to write ended. */
  #heard(error: unknown): void {
    const cause = isVaultError(error) && error.cause !== undefined ? error.cause : error;
    this.#fault = error === null ? null : reasonOf(cause);
  }

  /** One real write, to see whether what failed works again: at most one a second, whoever asks. */
  async #probe(): Promise<void> {
    const now = performance.now();
    if (now - this.#probedAt < PROBE_EVERY_MS) return;
    this.#probedAt = now;
    const beat = this.#slot.beat().then(
      () => {
        this.#heard(null);
      },
      (error: unknown) => {
        this.#heard(error);
      },
    );
    await Promise.race([beat, pause(PROBE_MS, undefined, { ref: false })]);
  }
}

function useOf(...all: readonly Sessions[]): ConnectionUse {
  const sum = (part: keyof ConnectionUse): number => all.reduce((total, { load }) => total + load[part], 0);
  return { inUse: sum("inUse"), idle: sum("idle"), waiting: sum("waiting") };
}
