import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { VaultError } from "#base";

/** What stands in a settings file under one key. */
export interface Entry {
  readonly key: string;
  /** From 1. */
  readonly line: number;
  /** As text; a list's items are joined by commas; `null` where it is neither one value nor a list of them. */
  readonly text: string | null;
  readonly isList: boolean;
}

const MAX_BYTES = 256 * 1024;

/**
 * The entries of a settings file in YAML 1.2, of which JSON is a part; `null` where there is none. Whoever can write it
 * decides where secrets go: so only its owner may (as ssh has it of its configuration, and sudo of its own), and with
 * `found`, where it was not named but found in the working folder, the owner has to be this user or root.
 *
 * @throws {VaultError} `config_invalid`: it cannot be read, is not one map, or others may write it. Nothing of what it
 * says is repeated but its keys.
 */
export async function readFileEntries(path: string, found: boolean): Promise<readonly Entry[] | null> {
  const text = await readText(path, found);
  if (text === null) return null;
  const { LineCounter, isMap, isScalar, isSeq, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  const lineOf = (offset: number | undefined) => lines.linePos(offset ?? 0).line;
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: "error" });
  const faults = [...document.errors, ...document.warnings].map(({ code, pos }) => ({
    field: `${path}:${String(lineOf(pos[0]))}`,
    message: code === "DUPLICATE_KEY" ? "this key stands here a second time" : "this is not YAML or JSON",
  }));
  if (faults.length > 0) throw new VaultError("config_invalid", undefined, { detail: { faults } });
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null)) return [];
  if (!isMap(contents)) throw fault(path, "a map of settings is expected: one `name: value` a line");
  const textOf = (item: unknown): string | null => {
    const value: unknown = isScalar(item) ? item.value : null;
    return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : null;
  };
  return contents.items.map(({ key, value }) => {
    const name = isScalar(key) ? String(key.value) : "?";
    const line = lineOf(isScalar(key) ? key.range[0] : undefined);
    if (!isSeq(value)) return { key: name, line, text: textOf(value), isList: false };
    const items = value.items.map(textOf);
    const text = items.every((item) => item !== null && !item.includes(",")) ? items.join(",") : null;
    return { key: name, line, text, isList: true };
  });
}

async function readText(path: string, found: boolean): Promise<string | null> {
  let file;
  try {
    // A pipe without a writer would be waited for without end.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : null;
    if (code === "ENOENT" && found) return null;
    if (code === "ENOENT") throw fault(path, "there is no such file");
    throw fault(path, "it cannot be read", error);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw fault(path, "a file is expected");
    if ((stat.mode & 0o022) !== 0)
      throw fault(path, `others than its owner may write it: chmod go-w ${shellWord(path)}`);
    const mine = process.getuid === undefined || stat.uid === process.getuid() || stat.uid === 0;
    if (found && !mine) {
      const remedy = `chown ${String(process.getuid?.())} ${shellWord(path)}, or if it is meant, name it with --config`;
      throw fault(path, `it is another user's (${String(stat.uid)}): ${remedy}`);
    }
    if (stat.size > MAX_BYTES) throw fault(path, "it is too large to be one of settings");
    const bytes = await file.readFile();
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (error) {
      throw fault(path, "it is not UTF-8", error);
    }
  } finally {
    await file.close();
  }
}

function shellWord(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fault(path: string, message: string, cause?: unknown): VaultError {
  return new VaultError("config_invalid", undefined, { detail: { faults: [{ field: path, message }] }, cause });
}
