import {
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { CliError, usage } from "./error.ts";

/**
 * The content of a file that holds a credential. Refused unless it belongs to this user or root and nobody else can read
 * it. Two kinds differ: a pipe (`<(pass show …)`), which nobody else can open, and a systemd credential (a file under
 * $CREDENTIALS_DIRECTORY), which systemd may open to the service's group.
 */
export function readPrivateFile(path: string, env: Environment): string {
  const fd = openToRead(path);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() && !stat.isFIFO()) throw usage(`${path} is not a file.`);
    const user = process.getuid?.();
    if (user !== undefined) {
      const forbidden = isSystemdCredential(path, env) ? 0o007 : 0o077;
      if ((stat.mode & forbidden) !== 0 || (stat.uid !== user && stat.uid !== 0)) {
        throw new CliError("usage", `${path} can be read or replaced by others; it was not used.`, {
          remedy: `Make it yours alone: chmod 600 ${path}. What cannot be changed can come through a descriptor: --credential-fd 3 3<${path}`,
        });
      }
    }
    return readAll(fd, MAX_CREDENTIAL_BYTES, path).toString("utf8");
  } finally {
    closeSync(fd);
  }
}

/** All bytes of any file. */
export function readFile(path: string, maxBytes: number): Buffer {
  const fd = openToRead(path);
  try {
    return readAll(fd, maxBytes, path);
  } finally {
    closeSync(fd);
  }
}

/** What an open descriptor holds. It is closed afterwards (but for stdin), so that no child inherits it. */
export function readDescriptor(fd: number): string {
  try {
    return readAll(fd, MAX_CREDENTIAL_BYTES, `descriptor ${String(fd)}`).toString("utf8");
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw usage(`Descriptor ${String(fd)} cannot be read: ${codeOf(error)}.`);
  } finally {
    if (fd > 2) closeQuietly(fd);
  }
}

/** A file to be, which only its owner can read and which appears whole or not at all. */
export interface PrivateFile {
  commit(content: string | Uint8Array): void;
  discard(): void;
}

/**
 * Opens `path` for writing before what it will hold exists: what is shown only once must not be lost to a folder that
 * cannot be written. The content goes to a file beside it with mode 0600 from its first moment, which then takes the name.
 */
export function openPrivateFile(path: string): PrivateFile {
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
      renameSync(draft, path);
    },
    discard() {
      closeQuietly(fd);
      removeFile(draft);
    },
  };
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

/** The system's word for what went wrong: ENOENT, EACCES, … */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "failed";
}

export type Environment = Readonly<Record<string, string | undefined>>;

const MAX_CREDENTIAL_BYTES = 16 * 1024;

function openToRead(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY);
  } catch (error) {
    throw usage(`${path} cannot be read: ${codeOf(error)}.`);
  }
}

function readAll(fd: number, maxBytes: number, what: string): Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  for (;;) {
    const part = Buffer.alloc(64 * 1024);
    const read = readSync(fd, part);
    if (read === 0) return Buffer.concat(parts);
    length += read;
    if (length > maxBytes) throw new CliError("payload_too_large", `${what} holds more than ${String(maxBytes)} bytes`);
    parts.push(part.subarray(0, read));
  }
}

function isSystemdCredential(path: string, env: Environment): boolean {
  const folder = env.CREDENTIALS_DIRECTORY;
  if (folder === undefined || folder === "") return false;
  try {
    return realpathSync(path).startsWith(realpathSync(folder) + sep);
  } catch {
    return false;
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It was closed before: nothing is left to do.
  }
}
