import type { Id } from "#base";
import type { Row, TableName } from "./tables.ts";

/** A comparison other than equality. Made by the functions below. */
export interface Comparison<V> {
  readonly compare: "in" | "not in" | ">" | "<" | "prefix";
  readonly value: V | readonly V[];
}

export const oneOf = <V>(values: readonly V[]): Comparison<V> => ({ compare: "in", value: values });
export const noneOf = <V>(values: readonly V[]): Comparison<V> => ({ compare: "not in", value: values });
export const above = <V>(value: V): Comparison<V> => ({ compare: ">", value });
export const below = <V>(value: V): Comparison<V> => ({ compare: "<", value });
/** Text that begins with these letters, compared byte by byte. */
export const startingWith = (prefix: string): Comparison<string> => ({ compare: "prefix", value: prefix });

/** All of these hold. A plain value means equal; `null` means there is none. */
export type Where<T extends TableName> = {
  readonly [K in keyof Row<T>]?: Row<T>[K] | Comparison<Row<T>[K]> | undefined;
};

/**
 * The scopes an actor may see: pairs of an environment and a namespace, grouped so that environments with the same
 * namespaces stand together. `all` is everything of the org.
 */
export type ScopeSet =
  | { readonly all: true }
  | {
      readonly all: false;
      readonly groups: readonly {
        readonly environments: readonly Id<"env">[];
        readonly namespaces: readonly Id<"nsp">[];
      }[];
    };

export interface Query<T extends TableName> {
  readonly where?: Where<T> | undefined;
  /** Only rows whose `environmentId` and `namespaceId` are in the set, */
  readonly scopes?: ScopeSet | undefined;
  /** or that match one of these. */
  readonly anyOf?: readonly Where<T>[] | undefined;
  /** Ascending unless said; give enough columns that no two rows are equal, or pages lose rows. */
  readonly order?: readonly (keyof Row<T> & string)[];
  readonly descending?: boolean;
  /** The ordering columns of the last row of the page before. */
  readonly after?: readonly unknown[] | undefined;
  readonly limit?: number;
}

/** Reads rows of one org. Rows that grant power have proved themselves before they are returned. */
export interface Reader {
  /** The one row that matches, or `null`. Throws `integrity_failed` when it does not prove itself. */
  get<T extends TableName>(table: T, where: Where<T>): Promise<Row<T> | null>;
  list<T extends TableName>(table: T, query?: Query<T>): Promise<readonly Row<T>[]>;
  count<T extends TableName>(table: T, where?: Where<T>): Promise<number>;
}
