import type { PoolClient } from "pg";
import type { Id } from "#base";
import { idToBytes } from "#base";
import type { Raw } from "../column.ts";
import { statementName } from "./names.ts";

/** What the server may take for one statement, for a lock, and between two statements; in ms. */
const STATEMENT_MS = 10_000;
const LOCK_MS = 5_000;
const IDLE_MS = 15_000;

/**
 * Set for each transaction and not for the connection, so that it holds behind a pooler too. Names are of the vault's own
 * schema, whatever the role's or the database's own setting says.
 */
const LIMITS =
  `SET LOCAL statement_timeout = ${String(STATEMENT_MS)}; SET LOCAL lock_timeout = ${String(LOCK_MS)}; ` +
  `SET LOCAL idle_in_transaction_session_timeout = ${String(IDLE_MS)}; ` +
  "SET LOCAL search_path = public, pg_temp; ";

export interface Answer {
  readonly rows: readonly Readonly<Record<string, Raw>>[];
  /** Rows changed, for what changes rows. */
  readonly changed: number;
}

/**
 * One connection while a transaction has it. What is asked is sent at once and answered in order, so that whatever does not
 * depend on an answer costs one way to the server and back. Every promise it gives must be awaited, also after a failure.
 */
export class Session {
  readonly #client: PoolClient;
  #org: Id<"org"> | null = null;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  /** Begins a transaction that sees the rows of one org, or of none. */
  begin(org: Id<"org"> | null, mode: "READ ONLY" | "READ WRITE"): Promise<unknown> {
    this.#org = org;
    return this.#client.query(`BEGIN ${mode}; ${LIMITS}${org === null ? "" : settingOf(org)}`);
  }

  /** From here on, the transaction sees another org's rows. */
  async enter(org: Id<"org">): Promise<void> {
    if (this.#org === org) return;
    const setting = settingOf(org);
    this.#org = org;
    await this.#client.query(setting);
  }

  async ask(sql: string, values: readonly Raw[]): Promise<Answer> {
    const name = statementName(sql);
    const { rows, rowCount } = await this.#client.query<Record<string, Raw>>({
      text: sql,
      values: [...values],
      ...(name === undefined ? {} : { name }),
    });
    return { rows, changed: rowCount ?? 0 };
  }

  /** A statement without parameters, of this program's own words. */
  async tell(sql: string): Promise<void> {
    await this.#client.query(sql);
  }

  /**
   * @returns whether the server has confirmed it as the transaction asked: `false` when it rolled back instead, or says that
   * its standby has not.
   */
  async commit(): Promise<boolean> {
    let warned = false;
    const warning = (): void => {
      warned = true;
    };
    this.#client.on("notice", warning);
    try {
      // A statement that takes too long is cancelled; a commit that waits for its standby would be acknowledged then.
      const [, done] = await together([
        this.#client.query("SET LOCAL statement_timeout = 0"),
        this.#client.query("COMMIT"),
      ]);
      return done.command === "COMMIT" && !warned;
    } finally {
      this.#client.off("notice", warning);
    }
  }

  /** Back to a savepoint, which is gone then. */
  async undo(savepoint: string): Promise<void> {
    this.#org = null;
    await this.#client.query(`ROLLBACK TO ${savepoint}; RELEASE ${savepoint}`);
  }

  async rollback(): Promise<void> {
    await this.#client.query("ROLLBACK");
  }
}

/** All of them, once all are answered; throws what failed first. */
export async function together<const T extends readonly Promise<unknown>[]>(
  asked: T,
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(asked);
  return Promise.all(asked);
}

/** The row policies let a transaction see the rows of this org. Sixteen bytes in hexadecimal: nothing of it can be SQL. */
export function settingOf(org: Id<"org"> | null): string {
  return `SET LOCAL sallyport.org = '${org === null ? "" : idToBytes(org).toString("hex")}'`;
}
