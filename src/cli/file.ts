import {
  chmodSync,
  closeSync,
  constants,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { codeOf } from "#client";
import { CliError, usage } from "./error.ts";

/** By its mode. */
export function othersCanRead(path: string): boolean {
  return process.getuid !== undefined && (statSync(path).mode & 0o044) !== 0;
}

/** A file to be, which only its owner can read and which appears whole or not at all. */
export interface PrivateFile {
  commit(content: string | Uint8Array): void;
  discard(): void;
}

/**
 * Opens `path` for writing before what it will hold exists: what is shown only once must not be lost to a folder that
 * cannot be written. The content goes to a file beside it with mode 0600 from its first moment, which then takes the name.
 *
 * @param keep refuse where something has the name already, and take it from nobody who makes it meanwhile.
 */
export function openPrivateFile(path: string, keep = false): PrivateFile {
  if (keep && lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw taken(path);
  const draft = join(dirname(path), `.${basename(path)}.${String(process.pid)}.${String(Date.now())}.new`);
  let fd: number;
  try {
    fd = openSync(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  } catch (error) {
    throw usage(`${path} cannot be written: ${codeOf(error)}.`);
  }
  return {
    commit(content) {
      const bytes = typeof content === "string" ? Buffer.from(content, "utf8") : content;
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
      fsyncSync(fd);
      closeSync(fd);
      take(draft, path, keep);
    },
    discard() {
      closeQuietly(fd);
      removeFile(draft);
    },
  };
}

/** Gives the draft its name. With `keep` only if nobody else has it: a link is made or not, in one step. */
function take(draft: string, path: string, keep: boolean): void {
  try {
    if (keep) linkSync(draft, path);
    else renameSync(draft, path);
  } catch (error) {
    throw codeOf(error) === "EEXIST" ? taken(path) : usage(`${path} cannot be written: ${codeOf(error)}.`);
  }
  if (keep) removeFile(draft);
}

function taken(path: string): CliError {
  return new CliError("already_exists", `${path} is there already`, {
    remedy: "Say --force to replace it, or name another file.",
  });
}

export function writePrivateFile(path: string, content: string): void {
  const file = openPrivateFile(path);
  try {
    file.commit(content);
  } catch (error) {
    file.discard();
    throw error;
  }
}

/** A folder for one user: 0700, also when it was there before. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  chmodSync(path, 0o700);
}

/** Removes a file; no error when there is none. */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It was closed before: nothing is left to do.
  }
}
