import type { Kysely } from "kysely";
import type { Engine } from "../engine.ts";

/** When a secret was last delivered and to whom; and the ways into the tables that searching and asking for uses take. */
export async function up(db: Kysely<unknown>, kind: Engine["kind"]): Promise<void> {
  const types =
    kind === "sqlite" ? ({ bytes: "blob", int: "integer" } as const) : ({ bytes: "bytea", int: "bigint" } as const);
  for (const [name, type] of [
    ["last_used_at", types.int],
    ["last_used_by", types.bytes],
    ["last_used_in", types.bytes],
  ] as const)
    await db.schema.alterTable("secrets").addColumn(name, type).execute();
  for (const { name, table, columns } of [
    { name: "secrets_search", table: "secrets", columns: ["org_id", "state", "name", "id"] },
    { name: "deployments_state", table: "deployments", columns: ["org_id", "state"] },
    { name: "leases_running", table: "leases", columns: ["org_id", "state", "expires_at"] },
  ])
    await db.schema.createIndex(name).on(table).columns(columns).execute();
}
