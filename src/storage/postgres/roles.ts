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

/** Statements of a superuser, each by itself, in their order. */
export interface RolesSql {
  /** Once a server. */
  readonly roles: readonly string[];
  /** Makes the database: not in a transaction. */
  readonly database: readonly string[];
  /** In the new database. */
  readonly rights: readonly string[];
}

const NAME = /^[a-z_][a-z0-9_]{0,62}$/;

/**
 * What a superuser runs once, before the first start: a group that has the vault's rights, two roles that sign in, and a
 * database in which nobody else may do anything. It holds no password: the roles get theirs by `\password`, or sign in by
 * certificate.
 *
 * @throws {VaultError} `invalid_input` for a name that would have to be quoted.
 */
export function rolesSql({ database, owner, service }: Roles): RolesSql {
  for (const name of [database, owner, service]) {
    if (!NAME.test(name))
      throw new VaultError(
        "invalid_input",
        "Names are of a to z, 0 to 9 and _, at most 63, as PostgreSQL takes them unquoted.",
      );
  }
  if (new Set([owner, service, SERVICE_ROLE]).size < 3)
    throw new VaultError("invalid_input", `The owner, the service and ${SERVICE_ROLE} are three roles.`);
  const plain = "NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE";
  return {
    roles: [
      `-- The rights of a vault that serves: given by migrations, owned by nobody who signs in.\nCREATE ROLE ${SERVICE_ROLE} NOLOGIN ${plain}`,
      `-- Owns the tables: for migrations, backups and restores.\nCREATE ROLE ${owner} LOGIN ${plain}`,
      `-- Serves: SALLYPORT_STORE=postgres://${service}@host/${database}\nCREATE ROLE ${service} LOGIN ${plain} IN ROLE ${SERVICE_ROLE}`,
    ],
    database: [
      `-- Sorted by bytes, whatever the server's language: order and uniqueness do not change with its libraries.\nCREATE DATABASE ${database} OWNER ${owner} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
      `REVOKE ALL ON DATABASE ${database} FROM PUBLIC`,
      `GRANT CONNECT ON DATABASE ${database} TO ${SERVICE_ROLE}`,
    ],
    rights: [
      `REVOKE ALL ON SCHEMA public FROM PUBLIC`,
      `GRANT USAGE, CREATE ON SCHEMA public TO ${owner}`,
      `GRANT USAGE ON SCHEMA public TO ${SERVICE_ROLE}`,
    ],
  };
}

/** The same as one script for psql, which goes from one database to the other. */
export function rolesScript(names: Roles): string {
  const { roles, database, rights } = rolesSql(names);
  const lines = (statements: readonly string[]): string => statements.map((one) => `${one};\n`).join("");
  return (
    `-- For a superuser, once, with psql. Afterwards give both roles a password:\n` +
    `--   \\password ${names.owner}\n--   \\password ${names.service}\n` +
    `\\set ON_ERROR_STOP on\n\n${lines(roles)}\n${lines(database)}\n\\connect ${names.database}\n${lines(rights)}`
  );
}
