import { INSTANCE, VaultError, isVaultError } from "#base";
import type { Id } from "#base";
import type { Compiled } from "../compile.ts";
import type { Place } from "../transfer/place.ts";
import type { PostgresAddress } from "./address.ts";
import { LOCKS } from "./locks.ts";
import { migrateDatabase, prepareDatabase } from "./prepare.ts";
import { reasonOf } from "./reason.ts";
import { together } from "./session.ts";
import type { Answer, Session } from "./session.ts";
import { Reach } from "./reach.ts";
import { Sessions } from "./sessions.ts";

const LEASE = "30 seconds";

/**
 * A database for a copy, as the vault's own role. Other copies are kept away by a lock, and a vault that runs is noticed by
 * its lease. The owner, where given, makes the schema of a target that has none.
 *
 * @throws {VaultError} `in_use`, `migration_needed`, `schema_unknown`, `role_unsafe`, `target_not_empty`, `store_unavailable`.
 */
export async function openPostgresPlace(
  { address, owner }: { readonly address: PostgresAddress; readonly owner: PostgresAddress | null },
  role: "source" | "target",
): Promise<Place> {
  try {
    await prepareDatabase(address, null);
  } catch (error) {
    if (role === "source" || owner === null || !isVaultError(error, "migration_needed")) throw error;
    await checkUnused(owner);
    await migrateDatabase(owner);
    await prepareDatabase(address, null);
  }
  const sessions = new Sessions(address, 2, new Reach());
  try {
    return await PostgresPlace.open(sessions, role);
  } catch (error) {
    await sessions.close();
    throw isVaultError(error) ? error : failing(role, "used", error);
  }
}

/** A database with a vault in it is not brought up to date because somebody named it as a target. */
async function checkUnused(owner: PostgresAddress): Promise<void> {
  const sessions = new Sessions(owner, 1, new Reach());
  try {
    const rows = await sessions.use(async (session) => {
      const [made] = (await session.ask("SELECT to_regclass('public.meta') IS NOT NULL AS made", [])).rows;
      if ((made?.made as unknown) !== true) return [];
      return (await session.ask("SELECT FROM public.meta LIMIT 1", [])).rows;
    });
    if (rows.length > 0)
      throw new VaultError("target_not_empty", "The target holds another vault, of an older version.");
  } catch (error) {
    throw isVaultError(error) ? error : failing("target", "used", error);
  } finally {
    await sessions.close();
  }
}

class PostgresPlace implements Place {
  readonly kind = "postgres";
  readonly #sessions: Sessions;
  readonly #role: "source" | "target";
  readonly #lock: Lock;
  /** By the server's clock, epoch ms. */
  readonly #openedAt: number;
  #asked = false;

  private constructor(sessions: Sessions, role: "source" | "target", lock: Lock, openedAt: number) {
    this.#sessions = sessions;
    this.#role = role;
    this.#lock = lock;
    this.#openedAt = openedAt;
  }

  static async open(sessions: Sessions, role: "source" | "target"): Promise<Place> {
    const lock = await takeLock(sessions, role);
    try {
      const { rows } = await sessions.use((session) =>
        session.ask("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now", []),
      );
      return new PostgresPlace(sessions, role, lock, Number(rows[0]?.now));
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  async rows(org: Id<"org">, { sql, values }: Compiled): Promise<Answer["rows"]> {
    try {
      return await this.#sessions.use(async (session) => {
        const [, { rows }] = await together([
          session.begin(org, "READ ONLY"),
          session.ask(sql, values),
          session.tell("COMMIT"),
        ]);
        return rows;
      });
    } catch (error) {
      throw isVaultError(error) ? error : failing(this.#role, "read", error);
    }
  }

  async write(org: Id<"org">, statements: readonly Compiled[]): Promise<readonly number[]> {
    try {
      return await this.#sessions.use((session) => this.#writeAll(session, org, statements));
    } catch (error) {
      throw isVaultError(error) ? error : failing(this.#role, "written", error);
    }
  }

  async slots(): Promise<readonly number[]> {
    const rows = await this.rows(INSTANCE, { sql: "SELECT slot FROM nodes ORDER BY slot", values: [] });
    return rows.map(({ slot }) => Number(slot));
  }

  async addSlots(slots: readonly number[], newest: number): Promise<void> {
    await this.write(
      INSTANCE,
      slots.map((slot) => ({
        sql: `INSERT INTO nodes (slot, holder, taken_at, seen_at, clock) VALUES ($1, NULL, to_timestamp(0), to_timestamp(0), $2)
              ON CONFLICT (slot) DO UPDATE SET clock = greatest(nodes.clock, excluded.clock)`,
        values: [slot, newest],
      })),
    );
  }

  async checkAlone(): Promise<void> {
    const since = this.#asked ? "OR seen_at > to_timestamp($1::bigint / 1000.0)" : "OR $1::bigint < 0";
    this.#asked = true;
    await this.#lock.check();
    const rows = await this.rows(INSTANCE, {
      sql: `SELECT holder FROM nodes WHERE (holder IS NOT NULL AND seen_at > now() - interval '${LEASE}') ${since} ORDER BY slot`,
      values: [this.#openedAt],
    });
    const [first] = rows;
    if (first === undefined) return;
    const node = first.holder === null ? "A vault has run" : `The vault ${String(first.holder)} runs`;
    throw new VaultError("in_use", `${node} on the ${this.#role}.`);
  }

  /** The row policies show a role the rows of one org at a time: none of an org that it does not know. */
  strays(): Promise<number> {
    return Promise.resolve(0);
  }

  async close(): Promise<void> {
    await this.#lock.release();
    await this.#sessions.close();
  }

  async #writeAll(session: Session, org: Id<"org">, statements: readonly Compiled[]): Promise<readonly number[]> {
    await session.begin(org, "READ WRITE");
    try {
      const answers = await together(statements.map(({ sql, values }) => session.ask(sql, values)));
      if (!(await session.commit()))
        throw new VaultError("store_unavailable", `The ${this.#role} has not confirmed what was written.`);
      return answers.map(({ changed }) => changed);
    } catch (error) {
      await session.rollback().catch(() => undefined);
      throw error;
    }
  }
}

/** Held by a connection of its own, and so gone with the process. */
interface Lock {
  /** Throws where the connection, and the lock with it, is gone. */
  check(): Promise<void>;
  release(): Promise<void>;
}

async function takeLock(sessions: Sessions, role: string): Promise<Lock> {
  let letGo = (): void => undefined;
  const over = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  let work = Promise.resolve();
  const session = await new Promise<Session>((resolve, reject) => {
    work = sessions.use(async (one) => {
      const { rows } = await one.ask("SELECT pg_try_advisory_lock($1) AS got", [LOCKS.move]);
      if ((rows[0]?.got as unknown) !== true) throw new VaultError("in_use", `Another copy uses the ${role}.`);
      resolve(one);
      await over;
      await one.ask("SELECT pg_advisory_unlock($1)", [LOCKS.move]);
    });
    work.catch(reject);
  });
  return {
    check: () => session.tell("SELECT 1"),
    async release() {
      letGo();
      await work.catch(() => undefined);
    },
  };
}

function failing(role: string, what: string, error: unknown): VaultError {
  return new VaultError("store_unavailable", `The ${role} cannot be ${what}: ${reasonOf(error)}.`, { cause: error });
}
