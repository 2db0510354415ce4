/**
 * The roles that share a vault's database, and what each may do in a new one: made by the product's own statements, as
 * `sallyport db roles` prints them.
 *
 *     sallyport_owner     owns the databases and makes their tables
 *     sallyport_service   no one's name: what the running vault may do
 *     sallyport_app       the running vault, a member of sallyport_service
 */
import { randomBytes } from "node:crypto";
import { rolesSql } from "#storage";
import type pg from "pg";
import { connect, createDatabase, dropDatabase, urlOf } from "./server.ts";
import type { PostgresFacts, PostgresServer } from "./server.ts";

export const OWNER = "sallyport_owner";
export const SERVICE = "sallyport_service";
export const APP = "sallyport_app";

const sqlOf = (database: string) => rolesSql({ database, owner: OWNER, service: APP });

/** Once a server. Each role that can log in has a random password, which the server's `url` knows. */
export async function createRoles(server: PostgresServer): Promise<void> {
  await through(server.url("postgres"), async (client) => {
    for (const statement of sqlOf("none").roles) await client.query(statement);
  });
  for (const role of [OWNER, APP]) await server.givePassword(role);
}

export interface VaultDatabase {
  readonly name: string;
  /** As the running vault. */
  readonly url: string;
  /** As the owner of the database, who makes its tables. */
  readonly ownerUrl: string;
  readonly superuserUrl: string;
  /** Copies it as it is now, and gives what puts that in its place; nobody is connected meanwhile. */
  keep(): Promise<() => Promise<void>>;
  /** Drops it with its copies; whoever is still connected is cut off. */
  remove(): Promise<void>;
}

/** A database of its own, under a random name, in which the roles of `createRoles` have their rights. */
export async function createVaultDatabase(
  facts: PostgresFacts,
  options: { readonly template?: string } = {},
): Promise<VaultDatabase> {
  const name = `sallyport_${randomBytes(8).toString("hex")}`;
  const superuserUrl = urlOf(facts, name, "postgres");
  const kept: string[] = [];
  const asSuperuser = <T>(act: (client: pg.Client) => Promise<T>): Promise<T> =>
    through(urlOf(facts, "postgres", "postgres"), act);
  const make = async (client: pg.Client, template = "template0"): Promise<void> => {
    for (const statement of sqlOf(name).database)
      await client.query(statement.replace("TEMPLATE template0", `TEMPLATE ${template}`));
  };
  await asSuperuser((client) => make(client, options.template));
  // A copy of such a database has these rights already.
  if (options.template === undefined)
    await through(superuserUrl, async (client) => {
      for (const statement of sqlOf(name).rights) await client.query(statement);
    });
  return {
    name,
    url: urlOf(facts, name, APP),
    ownerUrl: urlOf(facts, name, OWNER),
    superuserUrl,
    keep: async () => {
      const copy = `${name}_${String(kept.length)}`;
      await asSuperuser((client) => createDatabase(client, copy, { template: name }));
      kept.push(copy);
      return () =>
        asSuperuser(async (client) => {
          await dropDatabase(client, name);
          await make(client, copy);
        });
    },
    remove: () =>
      asSuperuser(async (client) => {
        for (const one of [name, ...kept]) await dropDatabase(client, one);
      }),
  };
}

async function through<T>(url: string, act: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = await connect(url);
  try {
    return await act(client);
  } finally {
    await client.end();
  }
}
