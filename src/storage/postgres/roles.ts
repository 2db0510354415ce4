import { VaultError } from "#base";
import { SERVICE_ROLE } from "../migrations/tenants.ts";

/** Names of the roles and the database that {@link rolesSql} makes. */
export interface Roles {
  readonly database: string;
  /** Owns the tables and migrates; the vault that serves never is it. */
  readonly owner: string;
  /** What the vault signs in as. */
  readonly service: string;
}

const NAME = /^[a-z_][a-z0-9_]{0,62}$/;

/**
 * The SQL that a superuser runs once, before the first start: a group that has the vault's rights, two roles that sign in, and
 * a database in which nobody else may do anything. It holds no password: the roles get theirs by `\password`, or sign in
 * by certificate.
 *
 * @throws {VaultError} `invalid_input` for a name that would have to be quoted.
 */
export function rolesSql({ database, owner, service }: Roles): string {
  for (const name of [database, owner, service]) {
    if (!NAME.test(name))
      throw new VaultError("invalid_input", "Names are of a to z, 0 to 9 and _, as PostgreSQL takes them unquoted.");
  }
  if (new Set([owner, service, SERVICE_ROLE]).size < 3)
    throw new VaultError("invalid_input", `The owner, the service and ${SERVICE_ROLE} are three roles.`);
  return `-- For a superuser, once. Afterwards give both roles a password: \\password ${owner}, \\password ${service}

-- The rights of a vault that serves: given by migrations, owned by nobody who signs in.
CREATE ROLE ${SERVICE_ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
-- Owns the tables: for migrations, backups and restores.
CREATE ROLE ${owner} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
-- Serves: SALLYPORT_STORE=postgres://${service}@host/${database}
CREATE ROLE ${service} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE IN ROLE ${SERVICE_ROLE};

CREATE DATABASE ${database} OWNER ${owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
REVOKE ALL ON DATABASE ${database} FROM PUBLIC;
GRANT CONNECT ON DATABASE ${database} TO ${SERVICE_ROLE};

\\connect ${database}
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO ${owner};
GRANT USAGE ON SCHEMA public TO ${SERVICE_ROLE};
`;
}
