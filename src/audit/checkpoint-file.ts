import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { VaultError, isId, isVaultError } from "#base";
import type { Id } from "#base";

/** One checkpoint: the chain and its note. */
export interface CheckpointLine {
  readonly chain: Id<"org">;
  readonly note: string;
}

const NEWLINE = 0x0a;
const START = '{"chain":"';
/** Longer than any line. */
const TAIL_BYTES = 65_536;

/**
 * Checkpoints outside the database, one JSON object a line, in the order they were signed:
 *
 * ```
 * {"chain":"org_…","note":"…"}\n        the note in C2SP's signed-note form: note.ts
 * ```
 *
 * The file only grows. A last line without its newline was cut short by a crash: it was never acknowledged and counts for
 * nothing.
 */
export class CheckpointFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** Appends a line, durably; where that fails, nothing of it stays, as far as the file system lets it be taken back. */
  async append(line: CheckpointLine): Promise<void> {
    const file = await open(this.path, "a+", 0o600);
    try {
      const before = (await file.stat()).size;
      await cutTorn(file, before);
      const { size } = await file.stat();
      try {
        await file.appendFile(`${JSON.stringify(line)}\n`);
        await file.sync();
      } catch (error) {
        // Bytes that were not confirmed count as written for the system and are not tried again: they go, and come anew.
        await file.truncate(size).catch(() => undefined);
        throw error;
      }
      if (size === 0) await syncFolder(dirname(this.path));
    } finally {
      await file.close();
    }
  }

  /** Every whole line with its number, from 1 on; `null` for one that is no checkpoint. None where there is no file. */
  async *lines(): AsyncGenerator<{ readonly number: number; readonly line: CheckpointLine | null }> {
    const stream = createReadStream(this.path, "utf8");
    let number = 0;
    let rest = "";
    try {
      for await (const chunk of stream) {
        const texts = `${rest}${String(chunk)}`.split("\n");
        rest = texts.pop() ?? "";
        for (const text of texts) yield { number: (number += 1), line: parseLine(text) };
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT")
        throw new VaultError("store_unavailable", `The checkpoint file ${this.path} cannot be read.`, { cause: error });
    } finally {
      stream.destroy();
    }
  }
}

const WORDS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk of the checkpoint file is full",
  EDQUOT: "the disk of the checkpoint file is full",
  EROFS: "the file system of the checkpoint file is read-only",
  EIO: "the disk of the checkpoint file answered with an error",
  EACCES: "the checkpoint file may not be written",
  EPERM: "the checkpoint file may not be written",
  ENOENT: "the folder of the checkpoint file is gone",
  ENOTDIR: "the folder of the checkpoint file is gone",
  EISDIR: "the checkpoint file is a folder",
  EMFILE: "the process has no descriptor left to open the checkpoint file",
  ENFILE: "the machine has no descriptor left to open the checkpoint file",
};

/** Why a checkpoint was not written, in words that anybody may read: no path, no value. */
export function reasonOf(error: unknown): string {
  if (isVaultError(error)) return "the database cannot be written";
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return WORDS[code] ?? "the checkpoint could not be written";
}

function parseLine(text: string): CheckpointLine | null {
  try {
    const { chain, note } = JSON.parse(text) as Partial<Record<string, unknown>>;
    return typeof chain === "string" && isId("org", chain) && typeof note === "string" ? { chain, note } : null;
  } catch {
    return null;
  }
}

/** Takes away the beginning of a line that a crash left, so that the next line does not grow out of it. */
async function cutTorn(file: FileHandle, size: number): Promise<void> {
  const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
  await file.read(tail, 0, tail.length, size - tail.length);
  if (tail.length === 0 || tail.at(-1) === NEWLINE) return;
  const whole = tail.lastIndexOf(NEWLINE) + 1;
  const torn = tail.toString("utf8", whole);
  // Only what we may have written is cut; a file that only lets itself be appended to keeps the piece as a line of its own.
  const cut =
    (torn.startsWith(START) || START.startsWith(torn)) &&
    (await file.truncate(size - tail.length + whole).then(
      () => true,
      () => false,
    ));
  if (!cut) await file.appendFile("\n");
}

/** A new file is there after a power cut only when its folder was synced. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
