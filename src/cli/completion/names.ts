import type { Asked, Item, PagedId } from "#client";
import type { Cli } from "../cli.ts";
import type { Given } from "../given.ts";
import { profileNames } from "../profile.ts";
import { SHELLS } from "./scripts.ts";

/** Kinds of names that can be completed. */
export type NameKind =
  | "environments"
  | "namespaces"
  | "secrets"
  | "workloads"
  | "users"
  | "serviceUsers"
  | "principals"
  | "roles"
  | "grants"
  | "injections"
  | "sessions"
  | "profiles"
  | "shells";

type Find = (cli: Cli, given: Given, typed: string) => readonly string[] | Promise<readonly string[]>;

/** How many names are asked for: more than these nobody reads. */
const LIMIT = 1000;
/** Somebody sits at the key and waits. */
const QUICK = { timeoutMs: 2_000, patienceMs: 0 } as const;

const users = async (cli: Cli) => (await page(cli, "user.list")).map((one) => one.login);
const serviceUsers = async (cli: Cli) => (await page(cli, "service-user.list")).map((one) => one.name);

/** Names of the vault, as whoever is signed in may list them, and of this machine. */
export const NAMES: Readonly<Record<NameKind, Find>> = {
  environments: async (cli) => (await page(cli, "environment.list")).map((one) => one.name),
  namespaces: async (cli) => (await page(cli, "namespace.list")).map((one) => one.name),
  secrets: async (cli, given, typed) => {
    const params = { environment: cli.environment(given), namespace: cli.namespace(given) };
    const query = { limit: String(LIMIT), ...(typed === "" ? {} : { prefix: typed }) };
    const { items } = await cli.call("secret.list", { params, query, ...QUICK });
    return items.map((one) => one.name);
  },
  workloads: async (cli, given) => {
    const own = cli.namespace(given);
    const items = await page(cli, "workload.search");
    return items.flatMap((one) => [`${one.namespace}/${one.name}`, ...(one.namespace === own ? [one.name] : [])]);
  },
  users,
  serviceUsers,
  principals: async (cli) => [await users(cli), await serviceUsers(cli)].flat(),
  roles: async (cli) => (await cli.call("role.list", QUICK)).items.map((one) => one.name),
  grants: async (cli) => (await page(cli, "grant.list")).map((one) => one.id),
  injections: async (cli) => (await page(cli, "injection.list")).map((one) => one.id),
  sessions: async (cli) => (await cli.call("session.list", QUICK)).items.map((one) => one.id),
  profiles: (cli) => profileNames(cli.env),
  shells: () => SHELLS,
};

async function page<const Op extends PagedId>(cli: Cli, operation: Op): Promise<Item<Op>[]> {
  // Each of these lists takes a page and nothing else.
  const asked = QUICK as Asked<Op>;
  return (await cli.client.list(operation, asked, LIMIT)).items;
}

/** What stands for each argument, by the noun and its name there; `null` where no names can be known. */
export const ARGUMENTS: Readonly<Record<string, NameKind | "files" | null>> = {
  "completion shell": "shells",
  "deploy workload": "workloads",
  "env name": "environments",
  "grant id": "grants",
  "grant principal": "principals",
  "grant role": "roles",
  "injection id": "injections",
  "ns name": "namespaces",
  "org name": null,
  "run command": "files",
  "secret file": "files",
  "secret name": "secrets",
  "secret names": "secrets",
  "secret other-scope": "environments",
  "secret scope": "environments",
  "secret version": null,
  "secret versions": null,
  "service-user id": null,
  "service-user name": "serviceUsers",
  "session id": "sessions",
  "systemd command": "files",
  "token workload": "workloads",
  "user login": "users",
  "workload secrets": null,
  "workload version": null,
  "workload workload": "workloads",
};

/** The same for the values of options, whatever command they belong to; those with choices have them. */
export const OPTIONS: Readonly<Record<string, NameKind>> = {
  "allow-namespace": "namespaces",
  "allow-role": "roles",
  "allow-workload": "workloads",
  env: "environments",
  namespace: "namespaces",
  optional: "secrets",
  principal: "principals",
  profile: "profiles",
  secret: "secrets",
  to: "environments",
  workload: "workloads",
};
