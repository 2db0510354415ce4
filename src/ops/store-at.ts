import type { Redacted } from "#base";
import type { StorePlace } from "#settings";
import type { StoreAt } from "#storage";
import { storeAddress } from "./store.ts";

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
    address: await storeAddress(place.url, passwordFile),
    owner: owner === null ? null : await storeAddress(owner, ownerPasswordFile),
  };
}
