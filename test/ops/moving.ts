/**
 * Two databases of one vault, and what stands in them, read by other means than the product's.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redacted } from "#base";
import { findStore, move } from "#ops";
import type { Moved } from "#ops";
import { startVault } from "../harness.ts";
import type { TestVault } from "../harness.ts";
import { postgresDatabase } from "../postgres/database.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import { connect } from "../postgres/server.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";

const Driver = loadDriver();

export interface At {
  readonly sqlite?: string;
  readonly postgres?: VaultDatabase;
}

export function freshFolder(): string {
  return mkdtempSync(join(tmpdir(), "sallyport-move-"));
}

export const freshDatabase = (): Promise<VaultDatabase> => postgresDatabase();

/** The database's address without the password, which is in a file. */
export function split(url: string, folder: string): { readonly url: string; readonly file: string; password: string } {
  const parts = /^(postgres:\/\/[^:@/]+):([^@]*)@(.*)$/.exec(url);
  const [, before = "", password = "", after = ""] = parts ?? [];
  const file = join(mkdtempSync(join(folder, "password-")), "password");
  writeFileSync(file, `${decodeURIComponent(password)}\n`, { mode: 0o600 });
  return { url: `${before}@${after}`, file, password: decodeURIComponent(password) };
}

/** A vault on one of them, with the keys and the data folder of `folder`. */
export function vaultOn(folder: string, at: At, settings: Record<string, string> = {}): Promise<TestVault> {
  if (at.postgres === undefined) return startVault({ folder, settings: { data: at.sqlite ?? "", ...settings } });
  const { url, file } = split(at.postgres.url, folder);
  return startVault({ folder, settings: { store: url, storePasswordFile: file, ...settings } });
}

export async function moveBetween(
  folder: string,
  from: At,
  to: At,
  more: { readonly keys?: string; readonly signal?: AbortSignal; readonly onStep?: (step: string) => void } = {},
): Promise<Moved> {
  const find = (at: At) =>
    findStore({
      place:
        at.postgres === undefined ? { engine: "sqlite" } : { engine: "postgres", url: new Redacted(at.postgres.url) },
      folder: at.sqlite ?? "",
      passwordFile: null,
      owner: at.postgres === undefined ? null : new Redacted(at.postgres.ownerUrl),
      ownerPasswordFile: null,
    });
  return move({
    from: await find(from),
    to: await find(to),
    keysFolder: more.keys ?? join(folder, "keys"),
    checkpointFile: join(folder, "data", "checkpoints.log"),
    onProgress: ({ step, table }) => more.onStep?.(`${step} ${table}`),
    ...(more.signal === undefined ? {} : { signal: more.signal }),
  });
}

/** Every row of every table, as text, without what belongs to the database: by table, in order. */
export type Dump = Readonly<Record<string, readonly string[]>>;

const PRIVATE = ["nodes", "kysely_migration", "kysely_migration_lock"];
const OWN = ["moving", "probe", "slots"];

export async function dump(at: At): Promise<Dump> {
  return at.postgres === undefined ? dumpSqlite(at.sqlite ?? "") : dumpPostgres(at.postgres);
}

export function rowsIn(dumped: Dump): number {
  return Object.values(dumped).reduce((sum, rows) => sum + rows.length, 0);
}

function dumpSqlite(folder: string): Dump {
  const db = new Driver(join(folder, "vault.db"), { readonly: true });
  db.defaultSafeIntegers(true);
  try {
    const names = db
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .pluck();
    return told((names.all() as string[]).map((name) => [name, db.prepare(`SELECT * FROM ${name}`).all() as Row[]]));
  } finally {
    db.close();
  }
}

async function dumpPostgres({ superuserUrl }: VaultDatabase): Promise<Dump> {
  const client = await connect(superuserUrl);
  try {
    const { rows } = await client.query<{ name: string }>(
      "SELECT relname AS name FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    );
    const tables: [string, Row[]][] = [];
    for (const { name } of rows) tables.push([name, (await client.query<Row>(`SELECT * FROM ${name}`)).rows]);
    return told(tables);
  } finally {
    await client.end();
  }
}

type Row = Readonly<Record<string, unknown>>;

function told(tables: readonly (readonly [string, readonly Row[]])[]): Dump {
  const kept = tables.filter(([name]) => !PRIVATE.includes(name)).sort(([one], [other]) => (one < other ? -1 : 1));
  return Object.fromEntries(
    kept.map(([name, rows]) => [
      name,
      rows
        .filter((row) => name !== "meta" || !OWN.includes(String(row.name)))
        .map((row) =>
          Object.entries(row)
            .map(([column, value]) => `${column}=${Buffer.isBuffer(value) ? value.toString("hex") : String(value)}`)
            .sort()
            .join(" "),
        )
        .sort(),
    ]),
  );
}
