import { Redacted, VaultError } from "#base";
import { readKeyFile } from "#crypto";
import { inspectDatabase, inspectServer, migrateDatabase, readAddress } from "#storage";
import type { FileInspection, PostgresAddress, ServerInspection } from "#storage";
import type { Config } from "#settings";

/** What a look at the database says, whichever its engine is. */
export type Inspection = FileInspection | ServerInspection;

/**
 * The address, with the password from its file where there is one.
 *
 * @throws {VaultError} `config_invalid`, and what is wrong with the file.
 */
export async function storeAddress(url: Redacted<string>, passwordFile: string | null): Promise<PostgresAddress> {
  const address = readAddress(url.reveal());
  if (passwordFile === null) return address;
  return { ...address, password: new Redacted((await readKeyFile(passwordFile)).replace(/\r?\n$/, "")) };
}

/**
 * Looks at the database and changes nothing; `live` says that a vault runs on the data folder. `null`: there is none yet.
 *
 * @throws {VaultError} `schema_unknown`, `store_unavailable`, `config_invalid`.
 */
export async function inspectStore(
  { store, storePasswordFile, dataFolder }: Config,
  live: boolean,
): Promise<Inspection | null> {
  if (store.engine === "sqlite") return inspectDatabase(dataFolder, live);
  return inspectServer(await storeAddress(store.url, storePasswordFile));
}

/**
 * Brings the schema of the settings' database up to date, as its owner. `passwordFile` holds the owner's password, where the
 * address does not; `waiting` hears of it where another one migrates.
 *
 * @returns the migrations that it took.
 * @throws {VaultError} `config_invalid` without an owner's address; what `migrateDatabase` throws.
 */
export async function migrateStore(
  { storeMigrate }: Config,
  { passwordFile, waiting }: { readonly passwordFile: string | null; readonly waiting: () => void },
): Promise<readonly string[]> {
  if (storeMigrate === null)
    throw new VaultError("config_invalid", undefined, {
      detail: {
        faults: [
          {
            field: "--store-migrate (SALLYPORT_STORE_MIGRATE)",
            message: "the database as its owner is not given: postgres://owner@host/database",
          },
        ],
      },
    });
  return migrateDatabase(await storeAddress(storeMigrate, passwordFile), { waiting });
}
