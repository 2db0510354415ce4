import { MOST_DEPTH, TOO_DEEP, TreeFault } from "./tree.ts";
import type { Entry, Tree } from "./tree.ts";

const LITERAL = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.+-])/y;

/**
 * A JSON text (RFC 8259) with the line of each part, and with names that stand twice: `JSON.parse` tells neither, and quotes
 * what it could not read. Throws {@link TreeFault}.
 */
export function readJsonTree(text: string): Tree {
  const reader = new JsonReader(text);
  const tree = reader.value(0);
  reader.end();
  return tree;
}

class JsonReader {
  readonly #text: string;
  #at = 0;
  #line = 1;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): Tree {
    if (depth > MOST_DEPTH) throw new TreeFault(this.#line, TOO_DEEP);
    const next = this.#next();
    const line = this.#line;
    if (next === '"') return { line, kind: "text", text: this.#string() };
    if (next === "[") return { line, kind: "list", items: this.#sequence("]", () => this.value(depth + 1)) };
    if (next === "{") return { line, kind: "map", entries: this.#sequence("}", () => this.#entry(depth)) };
    LITERAL.lastIndex = this.#at;
    const literal = LITERAL.exec(this.#text)?.[0];
    if (literal === undefined) throw this.#fault();
    this.#at += literal.length;
    return { line, kind: literal === "null" ? "null" : "other" };
  }

  end(): void {
    if (this.#next() !== "") throw this.#fault();
  }

  #entry(depth: number): Entry {
    if (this.#next() !== '"') throw this.#fault();
    const line = this.#line;
    const name = this.#string();
    this.#take(":");
    return { name, line, tree: this.value(depth + 1) };
  }

  #sequence<T>(close: string, read: () => T): T[] {
    const items: T[] = [];
    this.#at += 1;
    if (this.#next() === close) {
      this.#at += 1;
      return items;
    }
    for (;;) {
      items.push(read());
      const next = this.#next();
      this.#take(next === close ? close : ",");
      if (next === close) return items;
    }
  }

  #string(): string {
    const start = this.#at;
    let end = start + 1;
    while (end < this.#text.length && this.#text[end] !== '"') end += this.#text[end] === "\\" ? 2 : 1;
    try {
      const value = JSON.parse(this.#text.slice(start, end + 1)) as string;
      this.#at = end + 1;
      return value;
    } catch {
      // What the cause says quotes the text.
      throw this.#fault();
    }
  }

  #take(character: string): void {
    if (this.#next() !== character) throw this.#fault();
    this.#at += 1;
  }

  /** The next character that is no space; `""` at the end. */
  #next(): string {
    for (; ; this.#at += 1) {
      const character = this.#text.charAt(this.#at);
      if (character === "\n") this.#line += 1;
      else if (character === "" || !" \t\r".includes(character)) return character;
    }
  }

  #fault(): TreeFault {
    return new TreeFault(this.#line, this.#at >= this.#text.length ? "the JSON ends too soon" : "it is not JSON");
  }
}
