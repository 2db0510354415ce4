import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { itWith } from "./carried.ts";

/** What is promised for. */
export const SHELLS = ["/bin/sh", "/bin/bash", "/bin/dash"] as const;
/** Its values are safe as well; its own names are more than those of the others. */
export const ZSH = "/usr/bin/zsh";
const BASH = "/bin/bash";

/** Those that are here. */
export const HERE = [...SHELLS, ZSH].filter((shell) => existsSync(shell));

/** A test that takes a shell; where it is missing, the run says what was not proven. */
export function itInShell(shell: string, title: string, run: () => void): void {
  itWith(existsSync(shell), shell, title, run);
}

export function itInBash(title: string, run: () => void): void {
  itInShell(BASH, title, run);
}

/** A folder for what shells read, and the file that must not appear there. */
export class Yard {
  readonly path = mkdtempSync(join(tmpdir(), "sallyport-format-"));
  readonly canary = join(this.path, "canary");

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** What a shell has in its environment after it read the text, byte by byte. */
  sourced(shell: string, body: Buffer, locale: string): Map<string, Buffer> {
    const out = this.#run(shell, ["-c", 'set -a; . "$1" && exec /usr/bin/env -0', shell, this.#file(body)], locale);
    const found = new Map<string, Buffer>();
    for (let from = 0; from < out.length;) {
      const end = out.indexOf(0, from);
      const line = out.subarray(from, end);
      const sign = line.indexOf("=");
      found.set(line.subarray(0, sign).toString(), Buffer.from(line.subarray(sign + 1)));
      from = end + 1;
    }
    return found;
  }

  /** Whether the canary appeared while a shell read this, whatever else it says. */
  ran(shell: string, body: Buffer | string): boolean {
    rmSync(this.canary, { force: true });
    try {
      this.#run(shell, ["-c", '. "$1"; : "$HOME"', shell, this.#file(body)], "C.UTF-8");
    } catch {
      // A shell that stops at a name of its own has run nothing.
    }
    return existsSync(this.canary);
  }

  /** The same for somebody who sits at bash, and is shown a prompt after it. */
  ranAtPrompt(body: Buffer | string): boolean {
    rmSync(this.canary, { force: true });
    try {
      execFileSync(BASH, ["--norc", "--noprofile", "-i"], {
        env: { HOME: this.path },
        input: `. ${this.#file(body)}\ntrue\nfor a in b\ndo true; done\n`,
        stdio: ["pipe", "ignore", "ignore"],
      });
    } catch {
      // As above.
    }
    return existsSync(this.canary);
  }

  #file(body: Buffer | string): string {
    const file = join(this.path, "variables.sh");
    writeFileSync(file, body);
    return file;
  }

  #run(shell: string, args: readonly string[], locale: string): Buffer {
    return execFileSync(shell, args, {
      env: { LC_ALL: locale, HOME: this.path },
      // Not a socket: bash takes that for a remote shell and reads its start-up files.
      stdio: ["ignore", "pipe", "ignore"],
      maxBuffer: 64 * 1024 * 1024,
    });
  }
}
