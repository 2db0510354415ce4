import { sql } from "kysely";
import type { Kysely } from "kysely";

/** Whose rights the vault's own role has, on PostgreSQL: a group, so that a login may be changed without a migration. */
export const SERVICE_ROLE = "sallyport_service";

const EVERYTHING = "select, insert, update, delete";

/**
 * Gives a table to the vault's role, on PostgreSQL. Where it has `org_id`, a transaction sees and writes the rows of the org
 * that it has named, and of none before it has named one.
 */
export async function giveToService(
  db: Kysely<unknown>,
  table: string,
  { owned, verbs = EVERYTHING }: { readonly owned: boolean; readonly verbs?: string },
): Promise<void> {
  const name = sql.table(table);
  if (owned) {
    const org = sql`decode(nullif(current_setting('sallyport.org', true), ''), 'hex')`;
    await sql`alter table ${name} enable row level security`.execute(db);
    await sql`create policy tenant on ${name} using (org_id = ${org}) with check (org_id = ${org})`.execute(db);
  }
  await sql`grant ${sql.raw(verbs)} on ${name} to ${sql.ref(SERVICE_ROLE)}`.execute(db);
}
