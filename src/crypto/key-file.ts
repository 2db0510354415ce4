import { constants } from "node:fs";
import { chmod, link, mkdir, open, stat, unlink } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import type { Stats } from "node:fs";
import { basename, dirname, join } from "node:path";
import { VaultError } from "#base";
import { randomBytes } from "./random.ts";

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;
const STICKY = 0o1000;
const PERMISSIONS = 0o7777;
const MOST_BYTES = 4096;
const ROOT_UID = 0;

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/**
 * Makes a file that only we can read; it is there whole and on the disk, or not at all. Missing folders are made 0700; a
 * folder of ours that others can write loses that. A crash can leave `.<name>.<random>.new` beside it, as closed as the
 * file itself.
 *
 * Throws `already_exists` for a path that names anything, a dangling link too; `key_file_unsafe` for a folder that others
 * can write; `config_invalid` for one that cannot be made.
 */
export async function createKeyFile(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  await makeFolder(folder).catch((cause: unknown) => {
    const message = `${folder} cannot be made (${errorCode(cause) ?? "unknown"})`;
    throw new VaultError("config_invalid", undefined, { detail: { faults: [{ field: "keys", message }] }, cause });
  });
  await closeFolder(folder);
  await checkFolder(path, folder);

  const draft = join(folder, `.${basename(path)}.${randomBytes(8).toString("hex")}.new`);
  const file = await open(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
  try {
    await writeDurably(file, text);
    await link(draft, path);
  } catch (error) {
    if (errorCode(error) === "EEXIST") throw new VaultError("already_exists", `${path} is there already and stays`);
    throw error;
  } finally {
    await unlink(draft);
  }
  await syncFolder(folder);
}

/**
 * The text of a key file. What is checked is what was opened, not what the path named a moment before.
 *
 * Throws `key_file_missing`; `key_file_unsafe` for a symbolic link, anything but a regular file, a file of another user
 * than us or root, a permission bit for group or others, a folder that others can write; `key_file_invalid` for more
 * than `mostBytes`. Each message names the path and the command that helps.
 */
export async function readKeyFile(path: string, mostBytes = MOST_BYTES): Promise<string> {
  const file = await openKeyFile(path);
  try {
    checkFile(path, await file.stat());
    await checkFolder(path, dirname(path));
    return await readBounded(path, file, mostBytes);
  } finally {
    await file.close();
  }
}

/** That nobody else may put another file in this one's place. Throws `key_file_unsafe`. */
export async function checkFolderOf(path: string): Promise<void> {
  await checkFolder(path, dirname(path));
}

async function openKeyFile(path: string): Promise<FileHandle> {
  try {
    // Without O_NONBLOCK a pipe put there would hold the start for ever.
    return await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new VaultError("key_file_missing", `${path} is not there. Restore it from where you keep its copy`);
    }
    if (code === "ELOOP") {
      throw unsafe(`${path} is a symbolic link`, "Put the file itself there, or name the path that the link leads to");
    }
    if (code === "EACCES") {
      const fix = `Run: chown ${us()} ${quote(path)} && chmod 600 ${quote(path)}`;
      throw unsafe(`${path} cannot be read by this user`, fix);
    }
    throw error;
  }
}

function checkFile(path: string, stats: Stats): void {
  if (!stats.isFile()) throw unsafe(`${path} is not a regular file`, `Put the key file itself there`);
  if (!isOurs(stats)) {
    throw unsafe(`${path} belongs to user ${stats.uid}`, `Run: chown ${us()} ${quote(path)}`);
  }
  if ((stats.mode & OTHERS) !== 0) {
    const mode = (stats.mode & PERMISSIONS).toString(8);
    throw unsafe(`${path} is open to other users (mode ${mode})`, `Run: chmod 600 ${quote(path)}`);
  }
}

/** Who may write in the folder may put another file in the key's place. */
async function checkFolder(path: string, folder: string): Promise<void> {
  const stats = await stat(folder);
  if (!isOurs(stats)) {
    const fix = `Run: chown ${us()} ${quote(folder)}`;
    throw unsafe(`${path} can be replaced: its folder ${folder} belongs to user ${stats.uid}`, fix);
  }
  if (isWritableByOthers(stats)) {
    throw unsafe(`${path} can be replaced: others can write in ${folder}`, `Run: chmod go-w ${quote(folder)}`);
  }
}

/** With the folders above it. Not by `recursive`: where nothing can be made (/proc), Node then never comes back. */
async function makeFolder(path: string): Promise<void> {
  const above = dirname(path);
  try {
    await mkdir(path, { mode: FOLDER_MODE });
  } catch (error) {
    if (errorCode(error) === "EEXIST") return;
    if (errorCode(error) !== "ENOENT" || above === path || (await isThere(above))) throw error;
    await makeFolder(above);
    await mkdir(path, { mode: FOLDER_MODE });
  }
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** A umask of 002 is common and makes folders of a checkout writable to a group: not worth a refusal at the first start. */
async function closeFolder(folder: string): Promise<void> {
  const stats = await stat(folder);
  if (stats.uid !== us() || !isWritableByOthers(stats)) return;
  await chmod(folder, stats.mode & PERMISSIONS & ~OTHERS_WRITE);
}

function isWritableByOthers(stats: Stats): boolean {
  return (stats.mode & OTHERS_WRITE) !== 0 && (stats.mode & STICKY) === 0;
}

function isOurs(stats: Stats): boolean {
  return stats.uid === us() || stats.uid === ROOT_UID;
}

function us(): number {
  return process.geteuid?.() ?? ROOT_UID;
}

async function writeDurably(file: FileHandle, text: string): Promise<void> {
  try {
    await file.writeFile(text, "ascii");
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readBounded(path: string, file: FileHandle, mostBytes: number): Promise<string> {
  const bytes = Buffer.alloc(mostBytes + 1);
  let length = 0;
  try {
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, null);
      length += bytesRead;
      if (length > mostBytes) throw new VaultError("key_file_invalid", `${path} is too large for a key file`);
      if (bytesRead === 0) return bytes.toString("latin1", 0, length);
    }
  } finally {
    bytes.fill(0);
  }
}

function unsafe(what: string, fix: string): VaultError {
  return new VaultError("key_file_unsafe", `${what}. ${fix}`);
}

/** A path as a shell takes it. */
function quote(path: string): string {
  return /^[\w./~@%+,:-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`;
}

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
