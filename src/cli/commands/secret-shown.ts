import type { Response } from "#contract";
import type { Cli } from "../cli.ts";
import type { Given } from "../given.ts";
import type { Columns, Output } from "../output.ts";
import { formatTime } from "../text.ts";

/** How a secret is named on a command line, and how what is known of it is shown: never with its value. */

export type Secret = Response<"secret.get">;

export const NAME_ARGUMENT = [["<name>", "the secret's name"]] as const;

/** The path of the secret that was named. */
export function secretOf(cli: Cli, given: Given) {
  return { environment: cli.environment(given), namespace: cli.namespace(given), secret: given.argument(0) };
}

export function ifVersion(given: Given) {
  const version = given.number("if-version");
  return version === undefined ? {} : { headers: { ifMatch: version } };
}

/** `--env prod --namespace data`, as far as it was typed: for the command line that comes next. */
export function scopeTyped(given: Given): string {
  return ["env", "namespace"]
    .flatMap((option) => {
      const name = given.text(option);
      return name === undefined ? [] : [` --${option} ${name}`];
    })
    .join("");
}

export const IN_SCOPE: Columns<Secret> = {
  name: (secret) => secret.name,
  version: (secret) => secret.version,
  delivery: (secret) => secret.delivery,
  updated: (secret) => formatTime(secret.updatedAt),
  by: (secret) => secret.updatedBy,
  "last used": (secret) => formatTime(secret.lastUsed?.at ?? null),
  description: (secret) => secret.description,
};
export const EVERYWHERE: Columns<Secret> = {
  environment: (secret) => secret.environment,
  namespace: (secret) => secret.namespace,
  ...IN_SCOPE,
};

export function showSecret(secret: Secret, out: Output): void {
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
    "last used": lastUseText(secret.lastUsed),
    created: `${formatTime(secret.createdAt)} by ${secret.createdBy}`,
    updated: `${formatTime(secret.updatedAt)} by ${secret.updatedBy}`,
    ...(secret.deletedAt === null
      ? {}
      : { deleted: formatTime(secret.deletedAt), "restorable until": formatTime(secret.restorableUntil) }),
    id: secret.id,
  });
}

/** When a launch was given it last, and which. */
export function lastUseText(lastUsed: Secret["lastUsed"]): string {
  if (lastUsed === null) return "never";
  const by = lastUsed.workload === null ? "" : ` by ${lastUsed.workload}`;
  const place = lastUsed.environment === null ? "" : ` in ${lastUsed.environment}`;
  return `${formatTime(lastUsed.at)}${by}${place}`;
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
