import type { ErrorCode } from "#base";
import type { Where } from "./query.ts";
import type { NewRow, Row, TableName } from "./tables.ts";

/** What a missed expectation becomes when nobody handles it. */
interface Otherwise {
  readonly otherwise: ErrorCode;
  /** Names the expectation for whoever wants to try again. */
  readonly label: string;
}

export type Command = Otherwise &
  (
    | {
        readonly do: "expect";
        readonly table: TableName;
        readonly where: Readonly<Record<string, unknown>>;
        readonly rows: number;
      }
    | { readonly do: "insert"; readonly table: TableName; readonly row: Readonly<Record<string, unknown>> }
    | {
        readonly do: "replace";
        readonly table: TableName;
        readonly before: Readonly<Record<string, unknown>>;
        readonly after: Readonly<Record<string, unknown>>;
      }
    | { readonly do: "remove"; readonly table: TableName; readonly before: Readonly<Record<string, unknown>> }
    | { readonly do: "raise-epoch" }
  );

/**
 * What is to happen to the rows of one org, as a value: commands, each with the number of rows it expects to meet. It holds
 * no closure and no transaction, so the store may run the changes of many requests in one commit and, when an expectation
 * is missed, undo this change alone. A missed expectation rejects the commit with {@link MissedExpectation}.
 *
 * Expectations are checked before anything is written, in whatever order they were added.
 */
export class Change {
  readonly #expects: Command[] = [];
  readonly #writes: Command[] = [];

  get commands(): readonly Command[] {
    return [...this.#expects, ...this.#writes];
  }

  /** Exactly `rows` rows match. */
  expect<T extends TableName>(
    table: T,
    where: Where<T>,
    rows: number,
    label: string = table,
    otherwise: ErrorCode = "conflict",
  ): this {
    this.#expects.push({ do: "expect", table, where, rows, label, otherwise });
    return this;
  }

  /** Nothing that bears on access or values has changed since the epoch was read. */
  expectEpoch(epoch: number, label = "epoch"): this {
    return this.expect("epochs", { name: "access", epoch }, 1, label);
  }

  /** A new row; missed when its key, or a name that must be unique, is taken. */
  insert<T extends TableName>(
    table: T,
    row: NewRow<T>,
    otherwise: ErrorCode = "already_exists",
    label: string = table,
  ): this {
    this.#writes.push({ do: "insert", table, row, label, otherwise });
    return this;
  }

  /**
   * The row as it was read becomes `after`. For rows under a MAC it is missed when any event has changed the row since;
   * for others when the row is gone.
   */
  replace<T extends TableName>(
    table: T,
    before: Row<T>,
    after: Partial<NewRow<T>>,
    otherwise: ErrorCode = "conflict",
    label: string = table,
  ): this {
    this.#writes.push({ do: "replace", table, before, after: { ...before, ...after }, label, otherwise });
    return this;
  }

  remove<T extends TableName>(table: T, before: Row<T>, otherwise: ErrorCode = "conflict"): this {
    this.#writes.push({ do: "remove", table, before, label: table, otherwise });
    return this;
  }

  /** Says that this change bears on access or values: exchanges under way compute again. */
  raiseEpoch(): this {
    if (!this.#writes.some((command) => command.do === "raise-epoch")) {
      this.#writes.push({ do: "raise-epoch", label: "epoch", otherwise: "conflict" });
    }
    return this;
  }
}

/** Comes before anything else of a change, so that a repeat is told from a name that is taken. */
export function onceOnly(row: NewRow<"idempotency">): Command {
  return { do: "insert", table: "idempotency", row, label: "idempotency", otherwise: "idempotency_reused" };
}
