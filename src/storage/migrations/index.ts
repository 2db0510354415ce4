import { Migrator } from "kysely";
import type { Kysely, Migration } from "kysely";
import { VaultError } from "#base";
import type { Engine } from "../engine.ts";
import { up as first } from "./0001-first.ts";
import { up as lastUsed } from "./0002-last-used.ts";
import { up as nodes } from "./0003-nodes.ts";

/** Numbered, transactional, forward only. */
const STEPS: Readonly<Record<string, (db: Kysely<unknown>, kind: Engine["kind"]) => Promise<void>>> = {
  "0001-first": first,
  "0002-last-used": lastUsed,
  "0003-nodes": nodes,
};

/** Throws `schema_unknown` when a database has seen a migration that this version does not know. */
export function checkKnown(done: readonly string[]): void {
  const unknown = done.filter((name) => !Object.hasOwn(STEPS, name));
  if (unknown.length === 0) return;
  throw new VaultError(
    "schema_unknown",
    `The database knows ${unknown.join(", ")}, which this version does not: a newer version wrote it.`,
  );
}

/** The migrations that a database, which has been checked, has not seen. */
export function missingFrom(done: readonly string[]): readonly string[] {
  return Object.keys(STEPS).filter((name) => !done.includes(name));
}

/** Brings a database, which has been checked, to this version's schema. The engine sees to it that it is all or nothing. */
export async function migrate(db: Kysely<unknown>, kind: Engine["kind"]): Promise<void> {
  const migrations: Record<string, Migration> = Object.fromEntries(
    Object.entries(STEPS).map(([name, up]) => [name, { up: (on: Kysely<unknown>) => up(on, kind) }]),
  );
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined)
    throw new VaultError("store_unavailable", "The database's schema could not be brought up to date.", {
      cause: error,
    });
}
