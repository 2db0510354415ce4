import type pg from "pg";

/** Predefined roles of the server that read or write past the rights on tables, or reach its files and programs. */
const PREDEFINED = [
  "pg_read_all_data",
  "pg_write_all_data",
  "pg_read_server_files",
  "pg_write_server_files",
  "pg_execute_server_program",
];

/** What was written there stays: the service adds to these and changes nothing. */
const APPEND_ONLY = ["audit_events", "audit_checkpoints", "exchanges"];

interface Excess {
  readonly grants: boolean;
  readonly replicates: boolean;
  readonly becomes: boolean;
  readonly predefined: boolean;
  readonly database: boolean;
  readonly open: string | null;
  readonly wide: string | null;
  readonly changes: string | null;
  readonly more: string | null;
}

const EXCESS = `
  WITH tables AS (
    SELECT it.oid, it.relname, EXISTS (SELECT FROM pg_attribute WHERE attrelid = it.oid AND attname = 'org_id' AND NOT attisdropped) AS owned
    FROM pg_class AS it WHERE it.relkind IN ('r', 'p') AND it.relnamespace = 'public'::regnamespace
  )
  SELECT me.rolcreaterole AS grants, me.rolreplication AS replicates,
    EXISTS (SELECT FROM pg_roles AS it WHERE (it.rolsuper OR it.rolbypassrls OR it.rolcreaterole OR it.rolreplication) AND pg_has_role(it.oid, 'MEMBER')) AS becomes,
    EXISTS (SELECT FROM pg_roles AS it WHERE it.rolname = ANY ($1) AND pg_has_role(it.oid, 'MEMBER')) AS predefined,
    has_database_privilege(current_database(), 'CREATE')
      OR EXISTS (SELECT FROM pg_database AS it WHERE it.datname = current_database() AND pg_has_role(it.datdba, 'MEMBER')) AS database,
    (SELECT min(relname) FROM tables WHERE owned AND NOT row_security_active(oid)) AS open,
    (SELECT min(relname) FROM tables WHERE owned AND (SELECT count(*) FROM pg_policy WHERE polrelid = tables.oid AND polpermissive) <> 1) AS wide,
    (SELECT min(relname) FROM tables WHERE relname = ANY ($2) AND (has_table_privilege(oid, 'DELETE') OR has_any_column_privilege(oid, 'UPDATE'))) AS changes,
    (SELECT min(relname) FROM tables WHERE (has_table_privilege(oid, 'TRUNCATE, TRIGGER') OR has_any_column_privilege(oid, 'REFERENCES'))) AS more
  FROM pg_roles AS me WHERE me.rolname = current_user`;

/**
 * What the role of this connection could do beyond what migrations give to the service, or what does not hold it back, in a
 * sentence; `null` where there is nothing. It says so of roles that it could become, too.
 */
export async function excessOf(client: pg.ClientBase): Promise<string | null> {
  const { rows } = await client.query<Excess>(EXCESS, [PREDEFINED, APPEND_ONLY]);
  const [excess] = rows;
  if (excess === undefined) return "The vault's role is not one of the server's.";
  const { open, wide, changes, more } = excess;
  if (excess.grants) return "The vault's role may make roles and give them rights (CREATEROLE).";
  if (excess.replicates) return "The vault's role may copy the whole server (REPLICATION).";
  if (excess.becomes)
    return "The vault's role is a member of a role that is a superuser or has BYPASSRLS, CREATEROLE or REPLICATION.";
  if (excess.predefined) return `The vault's role is a member of one of ${PREDEFINED.join(", ")}.`;
  if (excess.database) return "The vault's role owns the database, or may create schemas in it.";
  if (open !== null)
    return `No row-level security holds the vault's role on the table ${open}, which has rows of every org.`;
  if (wide !== null) return `The table ${wide} has other row policies than the one that the vault's migrations made.`;
  if (changes !== null) return `The vault's role may change or delete rows of ${changes}, which only grows.`;
  if (more !== null)
    return `The vault's role has rights on ${more} that no vault needs (TRUNCATE, REFERENCES or TRIGGER).`;
  return null;
}
