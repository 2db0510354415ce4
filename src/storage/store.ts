import { VaultError, idToBytes } from "#base";
import type { Id, Outcome, Permit } from "#base";
import { onceOnly } from "./change.ts";
import type { Change, Command } from "./change.ts";
import type { Raw } from "./column.ts";
import { Compiler } from "./compile.ts";
import type { Compiled } from "./compile.ts";
import { MissedExpectation } from "./engine.ts";
import type { Committed, Engine, EngineHealth, NodeSeen, Hold, Statement } from "./engine.ts";
import { Proofs } from "./proof.ts";
import type { RowDigest, RowIntegrity, TamperAlarm } from "./proof.ts";
import { oneOf } from "./query.ts";
import type { Query, Reader, Where } from "./query.ts";
import { decodeRow, encodeRow, snake } from "./table.ts";
import type { TableSpec } from "./table.ts";
import { TABLES } from "./tables.ts";
import type { Row, TableName } from "./tables.ts";

/** What audit/ turns into an event: the permit, how it ended, and the digests of the proved rows that changed. */
export interface Entry {
  readonly permit: Permit;
  readonly outcome: Outcome;
  readonly rows: readonly RowDigest[];
}

/** How one permit ends. */
export interface Settlement {
  readonly permit: Permit;
  readonly outcome: Outcome;
}

/** The rows of an org, for whoever holds a permit. */
export interface Store {
  /** A reader of the permit's org. */
  read(permit: Permit): Reader;
  /**
   * Commits the permit's event, and the change with it, durably; the permit is spent. An empty change settles a read or a
   * refusal. `others` are settled in the same commit: what concerns two places is told at both, or at neither.
   *
   * @throws {MissedExpectation} nothing was done and the permits are good again.
   * @throws {VaultError} `store_unavailable`: nothing was done. `outcome_unknown`: nobody knows.
   */
  commit(permit: Permit, change: Change | null, outcome: Outcome, others?: readonly Settlement[]): Promise<Committed>;
  /** Never before the last committed event. */
  now(): Date;
  health(): Promise<EngineHealth>;
  /** What the database takes, in bytes. */
  bytes(): Promise<number>;
  /** The nodes that share the database; none where it is this process's alone. */
  nodes(): Promise<readonly (NodeSeen & { readonly isOwn: boolean })[]>;
  readonly kind: Engine["kind"];
}

/**
 * What the rooms that decide on permits may do without one: read facts, write what is unaudited by declaration. The
 * composition root hands it to access/, identity/, injection/, audit/ and the keyring, and to nobody else.
 */
export interface Facts {
  /** The writer slot of this node's events. It may change while the process lives: ask each time. */
  readonly slot: number;
  /** Every writer slot that was ever leased, ascending. */
  slots(): Promise<readonly number[]>;
  /** A reader of an org's facts and, where `everything` is said, of all its rows (a token's own row is looked up this way). */
  of(org: Id<"org">): Reader;
  /** Changes unaudited columns of one row, without an event. Rows that are gone are left alone. */
  touch<T extends TableName>(org: Id<"org">, table: T, where: Where<T>, set: Partial<Row<T>>): Promise<void>;
  /** Adds to an unaudited counting column, durably before it returns. */
  count<T extends TableName>(
    org: Id<"org">,
    table: T,
    where: Where<T>,
    column: keyof Row<T> & string,
    by: number,
  ): Promise<void>;
  /** A row of a table that is unaudited as a whole. */
  append<T extends TableName>(org: Id<"org">, table: T, row: Row<T>): Promise<void>;
  /**
   * Takes away, without an event, rows whose time is over, of a table whose rows last only a while. Looks at no more than
   * `most` rows, in the order of their key, beginning after the key that `after` holds. @returns where to go on, or `null`
   * at the end.
   */
  prune(
    org: Id<"org">,
    table: TableName,
    after: readonly unknown[] | null,
    most: number,
  ): Promise<readonly unknown[] | null>;
}

/** Both views of one engine. */
export function openStore(engine: Engine, integrity: RowIntegrity, alarm: TamperAlarm): { store: Store; facts: Facts } {
  const compiler = new Compiler(engine.kind);
  const proofs = new Proofs(integrity, alarm);
  const reader = (org: Id<"org">): Reader => new RowReader(engine, compiler, proofs, org);

  const store: Store = {
    kind: engine.kind,
    read: (permit) => reader(permit.org),
    now: () => engine.now(),
    health: () => engine.health(),
    bytes: () => engine.bytes(),
    nodes: async () => (await engine.nodes()).map((node) => ({ ...node, isOwn: node.slot === engine.slot })),
    async commit(permit, change, outcome, others = []) {
      const spent: Permit[] = [];
      const made = change === null || outcome.target?.id == null ? null : outcome.target.id;
      const once = made === null ? null : onceKey(integrity, permit);
      try {
        for (const one of [permit, ...others.map((other) => other.permit)]) {
          one.spend();
          spent.push(one);
        }
        const first =
          once === null || made === null ? [] : [onceOnly({ digest: once, target: made, createdAt: engine.now() })];
        const { statements, rows, hold } = await compileChange(compiler, proofs, permit, [
          ...first,
          ...(change?.commands ?? []),
        ]);
        const entries: Entry[] = [{ permit, outcome, rows }, ...others.map((other) => ({ ...other, rows: [] }))];
        const events = entries.map((entry) => ({ chain: entry.permit.event.chain, entry }));
        return await engine.commit({ org: permit.org, events, statements, hold });
      } catch (error) {
        for (const one of spent) one.unspend();
        if (once === null || !(error instanceof MissedExpectation) || error.label !== "idempotency") throw error;
        const before = await reader(permit.org).get("idempotency", { digest: once });
        throw new VaultError("idempotency_reused", undefined, { detail: before === null ? {} : { id: before.target } });
      }
    },
  };

  const unaudited = async (org: Id<"org">, compiled: Compiled): Promise<void> => {
    const statement: Statement = { ...compiled, kind: "write", rows: -1, label: "unaudited", otherwise: "internal" };
    await engine.commit({ org, events: [], statements: [statement], hold: "nothing" });
  };
  const mayTouch = (table: TableName, columns: readonly string[]): void => {
    const allowed: readonly string[] = TABLES[table].unaudited;
    const other = columns.find((column) => !allowed.includes(column));
    if (other !== undefined) throw new TypeError(`${table}.${other} does not change without an event`);
  };
  const facts: Facts = {
    get slot() {
      return engine.slot;
    },
    slots: () => engine.slots(),
    of: reader,
    async touch(org, table, where, set) {
      mayTouch(table, Object.keys(set));
      const columns = Object.fromEntries(Object.entries(TABLES[table].columns).filter(([name]) => name in set));
      const raw = snakeKeys(encodeRow(columns, set));
      await unaudited(org, compiler.update(table, idToBytes(org), where, raw));
    },
    async count(org, table, where, column, by) {
      mayTouch(table, [column]);
      await unaudited(org, compiler.increment(table, idToBytes(org), where, column, by));
    },
    async append(org, table, row) {
      mayTouch(table, Object.keys(TABLES[table].columns));
      await unaudited(org, compiler.insert(table, rawRow(table, idToBytes(org), row)));
    },
    async prune(org, table, after, most) {
      const { key, lasts } = TABLES[table] as TableSpec<Readonly<Record<string, unknown>>>;
      const [name] = key;
      if (lasts === null || name === undefined || key.length !== 1)
        throw new TypeError(`rows of ${table} do not end by themselves`);
      const query = { order: key, limit: most, ...(after === null ? {} : { after }) } as Query<TableName>;
      const rows = (await reader(org).list(table, query)) as unknown as readonly Readonly<Record<string, unknown>>[];
      const over = engine.now().getTime() - lasts.ms;
      const gone = rows.filter((row) => (row[lasts.since] as Date).getTime() < over).map((row) => row[name]);
      if (gone.length > 0) await unaudited(org, compiler.delete(table, idToBytes(org), { [name]: oneOf(gone) }));
      return rows.length < most ? null : [rows.at(-1)?.[name]];
    },
  };
  return { store, facts };
}

/** What tells a repeat: the caller, the operation and its Idempotency-Key. `null` when the call brought none. */
function onceKey(integrity: RowIntegrity, { actor }: Permit): Buffer | null {
  const { idempotencyKey, operation } = actor.call;
  return idempotencyKey === null || !("name" in actor)
    ? null
    : integrity.digest(["once", actor.id, operation, idempotencyKey]);
}

class RowReader implements Reader {
  readonly #engine: Engine;
  readonly #compiler: Compiler;
  readonly #proofs: Proofs;
  readonly #org: Id<"org">;

  constructor(engine: Engine, compiler: Compiler, proofs: Proofs, org: Id<"org">) {
    this.#engine = engine;
    this.#compiler = compiler;
    this.#proofs = proofs;
    this.#org = org;
  }

  async get<T extends TableName>(table: T, where: Where<T>): Promise<Row<T> | null> {
    const [first] = await this.list(table, { where, limit: 1 });
    return first ?? null;
  }

  async list<T extends TableName>(table: T, query: Query<T> = {}): Promise<readonly Row<T>[]> {
    const { sql, values } = this.#compiler.select(table, idToBytes(this.#org), query);
    const raws = await this.#engine.rows(this.#org, sql, values);
    const rows: Row<T>[] = [];
    for (const raw of raws) {
      const proved = TABLES[table].macs === null ? {} : { changedBy: await this.#proofs.check(this.#org, table, raw) };
      rows.push({ ...this.#decode(table, raw), ...proved } as Row<T>);
    }
    return rows;
  }

  /** What no MAC covers may have been changed behind the vault's back too, into something that cannot be read. */
  #decode(table: TableName, raw: Readonly<Record<string, Raw>>): Record<string, unknown> {
    try {
      return decodeRow(TABLES[table].columns, raw);
    } catch (error) {
      throw this.#proofs.refuse(this.#org, table, raw, error);
    }
  }

  async count<T extends TableName>(table: T, where: Where<T> = {}): Promise<number> {
    const { sql, values } = this.#compiler.count(table, idToBytes(this.#org), where);
    const [row] = await this.#engine.rows(this.#org, sql, values);
    return Number(row?.count ?? 0);
  }
}

async function compileChange(
  compiler: Compiler,
  proofs: Proofs,
  permit: Permit,
  commands: readonly Command[],
): Promise<{ statements: Statement[]; rows: RowDigest[]; hold: Hold }> {
  const org = idToBytes(permit.org);
  const rows: RowDigest[] = [];
  const prove = async (
    table: TableName,
    row: Readonly<Record<string, unknown>>,
    before: Id<"evt"> | null,
  ): Promise<Record<string, Raw>> => {
    const raw = rawRow(table, org, row);
    if (TABLES[table].macs === null) return raw;
    const proved = await proofs.prove(permit.org, table, raw, permit.event.id, before);
    rows.push(proved.digest);
    return { ...raw, ...proved.columns };
  };
  const statements: Statement[] = [];
  for (const command of commands) {
    const add = (compiled: Compiled, kind: Statement["kind"] = "write", expected = 1): void => {
      statements.push({ ...compiled, kind, rows: expected, label: command.label, otherwise: command.otherwise });
    };
    switch (command.do) {
      case "expect":
        add(compiler.count(command.table, org, command.where), "count", command.rows);
        break;
      case "insert":
        guardDirectory(permit, command.table);
        add(compiler.insert(command.table, await prove(command.table, command.row, null)));
        break;
      case "replace":
        guardDirectory(permit, command.table);
        add(
          compiler.update(
            command.table,
            org,
            identity(command.table, command.before),
            withoutUntouched(command, await prove(command.table, command.after, eventOf(command.before))),
          ),
        );
        break;
      case "remove":
        guardDirectory(permit, command.table);
        if (TABLES[command.table].macs !== null)
          rows.push(proofs.gone(command.table, rawRow(command.table, org, command.before), eventOf(command.before)));
        add(compiler.delete(command.table, org, identity(command.table, command.before)));
        break;
      case "raise-epoch":
        add(compiler.raiseEpoch(org));
        break;
    }
  }
  return { statements, rows, hold: holdOf(commands) };
}

/** A row that is met by its key is held by the engine; that there is no other row, or that the epoch still is, only the org. */
function holdOf(commands: readonly Command[]): Hold {
  const bears = (command: Command): boolean =>
    command.do === "raise-epoch" || (command.do === "expect" && command.table !== "epochs");
  if (commands.some(bears)) return "alone";
  return commands.length > 0 ? "beside" : "nothing";
}

/** What changes without an event may have changed since the row was read: it is written only where the change is about it. */
function withoutUntouched(
  { table, before, after }: Extract<Command, { do: "replace" }>,
  raw: Readonly<Record<string, Raw>>,
): Record<string, Raw> {
  const untouched = TABLES[table].unaudited.filter((name) => after[name] === before[name]).map(snake);
  return Object.fromEntries(Object.entries(raw).filter(([name]) => !untouched.includes(name)));
}

/** The event that the row names as its last, as it was read. */
function eventOf(before: Readonly<Record<string, unknown>>): Id<"evt"> {
  return before.changedBy as Id<"evt">;
}

/** The list of orgs is the instance's: only its own operations write there. */
function guardDirectory(permit: Permit, table: TableName): void {
  if (TABLES[table].owner === "directory" && permit.action !== "instance.admin") throw new VaultError("internal");
}

/** The row's key and, for a proved row, the event that last changed it: nobody else may have changed it since. */
function identity(table: TableName, before: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { key, macs } = TABLES[table];
  const names: readonly string[] = macs === null ? key : [...key, "changedBy"];
  return Object.fromEntries(
    names.map((name) => {
      // A condition that is not given is no condition, and the write would meet other rows.
      if (before[name] === undefined) throw new TypeError(`a row of ${table} without its ${name}`);
      return [name, before[name]];
    }),
  );
}

function rawRow(table: TableName, org: Buffer, row: Readonly<Record<string, unknown>>): Record<string, Raw> {
  const raw = snakeKeys(encodeRow(TABLES[table].columns, row));
  return TABLES[table].owner === "org" ? { org_id: org, ...raw } : raw;
}

function snakeKeys(row: Readonly<Record<string, Raw>>): Record<string, Raw> {
  return Object.fromEntries(Object.entries(row).map(([name, value]) => [snake(name), value]));
}
