import { hostname } from "node:os";
import type { Clock } from "#base";
import { randomBytes } from "#crypto";
import { holdFolder, openPostgres, openSqlite, readAddress } from "#storage";
import type { CommitWatch, Engine, Scribe } from "#storage";
import { storeAddress } from "#ops";
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
  parts: {
    readonly scribe: Scribe;
    readonly clock: Clock;
    readonly watch: CommitWatch;
    readonly maxSkewMs: number | null;
  },
): Promise<Engine> {
  const { scribe, clock, watch, maxSkewMs } = parts;
  if (config.store.engine === "sqlite") return openSqlite({ folder: config.dataFolder, scribe, clock, watch });
  const release = holdFolder(config.dataFolder);
  try {
    const engine = await openPostgres({
      address: await storeAddress(config.store.url, config.storePasswordFile),
      owner: config.storeMigrate === null ? null : readAddress(config.storeMigrate.reveal()),
      connections: config.storeConnections,
      // Another one at each start: a process that was cut off still counts as running until its lease ends.
      node: `${hostname()}/${randomBytes(8).toString("hex")}`,
      ...(maxSkewMs === null ? {} : { maxSkewMs }),
      scribe,
      clock,
      watch,
    });
    return heldWith(engine, release);
  } catch (error) {
    release();
    throw error;
  }
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
