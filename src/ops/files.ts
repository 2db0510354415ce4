import { constants } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { formatSize, formatSpan, isVaultError } from "#base";
import { fileRootKey, loadSigner, readAuthorities, readCertificate, termOf } from "#crypto";
import { failed, ok, warning } from "./check.ts";
import type { Check, Finding, Scene } from "./check.ts";

const MIB = 1024 ** 2;
const LEAST_BYTES = 100 * MIB;
const FEW_BYTES = 1024 * MIB;
const LEAST_INODES = 1_000;
/** Signed every minute while something happens. */
const LATE_MS = 3 * 60_000;

const READ_ONLY =
  "Look into the machine's log for why: a disk that fails is turned read-only. Mount it for writing, or name another folder.";

/** Kinds of file systems by the number that statfs(2) has for them. */
const NETWORK: Readonly<Record<number, string>> = {
  0x6969: "NFS",
  0x517b: "SMB",
  0xff534d42: "CIFS",
  0xfe534d42: "SMB",
  0x01021997: "9p",
  0x00c36400: "Ceph",
  0x5346414f: "AFS",
  0x73757245: "Coda",
  0x01161970: "GFS2",
  0x7461636f: "OCFS2",
  0x0bd00bd0: "Lustre",
};
const PASSING: Readonly<Record<number, string>> = { 0x01021994: "tmpfs", 0x858458f6: "ramfs" };
const FUSE = 0x65735546;
const OVERLAY = 0x794c7630;

export const fileChecks: readonly Check[] = [
  { name: "data folder", about: "there, of this user, closed to others", run: dataFolder },
  { name: "disk space", about: "room and inodes for the database and its log", run: diskSpace },
  { name: "file system", about: "one that keeps what it was told to keep", run: fileSystem },
  { name: "key files", about: "there, private, and of this database", run: keyFiles },
  { name: "certificate", about: "in its time, and its key fits", run: certificate },
  { name: "checkpoint file", about: "writable, and on another disk than the data", run: checkpointFile },
  { name: "checkpoints", about: "as new as the audit log", run: checkpoints },
];

async function dataFolder({ config: { dataFolder: folder } }: Scene): Promise<Finding> {
  const stats = await lookAt(folder);
  if (stats === null) return ok(`${folder} is not there yet: the first start makes it`);
  if (!stats.isDirectory()) return failed(`${folder} is not a folder`, "Name another with --data.");
  const me = process.geteuid?.();
  if (me !== undefined && stats.uid !== me) {
    const what = `${folder} belongs to user ${String(stats.uid)}, and this is user ${String(me)}`;
    return failed(what, "Run this, and the vault, as the user to whom the folder belongs.");
  }
  const against = await writing(folder);
  if (against === "EROFS") return failed(`${folder} lies on a read-only file system`, READ_ONLY);
  if (against !== null) return failed(`${folder} cannot be written`, `chmod u+rwx ${folder}`);
  for (const path of [folder, join(folder, "vault.db"), join(folder, "vault.db-wal"), join(folder, "lock.db")]) {
    const mode = ((await lookAt(path))?.mode ?? 0) & 0o777;
    if ((mode & 0o077) === 0) continue;
    return warning(`${path} is open to other users (mode ${mode.toString(8)})`, `chmod go= ${path}`);
  }
  return ok(`${folder} is this user's alone`);
}

async function diskSpace({ config: { dataFolder: folder } }: Scene): Promise<Finding> {
  const { bavail, bsize, blocks, ffree, files } = await statfs(await nearest(folder));
  const free = bavail * bsize;
  const inodes = files > 0 && ffree < LEAST_INODES ? `, and ${String(ffree)} inodes` : "";
  const what = `${formatSize(free)} of ${formatSize(blocks * bsize)} are free${inodes}`;
  const remedy = "Make room on that disk: a vault that cannot write its audit log refuses everything.";
  if (free < LEAST_BYTES || (inodes !== "" && ffree < LEAST_INODES / 10)) return failed(what, remedy);
  return free < FEW_BYTES || inodes !== "" ? warning(what, remedy) : ok(what);
}

async function fileSystem({ config: { dataFolder: folder } }: Scene): Promise<Finding> {
  return kindOf((await statfs(await nearest(folder))).type, folder);
}

/** Exported for its tests: not every machine has a network file system. */
export function kindOf(type: number, folder: string): Finding {
  const network = NETWORK[type];
  if (network !== undefined) {
    const what = `${folder} is on a network (${network}), where SQLite's locks and syncs cannot be relied on`;
    return failed(what, "Move the data folder to a disk of this machine.");
  }
  const passing = PASSING[type];
  if (passing !== undefined) {
    return warning(
      `${folder} is in memory (${passing}) and gone with the machine`,
      "Name a folder on a disk with --data.",
    );
  }
  if (type === OVERLAY) {
    const what = `${folder} is in a container's own layer, and gone with the container`;
    return warning(what, "Mount a volume there.");
  }
  if (type === FUSE) {
    return warning(
      `${folder} is on a FUSE file system, which may be a network's`,
      "Make sure that it keeps what is synced.",
    );
  }
  return ok("a local one");
}

async function keyFiles({ config: { keysFolder }, database }: Scene): Promise<Finding> {
  const rootFile = join(keysFolder, "root.key");
  const paths = [rootFile, join(keysFolder, "checkpoint.key")];
  const isNew = database === null || (!(database instanceof Error) && database.rootKey === null);
  if (isNew && (await lookAt(rootFile)) === null) return ok("none yet: the first start makes them");
  try {
    const root = await fileRootKey(rootFile).load();
    root.zero();
    await loadSigner(paths[1] ?? "", "doctor");
    if (database instanceof Error) return ok("there and private; whether they are this database's cannot be told");
    if (database?.rootKey != null && database.rootKey !== root.id) {
      return failed(
        `${rootFile} is not the key of this database`,
        "Put back the key file that belongs to it, or name its folder with --keys.",
      );
    }
    return ok(`there, private${isNew ? "" : ", and of this database"}`);
  } catch (error) {
    const what = isVaultError(error) ? error.message : `${keysFolder} cannot be read`;
    return failed(
      what,
      isVaultError(error, "key_file_missing") ? "Restore the key file from its copy." : "See keys/README.md.",
    );
  }
}

async function certificate({ config: { tls }, now }: Scene): Promise<Finding> {
  if (tls === null) return ok("none: the vault speaks plain HTTP");
  try {
    const { validFrom, validTo } = await readCertificate(tls.certificateFile, tls.keyFile);
    if (tls.clientAuthorityFile !== null) await readAuthorities(tls.clientAuthorityFile);
    const remedy = "Renew it: a running vault takes the new files by itself.";
    const left = validTo.getTime() - now.getTime();
    const term = termOf({ validFrom, validTo }, now);
    if (term === "early")
      return failed(`it is valid only from ${validFrom.toISOString()} on`, "Set the clock right, or take another.");
    if (term === "ended") return failed(`it has ended ${formatSpan(left)} ago`, remedy);
    const what = `it ends in ${formatSpan(left)}, and its key fits`;
    return term === "ends soon" ? warning(what, remedy) : ok(what);
  } catch (error) {
    if (!isVaultError(error)) throw error;
    return failed(error.detail.faults?.[0]?.message ?? error.message, "Put the right files there.");
  }
}

async function checkpointFile({ config, database }: Scene): Promise<Finding> {
  const { checkpointFile: file, dataFolder: folder } = config;
  const stats = await lookAt(file);
  if (stats !== null && !stats.isFile()) return failed(`${file} is not a file`, "Name another with --checkpoints.");
  const place = await nearest(stats === null ? dirname(file) : file);
  const against = await writing(place);
  if (against === "EROFS") return failed(`${file} lies on a read-only file system`, READ_ONLY);
  if (against !== null) return failed(`${file} cannot be written`, "Give this user the right to write there.");
  const isSigned = database !== null && !(database instanceof Error) && database.newestCheckpointAt !== null;
  if (stats === null && isSigned) {
    const remedy =
      "Put it back, mount its disk, or name the right file with --checkpoints. Where it was moved on purpose the vault begins a new one.";
    return warning(
      `${file} is not there, and the database has checkpoints: nothing would tell that it is an old one`,
      remedy,
    );
  }
  const [its, datas] = [await stat(place), await stat(await nearest(folder))];
  if (its.dev !== datas.dev) return ok(`${file}, on another disk than the data`);
  const remedy =
    "Name a file on another disk with --checkpoints: who can put back an old database could put back this file too.";
  return warning(`${file} is on the data's own disk`, remedy);
}

function checkpoints({ database, running, now }: Scene): Finding {
  if (database === null) return ok("none yet");
  if (database instanceof Error)
    return warning("not known: the database could not be looked at", "See the check of the database.");
  const { newestEventAt, newestCheckpointAt } = database;
  if (newestEventAt === null) return ok("nothing to sign yet");
  const since =
    newestCheckpointAt === null
      ? "none was ever signed"
      : `the last is ${formatSpan(now.getTime() - newestCheckpointAt.getTime())} old`;
  const isCovered = newestCheckpointAt !== null && newestCheckpointAt >= newestEventAt;
  if (isCovered) return ok(`${since}, and nothing happened after it`);
  if (running !== null && now.getTime() - newestEventAt.getTime() < LATE_MS) return ok(since);
  const what = `${since}, and events after it are covered by no signature`;
  return running === null
    ? warning(`${what}: the vault was not stopped in order`, "The next start signs them.")
    : failed(
        what,
        "Look for “background work failed” in the vault's log: the checkpoint file cannot be written, most likely.",
      );
}

async function lookAt(path: string) {
  return stat(path).catch(() => null);
}

/** What stands against writing there, as the system calls it; `null` for nothing. */
async function writing(path: string): Promise<string | null> {
  return access(path, constants.W_OK).then(
    () => null,
    (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : "unknown"),
  );
}

/** The path, or the folder above it that is there. */
async function nearest(path: string): Promise<string> {
  let at = path;
  while ((await lookAt(at)) === null && dirname(at) !== at) at = dirname(at);
  return at;
}
