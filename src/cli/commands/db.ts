import { resolve } from "node:path";
import { formatSize } from "#base";
import { withoutPassword } from "#settings";
import type { Config } from "#settings";
import type { Command, Noun } from "../command.ts";
import { EXIT_CODES } from "../exit-codes.ts";
import { givenSettings, settingOptions } from "../settings.ts";
import { formatTime } from "../text.ts";

const roles: Command = {
  name: "roles",
  summary: "Print the SQL that makes the roles and the database",
  about:
    "For a superuser of the server, once, before the first start: the role that owns the tables, the role that the vault " +
    "signs in as, and a database in which nobody else may do anything. It holds no password and connects to nothing.",
  options: [
    { flags: "--database <name>", meaning: "the database", otherwise: "sallyport" },
    { flags: "--owner <role>", meaning: "owns the tables, for migrations", otherwise: "sallyport_owner" },
    { flags: "--service <role>", meaning: "what the vault signs in as", otherwise: "sallyport_app" },
  ],
  examples: ["sallyport db roles", "sallyport db roles --database vault | psql -h db.example.com -U postgres"],
  uses: [],
  async run(cli, given) {
    const { rolesScript, rolesSql } = await import("#ops");
    const names = {
      database: given.text("database") ?? "sallyport",
      owner: given.text("owner") ?? "sallyport_owner",
      service: given.text("service") ?? "sallyport_app",
    };
    if (cli.out.json) cli.out.value(rolesSql(names));
    else cli.out.bytes(Buffer.from(rolesScript(names)));
  },
};

const migrate: Command = {
  name: "migrate",
  summary: "Bring the database to this version's schema, as its owner",
  about:
    "Before the first start, and before the start of a new version that brings migrations. It takes the owner's address, which " +
    "holds the password only in the variable. Run it once for all nodes: where several run it, one migrates and the others " +
    "wait. Afterwards no node of an older version starts. Exit codes are those of `up`.",
  options: [
    ...settingOptions("storeMigrate"),
    { flags: "--password-file <file>", meaning: "a file, mode 0600, with the owner's password" },
  ],
  examples: [
    "sallyport db migrate --store-migrate postgres://sallyport_owner@db.example.com/sallyport --password-file owner.password",
    "sallyport db migrate --config /etc/sallyport/sallyport.yaml",
  ],
  uses: [],
  async run(cli, given) {
    const { out, env } = cli;
    // The owner's address alone is enough here; that the vault has one too is a matter of its start.
    const owner = given.text("store-migrate") ?? env.SALLYPORT_STORE_MIGRATE ?? "";
    const store = env.SALLYPORT_STORE ?? "";
    const { config } = await givenSettings(cli, given, { ...env, SALLYPORT_STORE: store === "" ? owner : store });
    const passwordFile = given.text("password-file");
    const { migrateStore } = await import("#ops");
    const migrations = await migrateStore(config, {
      passwordFile: passwordFile === undefined ? null : resolve(cli.folder, passwordFile),
      waiting: () => {
        out.note("Another one migrates this database: waiting until it has.");
      },
    });
    const database = config.storeMigrate === null ? null : withoutPassword(config.storeMigrate);
    if (out.json) out.value({ database, migrations });
    else {
      for (const name of migrations) out.line(name);
      const count = migrations.length;
      out.note(
        count === 0
          ? "Nothing was missing: the database has this version's schema."
          : `${String(count)} ${count === 1 ? "migration" : "migrations"} taken: the database has this version's schema.`,
      );
    }
  },
};

const status: Command = {
  name: "status",
  summary: "How the database is: its server, its schema and its nodes",
  about:
    "As the vault's role, whether a vault runs or not; it changes nothing. Exit code 29 where migrations are missing. " +
    "`sallyport doctor` judges the same, and more.",
  options: settingOptions("store", "storePasswordFile"),
  examples: ["sallyport db status", "sallyport db status --store postgres://sallyport_app@db.example.com/sallyport"],
  uses: [],
  async run(cli, given) {
    const { out } = cli;
    const { config } = await givenSettings(cli, given);
    const { inspectStore } = await import("#ops");
    const found = await inspectStore(config, true);
    if (found?.engine !== "postgres") {
      if (out.json) out.value({ engine: "sqlite", bytes: found?.bytes ?? null });
      else
        out.line(found === null ? "SQLite: there is none yet" : `SQLite ${found.sqlite}, ${formatSize(found.bytes)}`);
      return 0;
    }
    const { version, bytes, missingMigrations, encrypted, nodes } = found;
    const shown = { database: addressOf(config), version, bytes, encrypted, missingMigrations, nodes };
    if (out.json) out.value({ engine: "postgres", ...shown });
    else {
      out.fields({
        database: shown.database,
        server: `PostgreSQL ${version}`,
        size: formatSize(bytes),
        TLS: encrypted,
        "missing migrations": missingMigrations,
      });
      if (nodes.length > 0)
        out.table(nodes, {
          slot: ({ slot }) => slot,
          held: ({ isHeld }) => isHeld,
          since: ({ since }) => formatTime(since.toISOString()),
          seen: ({ seenAt }) => formatTime(seenAt.toISOString()),
        });
    }
    return missingMigrations.length > 0 ? EXIT_CODES.migration_needed : 0;
  },
};

export const db: Noun = {
  name: "db",
  summary: "The PostgreSQL database that several nodes share",
  commands: [roles, migrate, status],
};

function addressOf({ store }: Config): string | null {
  return store.engine === "postgres" ? withoutPassword(store.url) : null;
}
