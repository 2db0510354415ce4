import { closeSync, constants, fstatSync, openSync, readSync, realpathSync } from "node:fs";
import { sep } from "node:path";
import { SallyportError, usage } from "./error.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const MAX_CREDENTIAL_BYTES = 16 * 1024;

/**
 * The content of a file that holds a credential. Refused unless it belongs to this user or root and nobody else can read
 * it. `otherwise` is the option that takes a descriptor in its place. Two kinds differ: a pipe (`<(pass show …)`), which nobody else can open, and a systemd credential (a file under
 * $CREDENTIALS_DIRECTORY), which systemd may open to the service's group.
 */
export function readPrivateFile(path: string, env: Environment, otherwise?: string): string {
  const fd = openToRead(path);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() && !stat.isFIFO()) throw usage(`${path} is not a file.`);
    const user = process.getuid?.();
    if (user !== undefined) {
      const forbidden = isSystemdCredential(path, env) ? 0o007 : 0o077;
      if ((stat.mode & forbidden) !== 0 || (stat.uid !== user && stat.uid !== 0)) {
        throw new SallyportError("usage", `${path} can be read or replaced by others; it was not used.`, {
          remedy: `Make it yours alone: chmod 600 ${path}.${otherwise === undefined ? "" : ` What cannot be changed can come through a descriptor: ${otherwise} 3 3<${path}`}`,
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

/**
 * What an open descriptor holds. It is closed afterwards (but for stdin), so that no child inherits it. One that could not
 * be read stays open: it may be the runtime's own, which ends without it.
 */
export function readDescriptor(fd: number): string {
  const what = `Descriptor ${String(fd)}`;
  if (!holdsText(fd)) throw usage(`${what} is not open, or is nothing that can be read.`);
  const text = readAll(fd, MAX_CREDENTIAL_BYTES, what).toString("utf8");
  if (fd > 2) closeQuietly(fd);
  return text;
}

/** What a shell can have opened. An epoll or event descriptor, which the runtime has, is of none of these kinds. */
function holdsText(fd: number): boolean {
  try {
    const stat = fstatSync(fd);
    return stat.isFile() || stat.isFIFO() || stat.isSocket() || stat.isCharacterDevice();
  } catch {
    return false;
  }
}

/** The system's word for what went wrong: ENOENT, EACCES, … */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "failed";
}

function wordOf(error: unknown): string {
  const code = codeOf(error);
  if (code === "ENOENT") return "there is no such file";
  return code === "EACCES" ? "this user may not" : code;
}

function openToRead(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY);
  } catch (error) {
    throw usage(`${path} cannot be read: ${wordOf(error)}.`);
  }
}

function readAll(fd: number, maxBytes: number, what: string): Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  for (;;) {
    const part = Buffer.alloc(64 * 1024);
    const read = readPart(fd, part, what);
    if (read === 0) return Buffer.concat(parts);
    length += read;
    if (length > maxBytes)
      throw new SallyportError("payload_too_large", `${what} holds more than ${String(maxBytes)} bytes`);
    parts.push(part.subarray(0, read));
  }
}

function readPart(fd: number, part: Buffer, what: string): number {
  try {
    return readSync(fd, part);
  } catch (error) {
    throw usage(codeOf(error) === "EISDIR" ? `${what} is a folder.` : `${what} cannot be read: ${wordOf(error)}.`);
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
