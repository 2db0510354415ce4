import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { findIn } from "./canary-forms.ts";
import type { Canary } from "./canary-forms.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";

const Driver = loadDriver();

/** What was printed or answered where no secret may stand, until it is searched. */
export class Heard {
  readonly #all: { readonly where: string; readonly bytes: Buffer }[] = [];

  add(where: string, text: string): void {
    this.#all.push({ where, bytes: Buffer.from(text) });
  }

  get length(): number {
    return this.#all.length;
  }

  search(canaries: readonly Canary[]): string[] {
    return this.#all.flatMap(({ where, bytes }) => findIn(bytes, canaries).map((found) => `${found} in ${where}`));
  }
}

/** Every file below a folder, byte by byte. */
export function searchFolder(folder: string, canaries: readonly Canary[], except: readonly string[] = []): string[] {
  return filesIn(folder)
    .filter((file) => !except.some((name) => file.endsWith(name)))
    .flatMap((file) =>
      findIn(readFileSync(file), canaries).map((found) => `${found} in ${file.slice(folder.length + 1)}`),
    );
}

/** Every cell of every table, as SQLite reads it. */
export function searchTables(file: string, canaries: readonly Canary[]): string[] {
  const db = new Driver(file, { readonly: true });
  try {
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all() as string[];
    return tables.flatMap((table) => {
      const found = new Set<string>();
      for (const row of db.prepare(`SELECT * FROM "${table}"`).iterate() as Iterable<Record<string, unknown>>) {
        for (const [column, cell] of Object.entries(row)) {
          const bytes = Buffer.isBuffer(cell) ? cell : Buffer.from(String(cell));
          for (const one of findIn(bytes, canaries)) found.add(`${one} in ${table}.${column}`);
        }
      }
      return [...found];
    });
  } finally {
    db.close();
  }
}

/** Looks at the arguments and titles of all processes, again and again, where the system shows them. */
export class ProcessWatch {
  readonly #canaries: () => readonly Canary[];
  readonly #found = new Set<string>();
  /** For how many of the canaries a text was searched already: most processes are as they were at the last look. */
  readonly #searched = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  looks = 0;

  /** `canaries` may become more: new ones come last. */
  constructor(canaries: () => readonly Canary[], everyMs = 40) {
    this.#canaries = canaries;
    this.#timer = setInterval(() => {
      this.#look();
    }, everyMs);
  }

  stop(): string[] {
    clearInterval(this.#timer);
    return [...this.#found];
  }

  #look(): void {
    this.looks += 1;
    const canaries = this.#canaries();
    for (const pid of directory("/proc").filter((name) => /^\d+$/.test(name) && name !== String(process.pid))) {
      for (const name of ["cmdline", "comm"]) {
        const bytes = contentOf(`/proc/${pid}/${name}`);
        if (bytes.length === 0) continue;
        const text = bytes.toString("latin1");
        const fresh = canaries.slice(this.#searched.get(text));
        this.#searched.set(text, canaries.length);
        for (const found of findIn(bytes, fresh)) this.#found.add(`${found} in the ${name} of a process`);
      }
    }
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesIn(path) : entry.isFile() ? [path] : [];
  });
}

function directory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** A process may end between the look at the list and the look at it. */
function contentOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0);
  }
}
