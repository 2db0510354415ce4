import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "#storage";
import type { StorePlace } from "./composition.ts";

/** SQLite in a folder of its own. */
export async function sqlitePlace(parent: string = tmpdir()): Promise<StorePlace & { readonly folder: string }> {
  const folder = await mkdtemp(join(parent, "sallyport-store-"));
  return {
    folder,
    open: (parts) => openSqlite({ folder, ...parts }),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
