/** What a file of names and values holds, with the line of each part: JSON and YAML are both read into it. */
export type Tree = { readonly line: number } & (
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "null" }
  | { readonly kind: "list"; readonly items: readonly Tree[] }
  | { readonly kind: "map"; readonly entries: readonly Entry[] }
  /** A number, true or false: what was meant as text has changed on its way (`1.10`, `007`). */
  | { readonly kind: "other" }
);

export interface Entry {
  readonly name: string;
  readonly line: number;
  readonly tree: Tree;
}

/** A text that is not of its format. Says where, and never what stands there. */
export class TreeFault extends Error {
  readonly line: number;

  constructor(line: number, fault: string) {
    super(fault);
    this.line = line;
  }
}

/** A name, its fields, a list in a field: nothing that is meant goes deeper. */
export const MOST_DEPTH = 8;
export const TOO_DEEP = "it goes deeper than names and their fields";
