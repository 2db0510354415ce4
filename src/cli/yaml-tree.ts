import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument } from "yaml";
import { MOST_DEPTH, TOO_DEEP, TreeFault } from "./tree.ts";
import type { Entry, Tree } from "./tree.ts";

/**
 * A YAML 1.2 text, in which what is not quoted is the text as it was written: `007`, `1.10` and `no` are values, and none of
 * them a number. Throws {@link TreeFault}.
 */
export function readYamlTree(text: string): Tree {
  const counter = new LineCounter();
  // The errors of prettyErrors quote the text. Names that stand twice are found by who reads the tree.
  const document = parseDocument(text, {
    schema: "failsafe",
    prettyErrors: false,
    uniqueKeys: false,
    lineCounter: counter,
    logLevel: "error",
  });
  const lineOf = (offset: number | undefined): number => counter.linePos(offset ?? 0).line;
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) throw new TreeFault(lineOf(fault.pos[0]), FAULTS[fault.code] ?? "it is not YAML");
  return treeOf(document.contents, 0, 1);

  function treeOf(node: unknown, depth: number, around: number): Tree {
    if (depth > MOST_DEPTH) throw new TreeFault(around, TOO_DEEP);
    if (isScalar(node)) {
      const line = lineOf(node.range?.[0]);
      if (node.type === "PLAIN" && /^(?:|~|null|Null|NULL)$/.test(node.source ?? "")) return { line, kind: "null" };
      if (typeof node.value === "string") return { line, kind: "text", text: node.value };
      throw new TreeFault(line, TAGGED);
    }
    if (isSeq(node)) {
      const line = lineOf(node.range?.[0]);
      return { line, kind: "list", items: node.items.map((item) => treeOf(item, depth + 1, line)) };
    }
    if (isMap(node)) {
      const line = lineOf(node.range?.[0]);
      const entries = node.items.map(({ key, value }): Entry => {
        if (!isScalar(key) || typeof key.value !== "string") throw new TreeFault(line, "a name is not a text");
        const keyLine = lineOf(key.range?.[0]);
        return { name: key.value, line: keyLine, tree: treeOf(value, depth + 1, keyLine) };
      });
      return { line, kind: "map", entries };
    }
    if (isAlias(node)) throw new TreeFault(lineOf(node.range?.[0]), "it has an alias (*): write the value out");
    return { line: around, kind: "null" };
  }
}

const TAGGED = "it has a tag (!) that is not read here: for bytes give base64, with an encoding";
const FAULTS: Readonly<Record<string, string>> = {
  MULTIPLE_DOCS: "a second document begins: one file, one document",
  TAB_AS_INDENT: "it is indented with a tab: YAML takes spaces",
  TAG_RESOLVE_FAILED: TAGGED,
  BAD_INDENT: "its indentation is not that of the lines before",
};
