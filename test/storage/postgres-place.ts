import { openPostgres, readAddress } from "#storage";
import { postgresDatabase } from "../postgres/database.ts";
import type { VaultDatabase } from "../postgres/roles.ts";
import type { StorePlace } from "./composition.ts";

/** PostgreSQL in an empty database of its own, on the server of this run. */
export async function postgresPlace(): Promise<StorePlace & { readonly url: string; readonly superuserUrl: string }> {
  const database = await postgresDatabase();
  return {
    url: database.url,
    superuserUrl: database.superuserUrl,
    open: openPostgresPlace(database),
    remove: () => database.remove(),
  };
}

/** Opens the database, each time as another node. */
export function openPostgresPlace({ url, ownerUrl }: VaultDatabase): StorePlace["open"] {
  let nodes = 0;
  return (parts) =>
    openPostgres({
      address: readAddress(url),
      owner: readAddress(ownerUrl),
      node: `node-${String(++nodes)}`,
      ...parts,
    });
}
