import type { Id } from "#base";
import type { Row, TableName } from "./tables.ts";

/** A comparison other than equality. Made by the functions below. */
export type Comparison<V> =
  | { readonly compare: "in" | "not in"; readonly value: readonly V[] }
  | { readonly compare: ">" | "<"; readonly value: V }
  | { readonly compare: "prefix" | "part"; readonly value: string }
  | ({ readonly compare: "between" } & Span<V>)
  | { readonly compare: "all"; readonly value: readonly Comparison<V>[] };

/** What lies between two values and equals neither; either may be left out. */
export interface Span<V> {
  readonly above?: V | undefined;
  readonly below?: V | undefined;
  /** A row that has none counts too. */
  readonly orNone?: boolean | undefined;
}

export const oneOf = <V>(values: readonly V[]): Comparison<V> => ({ compare: "in", value: values });
export const noneOf = <V>(values: readonly V[]): Comparison<V> => ({ compare: "not in", value: values });
export const above = <V>(value: V): Comparison<V> => ({ compare: ">", value });
export const below = <V>(value: V): Comparison<V> => ({ compare: "<", value });
/** Text that begins with these letters, compared byte by byte. */
export const startingWith = (prefix: string): Comparison<string> => ({ compare: "prefix", value: prefix });
/**
 * Text in which these letters stand somewhere; of a to z, capitals and small letters are the same. Of a JSON column it is
 * the text as stored: a whole name or id is found with its quotation marks.
 */
export const containing = <V = string>(part: string): Comparison<V> => ({ compare: "part", value: part });
/** Each of these. */
export const allOf = <V>(value: readonly Comparison<V>[]): Comparison<V> => ({ compare: "all", value });
/** `undefined` where neither end is given: no condition. */
export const between = <V>(span: Span<V>): Comparison<V> | undefined =>
  span.above === undefined && span.below === undefined ? undefined : { compare: "between", ...span };

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
  /** Of the rows that share the first column, only the one with the greatest second, whatever else is asked for. */
  readonly newest?: { readonly of: keyof Row<T> & string; readonly by: keyof Row<T> & string } | undefined;
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
