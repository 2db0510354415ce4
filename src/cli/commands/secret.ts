import type { Response } from "#contract";
import type { Cli } from "../cli.ts";
import type { Noun } from "../command.ts";
import type { Given } from "../given.ts";
import { parseNumber } from "../given.ts";
import { usage } from "../error.ts";
import { call, shortList, showList } from "../operation.ts";
import { IF_VERSION, LIMIT, SCOPE, YES } from "../options.ts";
import type { Columns, Output } from "../output.ts";
import { formatTime } from "../text.ts";
import { setSecret } from "./secret-set.ts";
import { metadataOf, METADATA } from "./secret-metadata.ts";
import { revealSecret } from "./secret-reveal.ts";

const NAME_ARGUMENT = [["<name>", "the secret's name"]] as const;

/** The path of the secret that was named. */
function secretOf(cli: Cli, given: Given) {
  return { environment: cli.environment(given), namespace: cli.namespace(given), secret: given.argument(0) };
}

function ifVersion(given: Given) {
  const version = given.number("if-version");
  return version === undefined ? {} : { headers: { ifMatch: version } };
}

type Secret = Response<"secret.get">;

const IN_SCOPE: Columns<Secret> = {
  name: (secret) => secret.name,
  version: (secret) => secret.version,
  delivery: (secret) => secret.delivery,
  updated: (secret) => formatTime(secret.updatedAt),
  by: (secret) => secret.updatedBy,
  description: (secret) => secret.description,
};
const EVERYWHERE: Columns<Secret> = {
  environment: (secret) => secret.environment,
  namespace: (secret) => secret.namespace,
  ...IN_SCOPE,
};

function show(secret: Secret, out: Output): void {
  out.fields({
    name: secret.name,
    scope: `${secret.environment}/${secret.namespace}`,
    version: secret.version,
    state: secret.state,
    delivery: secret.delivery,
    description: secret.description,
    tags: secret.tags,
    owner: secret.owner,
    "rotate by": formatTime(secret.rotateBy),
    "referenced by": secret.policy === null ? "workloads of its own namespace" : policyText(secret.policy),
    created: `${formatTime(secret.createdAt)} by ${secret.createdBy}`,
    updated: `${formatTime(secret.updatedAt)} by ${secret.updatedBy}`,
    ...(secret.deletedAt === null
      ? {}
      : { deleted: formatTime(secret.deletedAt), "restorable until": formatTime(secret.restorableUntil) }),
    id: secret.id,
  });
}

function policyText(policy: NonNullable<Secret["policy"]>): string {
  const part = (what: string, names: readonly string[]) => (names.length === 0 ? [] : [`${what} ${names.join(", ")}`]);
  const parts = [
    ...part("namespaces", policy.namespaces),
    ...part("workloads", policy.workloads),
    ...part("roles", policy.roles),
  ];
  return parts.length === 0 ? "nobody" : parts.join("; ");
}

const place = (cli: Cli, given: Given) => `${cli.environment(given)}/${cli.namespace(given)}`;

export const secret: Noun = {
  name: "secret",
  summary: "Secrets: names, versions and values",
  commands: [
    setSecret,
    {
      name: "list",
      summary: "Names and metadata of secrets; never a value",
      options: [
        ...SCOPE,
        { flags: "-a, --all", meaning: "in every scope that you may list" },
        { flags: "--prefix <text>", meaning: "whose names begin so" },
        { flags: "--deleted", meaning: "those that were deleted and can be restored" },
        LIMIT,
      ],
      examples: [
        "sallyport secret list",
        "sallyport secret list --env prod -n payments",
        "sallyport secret list --all --prefix STRIPE_",
      ],
      uses: ["secret.list", "secret.search"],
      async run(cli, given) {
        const query = { prefix: given.text("prefix"), ...(given.flag("deleted") ? { state: "deleted" as const } : {}) };
        const empty = `Nothing here yet: no secret in ${place(cli, given)} that you may list. Write one: sallyport secret set NAME`;
        if (given.flag("all")) {
          await showList(cli, given, {
            operation: "secret.search",
            ask: () => ({ query }),
            columns: EVERYWHERE,
            empty: "No secret that you may list.",
          });
        } else {
          const params = { environment: cli.environment(given), namespace: cli.namespace(given) };
          await showList(cli, given, {
            operation: "secret.list",
            ask: () => ({ params, query }),
            columns: IN_SCOPE,
            empty,
          });
        }
      },
    },
    call({
      name: "show",
      summary: "Metadata of a secret; never its value",
      arguments: NAME_ARGUMENT,
      options: SCOPE,
      examples: ["sallyport secret show DB_URL --env prod"],
      operation: "secret.get",
      ask: (cli, given) => ({ params: secretOf(cli, given) }),
      show,
    }),
    revealSecret,
    call({
      name: "update",
      summary: "Change description, tags, owner or the date to rotate by",
      arguments: NAME_ARGUMENT,
      options: [...SCOPE, ...METADATA, IF_VERSION],
      examples: [
        "sallyport secret update DB_URL --tag database --rotate-by 90d",
        "sallyport secret update DB_URL --rotate-by none",
      ],
      operation: "secret.update",
      ask: (cli, given) => ({ params: secretOf(cli, given), body: metadataOf(given), ...ifVersion(given) }),
      show,
    }),
    shortList({
      name: "versions",
      summary: "Versions of a secret with author and time",
      arguments: NAME_ARGUMENT,
      options: SCOPE,
      examples: ["sallyport secret versions DB_URL"],
      operation: "secret.versions",
      ask: (cli, given) => ({ params: secretOf(cli, given) }),
      columns: {
        version: (version) => version.version,
        current: (version) => version.current,
        state: (version) => version.state,
        bytes: (version) => version.bytes,
        created: (version) => formatTime(version.createdAt),
        by: (version) => version.createdBy,
      },
      empty: "It has no version left.",
    }),
    call({
      name: "rollback",
      summary: "Make an earlier version's value the newest version",
      arguments: [...NAME_ARGUMENT, ["<version>", "whose value it shall be"]],
      options: [...SCOPE, IF_VERSION],
      examples: ["sallyport secret rollback DB_URL 3"],
      operation: "secret.rollback",
      ask: (cli, given) => ({
        params: secretOf(cli, given),
        body: { version: parseNumber(given.argument(1), "<version>") },
        ...ifVersion(given),
      }),
      show: (answer, out, given) =>
        out.line(
          `${answer.name} is at version ${String(answer.version)}, with the value of version ${given.argument(1)}.`,
        ),
    }),
    call({
      name: "policy",
      summary: "Say which namespaces, workloads and roles may reference a secret",
      about: "Without a policy the workloads of its own namespace may. What is not named keeps what it was.",
      arguments: NAME_ARGUMENT,
      options: [
        ...SCOPE,
        { flags: "--allow-namespace <name>", meaning: "workloads of this namespace may", many: true },
        { flags: "--allow-workload <namespace/workload>", meaning: "this workload may", many: true },
        { flags: "--allow-role <role>", meaning: "who makes the reference needs one of these roles", many: true },
        { flags: "--default", meaning: "take the policy away" },
      ],
      examples: [
        "sallyport secret policy STRIPE_KEY -n payments --allow-namespace data-pipelines",
        "sallyport secret policy STRIPE_KEY -n payments --default",
      ],
      operation: "secret.policy",
      ask(cli, given) {
        const parts = {
          namespaces: given.list("allow-namespace"),
          workloads: given.list("allow-workload"),
          roles: given.list("allow-role"),
        };
        const named = Object.fromEntries(
          Object.entries(parts).flatMap(([part, names]) => (names === undefined ? [] : [[part, [...names]]])),
        );
        const isDefault = given.flag("default");
        if (isDefault === Object.keys(named).length > 0)
          throw usage("Give --allow-…, or --default to take the policy away.");
        return { params: secretOf(cli, given), body: isDefault ? null : named };
      },
      show,
    }),
    call({
      name: "delete",
      summary: "Delete a secret; it can be restored for 30 days",
      arguments: NAME_ARGUMENT,
      options: [...SCOPE, IF_VERSION],
      examples: ["sallyport secret delete OLD_KEY --env dev"],
      operation: "secret.delete",
      ask: (cli, given) => ({ params: secretOf(cli, given), ...ifVersion(given) }),
      show(_, out, given) {
        const scope = ["env", "namespace"].map((option) => ({ option, name: given.text(option) }));
        const said = scope.map(({ option, name }) => (name === undefined ? "" : ` --${option} ${name}`)).join("");
        out.line(
          `${given.argument(0)} was deleted. Bring it back: sallyport secret restore ${given.argument(0)}${said}`,
        );
      },
    }),
    call({
      name: "restore",
      summary: "Bring back a deleted secret",
      arguments: NAME_ARGUMENT,
      options: SCOPE,
      examples: ["sallyport secret restore OLD_KEY --env dev"],
      operation: "secret.restore",
      ask: (cli, given) => ({ params: secretOf(cli, given) }),
      show: (answer, out) => out.line(`${answer.name} is back, at version ${String(answer.version)}.`),
    }),
    call({
      name: "destroy",
      summary: "Destroy versions of a secret, or a deleted secret, for good",
      arguments: [
        ...NAME_ARGUMENT,
        ["[versions...]", "which versions; without any, the whole secret, which has to be deleted first"],
      ],
      options: [...SCOPE, YES],
      examples: ["sallyport secret destroy DB_URL 1 2", "sallyport secret destroy OLD_KEY --yes"],
      operation: "secret.destroy",
      confirm: (given) =>
        `Destroy ${given.rest(1).length === 0 ? "all" : `version ${given.rest(1).join(", ")}`} of ${given.argument(0)}? It cannot be brought back.`,
      ask(cli, given) {
        const versions = given.rest(1).map((text) => parseNumber(text, "[versions...]"));
        return { params: secretOf(cli, given), body: versions.length === 0 ? {} : { versions } };
      },
      show: (_, out) => out.line("Destroyed."),
    }),
  ],
};
