import { Redacted } from "#base";
import { readKeyFile } from "#crypto";
import type { StorePlace } from "#settings";
import { readAddress } from "#storage";
import type { PostgresAddress, StoreAt } from "#storage";

/** A database as somebody names it: passwords stand in files, or came with the address out of a variable. */
export interface NamedStore {
  readonly place: StorePlace;
  /** For SQLite. */
  readonly folder: string;
  readonly passwordFile: string | null;
  /** The same database as the owner of its tables. */
  readonly owner: Redacted<string> | null;
  readonly ownerPasswordFile: string | null;
}

/** @throws {VaultError} `config_invalid` for an address that is none, and what is wrong with a password's file. */
export async function findStore({
  place,
  folder,
  passwordFile,
  owner,
  ownerPasswordFile,
}: NamedStore): Promise<StoreAt> {
  if (place.engine === "sqlite") return { engine: "sqlite", folder };
  return {
    engine: "postgres",
    address: await addressOf(place.url, passwordFile),
    owner: owner === null ? null : await addressOf(owner, ownerPasswordFile),
  };
}

async function addressOf(url: Redacted<string>, passwordFile: string | null): Promise<PostgresAddress> {
  const address = readAddress(url.reveal());
  if (passwordFile === null) return address;
  return { ...address, password: new Redacted((await readKeyFile(passwordFile)).replace(/\r?\n$/, "")) };
}
