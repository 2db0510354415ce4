import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own, ext4 on a loop device, that can be filled. Takes root. */
export class SmallDisk {
  /** Where it is mounted. */
  readonly folder: string;
  readonly #image: string;
  readonly #ballast: string;

  private constructor(root: string) {
    this.#image = join(root, "disk.img");
    this.folder = join(root, "disk");
    this.#ballast = join(this.folder, "ballast");
  }

  /** @throws where it cannot be made: see {@link whyNoSmallDisk}. */
  static make(megabytes: number): SmallDisk {
    const disk = new SmallDisk(mkdtempSync(join(tmpdir(), "sallyport-disk-")));
    try {
      writeFileSync(disk.#image, "");
      truncateSync(disk.#image, megabytes * 1024 * 1024);
      run("mkfs.ext4", "-q", "-m", "0", "-F", disk.#image);
      run("mkdir", disk.folder);
      run("mount", "-o", "loop", disk.#image, disk.folder);
      return disk;
    } catch (error) {
      rmSync(join(disk.folder, ".."), { recursive: true, force: true });
      throw error;
    }
  }

  /** Leaves no block free. */
  fill(): void {
    const { bavail, bsize } = statfsSync(this.folder);
    for (let blocks = bavail; blocks > 0; blocks = Math.floor(blocks / 2)) {
      try {
        writeFileSync(this.#ballast, Buffer.alloc(blocks * bsize), { flag: "a", flush: true });
      } catch {
        // As much of it as there was room for was written; then a smaller piece.
      }
    }
  }

  empty(): void {
    unlinkSync(this.#ballast);
  }

  /** Takes it out of the tree and puts it back. */
  again(): void {
    run("umount", this.folder);
    run("mount", "-o", "loop", this.#image, this.folder);
  }

  /** Read-only, or writable again. Throws while a file on it is open for writing. */
  set writable(writable: boolean) {
    run("mount", "-o", `remount,${writable ? "rw" : "ro"}`, this.folder);
  }

  remove(): void {
    run("umount", this.folder);
    rmSync(join(this.folder, ".."), { recursive: true, force: true });
  }
}

/** Why there can be no small disk here; `null` where there can. */
export function whyNoSmallDisk(): string | null {
  try {
    SmallDisk.make(8).remove();
    return null;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "ENOENT"
      ? "mkfs.ext4 is not installed"
      : "a file system cannot be mounted here (it takes root and loop devices)";
  }
}

function run(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: "pipe" });
}
