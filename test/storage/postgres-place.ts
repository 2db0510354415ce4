import { openPostgres, readAddress } from "#storage";
import { postgresDatabase } from "../postgres/database.ts";
import type { StorePlace } from "./composition.ts";

/** PostgreSQL in a database of its own, on the server of this run. */
export async function postgresPlace(): Promise<StorePlace & { readonly url: string; readonly superuserUrl: string }> {
  const database = await postgresDatabase();
  let nodes = 0;
  return {
    url: database.url,
    superuserUrl: database.superuserUrl,
    open: (parts) =>
      openPostgres({
        address: readAddress(database.url),
        owner: readAddress(database.ownerUrl),
        node: `node-${String(++nodes)}`,
        ...parts,
      }),
    remove: () => database.remove(),
  };
}
