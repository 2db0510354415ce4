import { hostname } from "node:os";
import { Redacted } from "#base";
import type { Clock } from "#base";
import { randomBytes, readKeyFile } from "#crypto";
import { holdFolder, openPostgres, openSqlite, readAddress } from "#storage";
import type { CommitWatch, Engine, PostgresAddress, Scribe } from "#storage";
import type { Config } from "#settings";

/**
 * The engine that the settings name. Whichever it is, the data folder is this process's alone: its socket and its checkpoints
 * lie there.
 *
 * @throws {VaultError} `folder_in_use`, `store_unavailable`, `schema_unknown`, `migration_needed`, `role_unsafe`,
 * `config_invalid`, and what is wrong with the file of the password.
 */
export async function openEngine(
  config: Config,
  parts: { readonly scribe: Scribe; readonly clock: Clock; readonly watch: CommitWatch },
): Promise<Engine> {
  if (config.store.engine === "sqlite") return openSqlite({ folder: config.dataFolder, ...parts });
  const release = holdFolder(config.dataFolder);
  try {
    const engine = await openPostgres({
      address: await storeAddress(config, config.store.url),
      owner: config.storeMigrate === null ? null : readAddress(config.storeMigrate.reveal()),
      connections: config.storeConnections,
      // Another one at each start: a process that was cut off still counts as running until its lease ends.
      node: `${hostname()}/${randomBytes(8).toString("hex")}`,
      ...parts,
    });
    return heldWith(engine, release);
  } catch (error) {
    release();
    throw error;
  }
}

/** With the password from its file, where there is one. */
export async function storeAddress(
  { storePasswordFile }: Pick<Config, "storePasswordFile">,
  url: Redacted<string>,
): Promise<PostgresAddress> {
  const address = readAddress(url.reveal());
  if (storePasswordFile === null) return address;
  return { ...address, password: new Redacted((await readKeyFile(storePasswordFile)).replace(/\r?\n$/, "")) };
}

/** The engine, which lets the folder go when it is closed. */
function heldWith(engine: Engine, release: () => void): Engine {
  const close = engine.close.bind(engine);
  engine.close = async () => {
    try {
      await close();
    } finally {
      release();
    }
  };
  return engine;
}
