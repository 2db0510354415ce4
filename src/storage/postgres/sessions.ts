import { setTimeout as pause } from "node:timers/promises";
import pg from "pg";
import type { ClientConfig, CustomTypesConfig, PoolClient } from "pg";
import { SECOND, VaultError, isVaultError } from "#base";
import type { ConnectionUse } from "../engine.ts";
import type { PostgresAddress } from "./address.ts";
import type { Reach } from "./reach.ts";
import { isAnswer, isLost } from "./reason.ts";
import { Session } from "./session.ts";

const CONNECT_MS = 5 * SECOND;
/**
 * Longer than the server's own limit for a statement: for a server, or a network, that does not answer at all. A request that meets
 * it, and then looks in vain for another connection, is still answered within half a minute.
 */
const SILENCE_MS = 12 * SECOND;
const IDLE_MS = 30 * SECOND;
/** An operation asks for a connection many times, one after the other: how long it waits for each is what it waits in all, shared out. */
const LONGEST_WAIT_MS = 2 * SECOND;
/** So that connections move when a balancer or a name in front of the server does. */
const LIFETIME_S = 30 * 60;
const KEEP_ALIVE_MS = 10 * SECOND;
/** Who waits for a connection, for each that there is: more than that would only wait until it is too late. */
const MOST_WAITING = 64;

/** bigint: counts, times and sequences of ours are far below 2^53. What is not is left to whoever checks the row. */
const INT8 = 20;

/** Connections to one database, some of them open, of which each transaction has one to itself. */
export class Sessions {
  readonly #pool: pg.Pool;
  readonly #hosts: Hosts;
  readonly #reach: Reach;
  readonly #most: number;
  readonly #madeAt = new WeakMap<pg.ClientBase, number>();

  constructor(address: PostgresAddress, most: number, reach: Reach) {
    this.#hosts = new Hosts(address);
    this.#reach = reach;
    this.#most = most;
    this.#pool = new pg.Pool({
      ...clientConfig(address),
      max: most,
      Client: clientOf(this.#hosts),
      idleTimeoutMillis: IDLE_MS,
      maxLifetimeSeconds: LIFETIME_S,
      allowExitOnIdle: true,
      verify: (client, done) => {
        this.#madeAt.set(client, performance.now());
        this.#hosts.accept(client).then(() => {
          done();
        }, done);
      },
    });
    // A connection that breaks while nobody uses it: the pool has let go of it already.
    this.#pool.on("error", () => undefined);
  }

  get load(): ConnectionUse {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return { inUse: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
  }

  /**
   * Runs `work` on a connection of its own, which goes back afterwards, or is closed where it is of no use any more. `work`
   * leaves no transaction open.
   *
   * @throws {VaultError} `overloaded` where all are busy and enough wait. What `work` throws, and why there is no connection.
   */
  async use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    let spent: unknown = null;
    try {
      return await work(new Session(client));
    } catch (error) {
      spent = error;
      throw error;
    } finally {
      const cause = isVaultError(spent) ? spent.cause : spent;
      if (isSilence(cause)) this.#reach.silent();
      client.release(spent !== null && (!isAnswer(cause) || isLost(cause)));
    }
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #connect(): Promise<PoolClient> {
    if (this.#pool.waitingCount >= this.#most * MOST_WAITING) throw busy();
    return this.#reach.attempt(async () => {
      for (;;) {
        const client = await this.#anyHost();
        if (this.#reach.isTrusted(this.#madeAt.get(client) ?? 0)) return client;
        client.release(true);
      }
    });
  }

  async #anyHost(): Promise<PoolClient> {
    for (let tries = 1; ; tries += 1) {
      const place = this.#hosts.current;
      try {
        return await this.#turn();
      } catch (error) {
        if (isVaultError(error)) throw error;
        this.#hosts.leave(place);
        if (tries >= this.#hosts.count) throw error;
      }
    }
  }

  /** A connection that is free or is made; where all are busy, the next that is given back, if that is soon. */
  async #turn(): Promise<PoolClient> {
    const isMade = this.#pool.totalCount < this.#most;
    const asked = this.#pool.connect();
    if (isMade) return asked;
    const over = new AbortController();
    const late = pause(LONGEST_WAIT_MS, null, { ref: false, signal: over.signal }).catch(() => null);
    const client = await Promise.race([asked, late]).finally(() => {
      over.abort();
    });
    if (client !== null) return client;
    asked.then(
      (unwanted) => {
        unwanted.release();
      },
      () => undefined,
    );
    throw busy();
  }
}

/** The driver's own words for an answer that did not come: it has no code for it. */
function isSilence(error: unknown): boolean {
  return error instanceof Error && error.message === "Query read timeout";
}

function busy(): VaultError {
  return new VaultError("overloaded", undefined, { detail: { retryAfterSeconds: 1 } });
}

/** What every connection to this database begins with, the owner's for a migration as well. */
export function clientConfig(address: PostgresAddress): ClientConfig {
  const [first] = address.hosts;
  return {
    ...(first === undefined ? {} : { host: first.host, port: first.port }),
    database: address.database,
    user: address.user,
    // Else the driver looks for one in the environment and in the home folder.
    password: address.password === null ? noPassword : address.password.reveal(),
    ssl: address.tls ?? false,
    sslnegotiation: "postgres",
    application_name: "sallyport",
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: SILENCE_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    types: { getTypeParser },
  };
}

class NoPasswordError extends Error {
  readonly code = "NO_PASSWORD";
}

/** Asked for only where the server wants one. */
function noPassword(): Promise<string> {
  return Promise.reject(new NoPasswordError());
}

const parserOf = pg.types.getTypeParser as (oid: number, format?: string) => unknown;
const getTypeParser = ((oid: number, format?: string) =>
  oid === INT8 ? readInteger : parserOf(oid, format)) as CustomTypesConfig["getTypeParser"];

function readInteger(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** PostgreSQL's own code for what a standby refuses. */
export class StandbyError extends Error {
  readonly code = "25006";
}

export async function isStandby(client: pg.ClientBase): Promise<boolean> {
  const question = { text: "SELECT pg_is_in_recovery() AS standby", query_timeout: CONNECT_MS };
  const { rows } = await client.query<{ standby: boolean }>(question);
  return rows[0]?.standby === true;
}

/** Several servers of which one takes writes: new connections go to the one that was last found to. */
class Hosts {
  readonly #hosts: PostgresAddress["hosts"];
  #at = 0;

  constructor({ hosts }: PostgresAddress) {
    this.#hosts = hosts;
  }

  get count(): number {
    return this.#hosts.length;
  }

  get current(): PostgresAddress["hosts"][number] | undefined {
    return this.#hosts[this.#at];
  }

  /** The next time another one, unless somebody has found another one meanwhile. */
  leave(host: PostgresAddress["hosts"][number] | undefined): void {
    if (this.current === host) this.#at = (this.#at + 1) % this.#hosts.length;
  }

  /** Refuses a server that takes no writes: a standby, or one that was the primary. */
  async accept(client: pg.ClientBase): Promise<void> {
    if (this.#hosts.length > 1 && (await isStandby(client))) throw new StandbyError();
  }
}

/** A client that goes to whichever server is the current one when it is made. */
function clientOf(hosts: Hosts): new () => pg.Client {
  return class extends pg.Client {
    constructor(config?: ClientConfig) {
      const place = hosts.current;
      // The pool hides the password from whatever copies its options.
      super({ ...config, password: config?.password, ...place, pipeline: true });
      // Whoever uses the connection hears of it by what was asked; without a listener, it would end the process.
      this.on("error", () => {
        hosts.leave(place);
      });
    }
  };
}
