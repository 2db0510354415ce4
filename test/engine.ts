/**
 * The store under a test: SQLite in the vault's own folder, or a database on the PostgreSQL server of the run. A project of
 * scripts/checks/vitest.config.ts says which; outside the tests it is SQLite.
 */
import type { VaultDatabase } from "./postgres/roles.ts";
import type { StorePlace } from "./storage/composition.ts";

export const ENGINE: "sqlite" | "postgres" = process.env.ENGINE === "postgres" ? "postgres" : "sqlite";

/** By the vault's folder, which finds its database again after a restart. */
const databases = new Map<string, Promise<VaultDatabase>>();

/** The database of the vault in this folder, made at the first call; `null` on SQLite. */
export async function databaseOf(folder: string): Promise<VaultDatabase | null> {
  if (ENGINE === "sqlite") return null;
  const { migratedDatabase } = await import("./postgres/database.ts");
  let database = databases.get(folder);
  if (database === undefined) {
    database = migratedDatabase();
    databases.set(folder, database);
  }
  return database;
}

/** What a vault in this folder has in its environment, to use the engine of the test. */
export async function storeEnv(folder: string): Promise<Record<string, string>> {
  const database = await databaseOf(folder);
  return database === null ? {} : { SALLYPORT_STORE: database.url };
}

/** Drops the database of a folder that is no more. */
export async function dropDatabaseOf(folder: string): Promise<void> {
  const database = databases.get(folder);
  databases.delete(folder);
  await (await database)?.remove();
}

/** What the tests of a file have left behind. */
export async function dropDatabases(): Promise<void> {
  for (const folder of [...databases.keys()]) await dropDatabaseOf(folder);
}

/** A store without a vault. On PostgreSQL the folder holds only what the test puts there. */
export async function storePlace(): Promise<StorePlace & { readonly folder: string }> {
  const { sqlitePlace } = await import("./storage/sqlite-place.ts");
  const files = await sqlitePlace();
  const database = await databaseOf(files.folder);
  if (database === null) return files;
  const { openPostgresPlace } = await import("./storage/postgres-place.ts");
  return {
    folder: files.folder,
    open: openPostgresPlace(database),
    remove: async () => {
      await dropDatabaseOf(files.folder);
      await files.remove();
    },
  };
}
