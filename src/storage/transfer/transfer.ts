import { setImmediate as nextTurn } from "node:timers/promises";
import { INSTANCE, VaultError, bytesToId } from "#base";
import type { Id } from "#base";
import type { Raw } from "../column.ts";
import type { Engine } from "../engine.ts";
import { openPostgresPlace } from "../postgres/place.ts";
import { openSqlitePlace } from "../sqlite/place.ts";
import { snake } from "../table.ts";
import { TABLES } from "../tables.ts";
import type { TableName } from "../tables.ts";
import { COPY_MARK, INSTANCE_MARK, readingEngine } from "./place.ts";
import type { Place, StoreAt } from "./place.ts";
import { Text, columnsOf, countRows, forgetRows, insertRows, keyOf, selectRows } from "./sql.ts";
import type { RawRow } from "./sql.ts";

type Field = string | number | Uint8Array | null;

/** How far one step of a copy has come. */
export interface Progress {
  readonly step: "count" | "copy" | "compare";
  /** As the database calls it. */
  readonly table: string;
  readonly done: number;
  readonly of: number;
}

export interface Steps {
  readonly onProgress: (progress: Progress) => void;
  /** Asked between two batches. What was copied until then stays. */
  readonly signal?: AbortSignal | undefined;
}

/** What is the same on both sides, of all orgs together. */
export interface TableCopy {
  readonly table: string;
  readonly rows: number;
  /** Over each row, in the order of orgs and keys. */
  readonly digest: Buffer;
}

/** In foreign-key order, which is the order in which they are declared. */
const NAMES = Object.keys(TABLES) as TableName[];
const OF_ORGS = NAMES.filter((name) => TABLES[name].owner === "org");
const OF_INSTANCE = NAMES.filter((name) => TABLES[name].owner === "directory");

/** Rows that are in memory, and in one transaction, at a time: a value takes up to 64 KiB, a manifest up to 1 MiB. */
const BATCH = 1_000;
const BATCHES: Readonly<Partial<Record<TableName, number>>> = { secretVersions: 128, manifests: 32, auditEvents: 500 };

/**
 * All rows of a vault that is stopped, from one database to another, as they are: ciphertext, proofs and hashes bit for bit.
 *
 * The target carries a mark from before the first row until all has been found right, so that no vault starts on a half
 * copy and no other vault's rows come to it. A copy that was cut off, however, is done again from the start: what is
 * there already is written once more. The source is only read.
 */
export class Transfer {
  /** Which instance is copied: a random number that every vault is made with. */
  readonly instance: string;
  /** For reading through `openStore`. */
  readonly source: Engine;
  readonly target: Engine;
  readonly #from: Place;
  readonly #to: Place;
  readonly #isMarked: boolean;
  readonly #digest: (fields: readonly Field[]) => Buffer;

  private constructor(parts: {
    from: Place;
    to: Place;
    instance: string;
    isMarked: boolean;
    digest: (fields: readonly Field[]) => Buffer;
  }) {
    this.#from = parts.from;
    this.#to = parts.to;
    this.instance = parts.instance;
    this.#isMarked = parts.isMarked;
    this.#digest = parts.digest;
    this.source = readingEngine(parts.from);
    this.target = readingEngine(parts.to);
  }

  /**
   * Locks both, and looks whether the source is a whole vault and the target empty, or the unfinished copy of this source.
   *
   * @throws {VaultError} `folder_in_use`, `in_use`: a vault, or another copy, is at work on one of them. `schema_unknown`:
   * one is no vault's database. `migration_needed`: the source is of an older version, or the target has no schema and
   * there is no owner to make it. `copy_unfinished`: the source is a half copy itself. `target_not_empty`.
   * `store_unavailable`, `role_unsafe`.
   */
  static async open(from: StoreAt, to: StoreAt, digest: (fields: readonly Field[]) => Buffer): Promise<Transfer> {
    const source = await openPlace(from, "source");
    try {
      await source.checkAlone();
      const instance = await markOf(source, INSTANCE_MARK);
      if ((await markOf(source, COPY_MARK)) !== null) throw new VaultError("copy_unfinished");
      if (instance === null) throw new VaultError("schema_unknown", "There is no vault in the source: it is empty.");
      const target = await openPlace(to, "target");
      try {
        const mark = await markOf(target, COPY_MARK);
        if (mark === null) {
          await target.checkAlone();
          await checkEmpty(target, instance);
        } else if (mark !== instance)
          throw new VaultError("target_not_empty", "The target holds the unfinished copy of another vault.");
        return new Transfer({ from: source, to: target, instance, isMarked: mark !== null, digest });
      } catch (error) {
        await target.close();
        throw error;
      }
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  /** Whether this goes on with a copy that was cut off. */
  get isContinued(): boolean {
    return this.#isMarked;
  }

  /**
   * Marks the target and copies all rows. Where it ends early, for whatever reason, the same again goes on.
   *
   * @throws {VaultError} `integrity_failed` for rows of an org that is in no list. `store_unavailable`.
   */
  async copy(steps: Steps): Promise<void> {
    const strays = await this.#from.strays();
    if (strays > 0)
      throw new VaultError("integrity_failed", `The source has ${String(strays)} rows of orgs that it does not list.`);
    if (!this.#isMarked) {
      const text = new Text(this.#to.kind);
      const row = `(${text.put(COPY_MARK)}, ${text.put(this.instance)})`;
      await this.#to.write(INSTANCE, [text.compiled(`INSERT INTO meta (name, value) VALUES ${row}`)]);
    }
    const orgs = await orgsOf(this.#from);
    const totals = await this.#count(orgs, steps);
    const tally = new Tally("copy", totals, steps);
    for (const table of OF_INSTANCE) await this.#copyTable(INSTANCE, table, tally);
    for (const org of orgs) for (const table of OF_ORGS) await this.#copyTable(org, table, tally);
    await this.#to.addSlots(await this.#from.slots(), await this.#newest(orgs));
  }

  /**
   * Reads both sides in the order of the keys. @returns what they have in common, which is everything.
   *
   * @throws {VaultError} `integrity_failed`, which names table and row.
   */
  async compare(steps: Steps): Promise<readonly TableCopy[]> {
    const orgs = await orgsOf(this.#from);
    const tally = new Tally("compare", await this.#count(orgs, steps), steps);
    const digests = new Map<TableName, Buffer>();
    for (const table of OF_INSTANCE) await this.#compareTable(INSTANCE, table, tally, digests);
    for (const org of orgs) for (const table of OF_ORGS) await this.#compareTable(org, table, tally, digests);
    const [slots, arrived] = [await this.#from.slots(), await this.#to.slots()];
    const lost = slots.find((slot) => !arrived.includes(slot));
    if (lost !== undefined) throw new VaultError("integrity_failed", `The slot ${String(lost)} has not arrived.`);
    return NAMES.map((table) => ({
      table: snake(table),
      rows: tally.of(table),
      digest: digests.get(table) ?? this.#digest([]),
    }));
  }

  /**
   * Takes the mark away: a vault may start on the target from now on.
   *
   * @throws {VaultError} `in_use`: a vault has run on the source meanwhile, so that the copy may be behind it.
   */
  async finish(): Promise<void> {
    await this.#from.checkAlone();
    const text = new Text(this.#to.kind);
    const become = `UPDATE meta SET name = ${text.put(INSTANCE_MARK)}`;
    const was = `name = ${text.put(COPY_MARK)} AND value = ${text.put(this.instance)}`;
    const [changed] = await this.#to.write(INSTANCE, [text.compiled(`${become} WHERE ${was}`)]);
    if (changed !== 1)
      throw new VaultError("copy_unfinished", "The mark of the copy is gone: something else has used the target.");
  }

  /** Lets both go. */
  async close(): Promise<void> {
    try {
      await this.#to.close();
    } finally {
      await this.#from.close();
    }
  }

  async #count(orgs: readonly Id<"org">[], { onProgress, signal }: Steps): Promise<ReadonlyMap<TableName, number>> {
    const totals = new Map<TableName, number>();
    for (const table of NAMES) {
      const places = TABLES[table].owner === "org" ? orgs : [INSTANCE];
      let total = 0;
      for (const org of places) {
        stopIfAsked(signal);
        const [row] = await this.#from.rows(org, countRows(this.#from.kind, org, table));
        total += Number(row?.count);
      }
      totals.set(table, total);
      onProgress({ step: "count", table: snake(table), done: totals.size, of: NAMES.length });
    }
    return totals;
  }

  async #copyTable(org: Id<"org">, table: TableName, tally: Tally): Promise<void> {
    if (this.#isMarked && TABLES[table].lasts !== null)
      await this.#to.write(org, [forgetRows(this.#to.kind, org, table)]);
    for await (const rows of batches(this.#from, org, table)) {
      try {
        await this.#to.write(org, insertRows(this.#to.kind, org, table, rows));
      } catch (error) {
        throw notTaken(error, table);
      }
      tally.add(table, rows.length);
    }
  }

  async #compareTable(org: Id<"org">, table: TableName, tally: Tally, digests: Map<TableName, Buffer>): Promise<void> {
    const columns = columnsOf(table);
    const there = batches(this.#to, org, table);
    let digest = digests.get(table) ?? this.#digest([]);
    for await (const sent of batches(this.#from, org, table)) {
      const { value: arrived = [] } = (await there.next()) as { value?: readonly RawRow[] };
      let other = digest;
      for (const row of sent) digest = this.#digest([digest, ...fieldsOf(columns, row)]);
      for (const row of arrived) other = this.#digest([other, ...fieldsOf(columns, row)]);
      if (!digest.equals(other)) {
        const at = sent.findIndex((row, index) => !isSame(columns, row, arrived[index]));
        const row = sent[at] ?? arrived[sent.length] ?? {};
        throw differs(table, row);
      }
      digests.set(table, digest);
      tally.add(table, sent.length);
    }
    const more = await there.next();
    if (more.done !== true) throw differs(table, more.value[0] ?? {});
  }

  /** The time of the newest event of all chains. */
  async #newest(orgs: readonly Id<"org">[]): Promise<number> {
    let newest = 0;
    for (const org of orgs) {
      const text = new Text(this.#from.kind);
      const own = text.put(TABLES.orgs.columns.id.encode(org));
      const query = text.compiled(`SELECT max(time) AS newest FROM audit_events WHERE org_id = ${own}`);
      const [row] = await this.#from.rows(org, query);
      newest = Math.max(newest, Number(row?.newest ?? 0));
    }
    return newest;
  }
}

/** Counts what one step has done, of each table and of all. */
class Tally {
  readonly #step: Progress["step"];
  readonly #steps: Steps;
  readonly #rows = new Map<TableName, number>();
  readonly #of: number;
  #done = 0;

  constructor(step: Progress["step"], totals: ReadonlyMap<TableName, number>, steps: Steps) {
    this.#step = step;
    this.#steps = steps;
    this.#of = [...totals.values()].reduce((sum, rows) => sum + rows, 0);
  }

  of(table: TableName): number {
    return this.#rows.get(table) ?? 0;
  }

  /** Throws where it was asked to stop. */
  add(table: TableName, rows: number): void {
    this.#rows.set(table, this.of(table) + rows);
    this.#done += rows;
    this.#steps.onProgress({ step: this.#step, table: snake(table), done: this.#done, of: this.#of });
    stopIfAsked(this.#steps.signal);
  }
}

function openPlace(at: StoreAt, role: "source" | "target"): Promise<Place> {
  return at.engine === "sqlite" ? openSqlitePlace(at.folder, role) : openPostgresPlace(at, role);
}

async function markOf(place: Place, name: string): Promise<string | null> {
  const text = new Text(place.kind);
  const [row] = await place.rows(INSTANCE, text.compiled(`SELECT value FROM meta WHERE name = ${text.put(name)}`));
  return row === undefined ? null : String(row.value);
}

async function checkEmpty(place: Place, instance: string): Promise<void> {
  const there = await markOf(place, INSTANCE_MARK);
  if (there === instance)
    throw new VaultError("target_not_empty", "The target holds this vault already, whole: there is nothing to copy.");
  if (there !== null) throw new VaultError("target_not_empty", "The target holds another vault.");
  for (const table of NAMES) {
    const [row] = await place.rows(INSTANCE, countRows(place.kind, INSTANCE, table));
    if (Number(row?.count) > 0)
      throw new VaultError("target_not_empty", `The target has rows already, in the table ${snake(table)}.`);
  }
  if ((await place.strays()) > 0) throw new VaultError("target_not_empty", "The target has rows of orgs already.");
}

/** The instance, which comes first, and each org by its id. */
async function orgsOf(place: Place): Promise<readonly Id<"org">[]> {
  const rows = await place.rows(INSTANCE, { sql: "SELECT id FROM orgs ORDER BY id", values: [] });
  return [INSTANCE, ...rows.map(({ id }) => bytesToId("org", id as Buffer))];
}

async function* batches(place: Place, org: Id<"org">, table: TableName): AsyncGenerator<readonly RawRow[], undefined> {
  const limit = BATCHES[table] ?? BATCH;
  let after: readonly Raw[] | null = null;
  for (;;) {
    const rows = await place.rows(org, selectRows(place.kind, org, table, { after, limit }));
    const last = rows.at(-1);
    if (last === undefined) return undefined;
    // A database in this process would let nothing else come to pass, such as a signal.
    await nextTurn();
    yield rows;
    if (rows.length < limit) return undefined;
    after = keyOf(table).map((name) => last[name] ?? null);
  }
}

/** A number that no row of ours holds is compared as text. */
function fieldsOf(columns: readonly string[], row: RawRow): Field[] {
  return columns.map((name) => {
    const value = row[name] ?? null;
    const isOdd = typeof value === "bigint" || (typeof value === "number" && !Number.isSafeInteger(value));
    return isOdd ? String(value) : value;
  });
}

function isSame(columns: readonly string[], one: RawRow, other: RawRow | undefined): boolean {
  if (other === undefined) return false;
  const [left, right] = [fieldsOf(columns, one), fieldsOf(columns, other)];
  return left.every((value, at) => {
    const against = right[at];
    return Buffer.isBuffer(value) ? Buffer.isBuffer(against) && value.equals(against) : value === against;
  });
}

function differs(table: TableName, row: RawRow): VaultError {
  return new VaultError(
    "integrity_failed",
    `The row ${rowName(table, row)} of the table ${snake(table)} is not the same on both sides.`,
  );
}

/** Ids as everybody knows them, digests in hexadecimal. Keys hold nothing else. */
function rowName(table: TableName, row: RawRow): string {
  const columns = TABLES[table].columns as Readonly<Record<string, { decode: (raw: Raw) => unknown }>>;
  return TABLES[table].key
    .map((name) => {
      try {
        const value = columns[name]?.decode(row[snake(name)] ?? null);
        return Buffer.isBuffer(value) ? value.toString("hex") : String(value);
      } catch {
        return "?";
      }
    })
    .join("/");
}

function notTaken(error: unknown, table: TableName): unknown {
  if (!(error instanceof VaultError) || error.code !== "store_unavailable") return error;
  return new VaultError(error.code, `${error.message} It was writing rows of the table ${snake(table)}.`, {
    cause: error.cause,
  });
}

function stopIfAsked(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new VaultError("copy_unfinished", "It was interrupted.");
}
