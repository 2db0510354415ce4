import { SECOND, VaultError, isVaultError } from "#base";
import type { NodeSeen } from "../engine.ts";
import type { EventClock } from "../event-clock.ts";
import { LOCKS } from "./locks.ts";
import { reasonOf } from "./reason.ts";
import { together } from "./session.ts";
import type { Sessions } from "./sessions.ts";

const BEAT_MS = 5 * SECOND;
/** After this time without a beat, another node may take the slot. */
const LEASE = "30 seconds";
const SERVER_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/** The slots, and who holds them: rows are {@link NodeRow}. */
export const NODES = `
  SELECT slot, holder IS NOT NULL AND seen_at > now() - interval '${LEASE}' AS held, taken_at, seen_at
  FROM nodes ORDER BY slot`;

export interface NodeRow {
  readonly slot: number;
  readonly held: boolean;
  readonly taken_at: Date;
  readonly seen_at: Date;
}

export function readNode({ slot, held, taken_at: since, seen_at: seenAt }: NodeRow): NodeSeen {
  return { slot, isHeld: held, since, seenAt };
}

/**
 * The writer slot of this node, leased in the table `nodes`: its number names the chains that this node writes. A slot outlives
 * its node, and the next one goes on in its chains, so there are no more of them than nodes ever ran at one time.
 *
 * That two nodes write one chain is prevented by the key of the events, not by the lease: a node that slept past its lease
 * meets its successor's event, and takes another slot.
 */
export class Slot {
  readonly #sessions: Sessions;
  readonly #clock: EventClock;
  readonly #holder: string;
  readonly #mostAheadMs: number;
  #number = -1;
  #aheadMs = 0;
  #timer: NodeJS.Timeout | null = null;
  #beating: Promise<void> | null = null;

  /** A clock that is further ahead of the server's than `mostAheadMs` is told to the other nodes as if it were not. */
  constructor(sessions: Sessions, clock: EventClock, holder: string, mostAheadMs = 2 ** 52) {
    this.#sessions = sessions;
    this.#clock = clock;
    this.#holder = holder;
    this.#mostAheadMs = mostAheadMs;
  }

  get number(): number {
    return this.#number;
  }

  /** How far this machine's clock was ahead of the database server's, at the last beat; behind it, where negative. */
  get aheadMs(): number {
    return this.#aheadMs;
  }

  /** Takes the lowest slot that nobody holds. What any node has written is in the past from here on. */
  async take(): Promise<void> {
    await this.#transaction(async (ask) => {
      await ask("SELECT pg_advisory_xact_lock($1)", [LOCKS.slot]);
      const free = await ask(
        `SELECT slot FROM nodes WHERE holder IS NULL OR seen_at < now() - interval '${LEASE}' ORDER BY slot LIMIT 1`,
      );
      const next = free[0] ?? (await ask("SELECT coalesce(max(slot) + 1, 0) AS slot FROM nodes"))[0];
      if (next === undefined) throw new VaultError("internal");
      const asked = this.#clock.machine().getTime();
      const [row] = await ask(
        `INSERT INTO nodes (slot, holder, taken_at, seen_at, clock) VALUES ($1, $2, now(), now(), $3)
         ON CONFLICT (slot) DO UPDATE SET holder = $2, taken_at = now(), seen_at = now()
         RETURNING (SELECT coalesce(max(clock), 0) FROM nodes) AS clock, ${SERVER_MS} AS server`,
        [Number(next.slot), this.#holder, 0],
      );
      this.#compare(asked, Number(row?.server));
      this.#number = Number(next.slot);
      this.#clock.notBefore(Number(row?.clock ?? 0));
    });
  }

  /** Says that this node lives and what its time is, and learns the others'. Takes another slot where this one was lost. */
  beat(): Promise<void> {
    this.#beating ??= this.#beat().finally(() => (this.#beating = null));
    return this.#beating;
  }

  start(heard: (error: unknown) => void): void {
    this.#timer = setInterval(() => {
      this.beat().then(
        () => {
          heard(null);
        },
        (error: unknown) => {
          heard(error);
        },
      );
    }, BEAT_MS);
    this.#timer.unref();
  }

  /** Every slot that was ever leased. */
  async all(): Promise<readonly number[]> {
    const rows = await this.#transaction((ask) => ask("SELECT slot FROM nodes ORDER BY slot"));
    return rows.map(({ slot }) => Number(slot));
  }

  /** The same, with who holds them. */
  async nodes(): Promise<readonly NodeSeen[]> {
    const rows = await this.#transaction((ask) => ask(NODES));
    return (rows as unknown as readonly NodeRow[]).map(readNode);
  }

  /** Gives the slot back, for the next node. */
  async release(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#beating?.catch(() => undefined);
    await this.#transaction((ask) =>
      ask(`UPDATE nodes SET holder = NULL, clock = greatest(clock, least($2, ${SERVER_MS} + $3)) WHERE holder = $1`, [
        this.#holder,
        this.#clock.now().getTime(),
        this.#mostAheadMs,
      ]),
    );
  }

  async #beat(): Promise<void> {
    const asked = this.#clock.machine().getTime();
    const [row] = await this.#transaction((ask) =>
      ask(
        `UPDATE nodes SET seen_at = now(), clock = greatest(clock, least($3, ${SERVER_MS} + $4)) WHERE slot = $1 AND holder = $2
         RETURNING (SELECT max(clock) FROM nodes) AS clock, ${SERVER_MS} AS server`,
        [this.#number, this.#holder, this.#clock.now().getTime(), this.#mostAheadMs],
      ),
    );
    if (row === undefined) return this.take();
    this.#compare(asked, Number(row.server));
    this.#clock.notBefore(Number(row.clock));
  }

  /** The server answered at about the middle between asking and now. */
  #compare(asked: number, server: number): void {
    this.#aheadMs = (asked + this.#clock.machine().getTime()) / 2 - server;
  }

  /** Outside any org: the list of nodes is the instance's own. */
  async #transaction<T>(
    work: (
      ask: (
        sql: string,
        values?: readonly (string | number)[],
      ) => Promise<readonly Readonly<Record<string, unknown>>[]>,
    ) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.#sessions.use(async (session) => {
        await session.begin(null, "READ WRITE");
        try {
          const result = await work(async (sql, values = []) => (await session.ask(sql, values)).rows);
          await together([session.commit()]);
          return result;
        } catch (error) {
          await session.rollback().catch(() => undefined);
          throw error;
        }
      });
    } catch (error) {
      if (isVaultError(error)) throw error;
      throw new VaultError("store_unavailable", `The database cannot be written: ${reasonOf(error)}.`, {
        cause: error,
      });
    }
  }
}
