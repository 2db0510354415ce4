import type { Command } from "./command.ts";
import type { CliError } from "./error.ts";

const MINUTE_SECONDS = 60;

/** The API's fields whose option has another name; `rotateBy` is --rotate-by. */
const OPTION_OF: Readonly<Record<string, string>> = {
  allowVariables: "allow-variable",
  cidrs: "cidr",
  endsAt: "ends",
  environment: "env",
  expiresAt: "expires",
  namespaces: "allow-namespace",
  roles: "allow-role",
  startsAt: "starts",
  tags: "tag",
  ttlSeconds: "ttl",
  workloads: "allow-workload",
};

/** What the vault says of its API, as it is said here. */
const SAID_HERE: readonly (readonly [api: string, here: string])[] = [["GET /v1/roles", "`sallyport role list`"]];

/**
 * What the vault answered, in the words of the command that asked: its own remedy, and the options that were typed in place
 * of the fields that were sent. The document that programs get stays the vault's.
 */
export function inWordsOf(command: Command, error: CliError): CliError {
  if (error.status === null) return error;
  const remedy = command.remedies?.[error.code] ?? lookedUpBy(error);
  const options = new Set((command.options ?? []).map(({ flags }) => /--([\w-]+)/.exec(flags)?.[1]));
  const faults = error.detail.faults?.map(({ field, message }) => {
    // `cidrs.0` is one of those that were given with --cidr, `to.environment` a part of --to.
    const [first = "", second = ""] = field.split(".");
    const isSide = first === "from" || first === "to";
    const name = first === "from" ? second : first;
    const option =
      command.optionOf?.[name] ?? OPTION_OF[name] ?? name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    return { field: options.has(option) ? `--${option}` : isSide ? second : field, message: said(name, message) };
  });
  return error.with({
    ...(remedy === undefined ? {} : { remedy }),
    ...(faults === undefined ? {} : { detail: { ...error.detail, faults } }),
  });
}

/** How to see what there is, where something that was named is not. */
const LISTS: Readonly<Record<string, string>> = {
  environment: "sallyport env list",
  namespace: "sallyport ns list",
  workload: "sallyport workload list --all",
  secret: "sallyport secret list",
  user: "sallyport user list",
  serviceUser: "sallyport service-user list",
};

function lookedUpBy(error: CliError): string | undefined {
  if (error.code !== "not_found") return undefined;
  const lists = (error.detail.faults ?? []).map(({ field }) => LISTS[field.split(".").at(-1) ?? ""]);
  const known = [...new Set(lists.filter((one) => one !== undefined))];
  return known.length === 0 ? undefined : `See what there is: ${known.map((one) => `\`${one}\``).join(", ")}.`;
}

function said(field: string, message: string): string {
  const most = field.endsWith("Seconds") ? /<=(\d+)$/.exec(message)?.[1] : undefined;
  if (most !== undefined) return `at most ${durationText(Number(most))}`;
  return SAID_HERE.reduce((text, [api, here]) => text.replaceAll(api, here), message);
}

function durationText(seconds: number): string {
  return seconds % MINUTE_SECONDS === 0 ? `${String(seconds / MINUTE_SECONDS)}m` : `${String(seconds)}s`;
}
