import { setTimeout as pause } from "node:timers/promises";
import { HOUR, INSTANCE, SECOND } from "#base";
import type { Id } from "#base";
import type { Facts } from "./store.ts";
import { TABLES } from "./tables.ts";
import type { TableName } from "./tables.ts";

const EVERY_MS = HOUR;
const FIRST_AFTER_MS = 30 * SECOND;
/** Rows that are looked at in one go, which is a commit of its own; and the pause until the next, for others' commits. */
const CHUNK = 500;
const BETWEEN_MS = 50;

const PRUNED = (Object.keys(TABLES) as TableName[]).filter((table) => TABLES[table].lasts !== null);

/**
 * Takes away rows whose time is over (`lasts` in tables.ts), every hour, org by org, some hundred rows at a time: a row goes
 * an hour after its time at the latest, while the vault runs. Nobody waits for it; a fault ends the pass, and the next begins
 * anew.
 */
export class Pruning {
  readonly #facts: Facts;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(facts: Facts) {
    this.#facts = facts;
  }

  start(onFault: (error: unknown) => void): void {
    this.#running = this.#work(onFault);
  }

  /** One pass over all orgs. @returns how many goes it took. */
  async pass(): Promise<number> {
    const orgs = await this.#facts.of(INSTANCE).list("orgs");
    let goes = 0;
    for (const org of [INSTANCE, ...orgs.map(({ id }) => id)])
      for (const table of PRUNED) goes += await this.#table(org, table);
    return goes;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #table(org: Id<"org">, table: TableName): Promise<number> {
    let goes = 0;
    let after: readonly unknown[] | null = null;
    do {
      if (goes > 0) await this.#pause(BETWEEN_MS);
      after = await this.#facts.prune(org, table, after, CHUNK);
      goes += 1;
    } while (after !== null && !this.#stopping.signal.aborted);
    return goes;
  }

  async #work(onFault: (error: unknown) => void): Promise<void> {
    await this.#pause(FIRST_AFTER_MS);
    while (!this.#stopping.signal.aborted) {
      await this.pass().catch(onFault);
      await this.#pause(EVERY_MS);
    }
  }

  /** Ends early when it is to stop. */
  async #pause(ms: number): Promise<void> {
    await pause(ms, undefined, { ref: false, signal: this.#stopping.signal }).catch(() => undefined);
  }
}
