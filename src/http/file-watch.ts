import { watch } from "node:fs";
import type { FSWatcher } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path";

/** How often files are looked at anyway, and how soon after the system told of a change. */
export interface WatchPaces {
  readonly pollMs: number;
  readonly soonMs: number;
}

/** Says when it is worth looking at some files again. The poll misses no change; the system's own word is only sooner. */
export class FileWatch {
  readonly #look: () => void;
  readonly #soonMs: number;
  readonly #poll: NodeJS.Timeout;
  readonly #watchers: FSWatcher[] = [];
  #soon: NodeJS.Timeout | null = null;

  constructor(paths: readonly string[], { pollMs, soonMs }: WatchPaces, look: () => void) {
    this.#look = look;
    this.#soonMs = soonMs;
    this.#poll = setInterval(look, pollMs).unref();
    // Of the folder: a file that is replaced is another one, and the watch of the old one would hear nothing.
    for (const folder of new Set(paths.map((path) => dirname(path)))) this.#watch(folder);
  }

  close(): void {
    clearInterval(this.#poll);
    if (this.#soon !== null) clearTimeout(this.#soon);
    for (const watcher of this.#watchers) watcher.close();
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => {
        this.#soon ??= setTimeout(() => {
          this.#soon = null;
          this.#look();
        }, this.#soonMs).unref();
      });
      watcher.on("error", () => {
        watcher.close();
      });
      this.#watchers.push(watcher);
    } catch {
      // No watch on this file system, or too many of them: the poll remains.
    }
  }
}

/** Another one when a file was written, replaced, or is gone. */
export async function signatureOf(paths: readonly string[]): Promise<string> {
  const parts = await Promise.all(
    paths.map((path) =>
      stat(path, { bigint: true }).then(
        ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join("."),
        () => "none",
      ),
    ),
  );
  return parts.join(" ");
}
