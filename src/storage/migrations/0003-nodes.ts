import { sql } from "kysely";
import type { Kysely } from "kysely";
import type { Engine } from "../engine.ts";
import { giveToService } from "./tenants.ts";

/**
 * The writer slots, leased by nodes: on PostgreSQL alone, where there are several. Times of leases are the server's, so that
 * nodes whose clocks differ agree on them; `clock` is the newest time of the node that holds the slot, in epoch ms.
 */
export async function up(db: Kysely<unknown>, kind: Engine["kind"]): Promise<void> {
  if (kind === "sqlite") return;
  await db.schema
    .createTable("nodes")
    .addColumn("slot", "integer", (column) => column.primaryKey())
    .addColumn("holder", sql`text collate "C"`)
    .addColumn("taken_at", "timestamptz", (column) => column.notNull())
    .addColumn("seen_at", "timestamptz", (column) => column.notNull())
    .addColumn("clock", "bigint", (column) => column.notNull())
    .execute();
  await giveToService(db, "nodes", { owned: false, verbs: "select, insert, update" });
}
