import { SECRET_NAME } from "#base";
import { readDotenv } from "./dotenv.ts";
import type { FileContent, FileFault, FileFormat, FileSecret } from "./file-content.ts";
import { parseTime } from "./given.ts";
import { readJsonTree } from "./json-tree.ts";
import { TreeFault } from "./tree.ts";
import type { Tree } from "./tree.ts";

const MAX_VALUE_BYTES = 65_536;

/** The names of a file with their values and metadata, and everything that is wrong with them by its line. */
export async function readSecretFile(bytes: Buffer, format: FileFormat, allowEmpty: boolean): Promise<FileContent> {
  const decoded = decode(bytes);
  if (typeof decoded !== "string") return { secrets: [], faults: [decoded] };
  if (decoded.trim() === "") return { secrets: [], faults: [] };
  const { secrets, faults } = format === "dotenv" ? readDotenv(decoded) : await readStructured(decoded, format);
  faults.push(...faultsOf(secrets, allowEmpty));
  return { secrets, faults: faults.sort((a, b) => a.line - b.line) };
}

function decode(bytes: Buffer): string | FileFault {
  if ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))
    return { line: 1, fault: "it is UTF-16: save it as UTF-8" };
  const nul = bytes.indexOf(0);
  if (nul >= 0) return { line: lineOf(bytes, nul), fault: "it has a NUL byte, which no text has" };
  try {
    // A byte order mark at the beginning is no part of the first name.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const lone = /\r(?!\n)/.exec(text);
    if (lone === null) return text;
    return { line: text.slice(0, lone.index).split("\n").length, fault: "it has a carriage return inside the line" };
  } catch {
    let line = 1;
    for (let at = 0; at < bytes.length; line += 1) {
      const end = bytes.indexOf(0x0a, at);
      const part = bytes.subarray(at, end < 0 ? undefined : end);
      if (!Buffer.from(part.toString("utf8"), "utf8").equals(part)) break;
      at = end < 0 ? bytes.length : end + 1;
    }
    return { line, fault: "it is not UTF-8: give other bytes as base64, in JSON or YAML with an encoding" };
  }
}

function lineOf(bytes: Buffer, offset: number): number {
  let line = 1;
  for (let at = bytes.indexOf(0x0a); at >= 0 && at < offset; at = bytes.indexOf(0x0a, at + 1)) line += 1;
  return line;
}

/** `{ NAME: "value" }` or `{ NAME: { value, encoding, description, tags, owner, rotateBy } }`. */
async function readStructured(text: string, format: "json" | "yaml"): Promise<FileContent> {
  const faults: FileFault[] = [];
  const secrets: FileSecret[] = [];
  try {
    const tree = format === "json" ? readJsonTree(text) : (await import("./yaml-tree.ts")).readYamlTree(text);
    if (tree.kind === "null" && format === "yaml") return { secrets, faults };
    if (tree.kind !== "map") throw new TreeFault(tree.line, notNames(tree));
    for (const entry of tree.entries) {
      const [name, line] = [entry.name, entry.line];
      secrets.push({
        name,
        line,
        ...fieldsOf(entry.tree, (fault) => faults.push({ line: fault.line, fault: fault.fault })),
      });
    }
  } catch (error) {
    if (!(error instanceof TreeFault)) throw error;
    faults.push({ line: error.line, fault: error.message });
  }
  return { secrets, faults };
}

function notNames(tree: Tree): string {
  return tree.kind === "list"
    ? "it is a list, as an export of all scopes is: what is imported has the names of one scope"
    : "it is not names with their values";
}

type Fields = Omit<FileSecret, "name" | "line">;

function fieldsOf(tree: Tree, report: (fault: FileFault) => void): Fields {
  if (tree.kind === "text") return { value: tree.text, encoding: "utf8" };
  if (tree.kind !== "map") {
    report({ line: tree.line, fault: NO_TEXT[tree.kind] });
    return {};
  }
  const fields: { -readonly [F in keyof Fields]: Fields[F] } = {};
  const seen = new Set<string>();
  for (const { name, line, tree: given } of tree.entries) {
    if (seen.has(name)) report({ line, fault: "the field stands twice" });
    seen.add(name);
    const fault = setField(fields, name, given);
    if (fault !== null) report({ line, fault });
  }
  if (fields.encoding !== undefined && fields.value === undefined)
    report({ line: tree.line, fault: "it has an encoding and no value" });
  if (fields.value !== undefined) fields.encoding ??= "utf8";
  return fields;
}

const NO_TEXT = {
  other: "the value is not a text: put it in quotes",
  null: 'there is no value: for an empty one write ""',
  list: "the value is a list, and not a text",
} as const;

function setField(fields: { -readonly [F in keyof Fields]: Fields[F] }, name: string, tree: Tree): string | null {
  switch (name) {
    case "value":
    case "description":
    case "owner":
      if (tree.kind !== "text") return tree.kind === "map" ? "a field has fields" : `${name}: ${NO_TEXT[tree.kind]}`;
      fields[name] = tree.text;
      return null;
    case "encoding":
      if (tree.kind !== "text" || (tree.text !== "utf8" && tree.text !== "base64")) return "encoding: utf8 or base64";
      fields.encoding = tree.text;
      return null;
    case "tags": {
      const texts =
        tree.kind === "list" ? tree.items.flatMap((item) => (item.kind === "text" ? [item.text] : [])) : null;
      if (texts === null || tree.kind !== "list" || texts.length < tree.items.length) return "tags: a list of texts";
      fields.tags = texts;
      return null;
    }
    case "rotateBy": {
      const time = tree.kind === "text" ? parseTime(tree.text) : null;
      if (time === null && tree.kind !== "null") return "rotateBy: a time like 90d, 2026-12-31 or null";
      fields.rotateBy = time;
      return null;
    }
    default:
      return "a field that is not one of value, encoding, description, tags, owner, rotateBy";
  }
}

function faultsOf(secrets: readonly FileSecret[], allowEmpty: boolean): FileFault[] {
  const firstLines = new Map<string, number>();
  return secrets.flatMap(({ name, line, value, encoding }) => {
    const faults: string[] = [];
    if (!SECRET_NAME.test(name) || name === "__proto__")
      faults.push("it has no name of letters, digits and _, at most 128, not beginning with a digit");
    else if (firstLines.has(name)) faults.push(`the name of line ${String(firstLines.get(name))} stands here again`);
    else firstLines.set(name, line);
    const fault = value === undefined ? null : valueFault(value, encoding, allowEmpty);
    return [...faults, ...(fault === null ? [] : [fault])].map((one) => ({ line, fault: one }));
  });
}

function valueFault(value: string, encoding: string | undefined, allowEmpty: boolean): string | null {
  if (value === "" && !allowEmpty) return "the value is empty: say --allow-empty if that is meant";
  if (/\p{Cs}/u.test(value)) return "the value is not well-formed Unicode: give it as base64";
  const bytes = Buffer.from(value, encoding === "base64" ? "base64" : "utf8");
  if (encoding === "base64" && bytes.toString("base64") !== value)
    return "the value is not base64 (RFC 4648 section 4, padded)";
  return bytes.length > MAX_VALUE_BYTES ? "the value holds more than 64 KiB" : null;
}
