import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { usage } from "../error.ts";
import type { Given } from "../given.ts";
import { believe } from "../operation.ts";
import { SCOPE } from "../options.ts";
import { countOf, escapeControls, escapeControlsInLines, safeJson } from "../text.ts";
import type { Secret } from "./secret-shown.ts";

const FORMATS = ["yaml", "json", "csv"] as const;
type Format = (typeof FORMATS)[number];

export const exportSecrets: Command = {
  name: "export",
  summary: "Names and metadata of secrets for a file; never a value",
  about:
    "YAML and JSON of one scope are what `sallyport secret import` takes: in another scope or vault it sets the metadata of " +
    "the names that are there, and lists those that are missing. With --all, and as CSV, it is a list to read.",
  options: [
    ...SCOPE,
    { flags: "-a, --all", meaning: "of every scope that you may list" },
    { flags: "--format <format>", meaning: "how it is written", choices: FORMATS, otherwise: "yaml" },
  ],
  examples: [
    "sallyport secret export --env prod > prod.yaml",
    "sallyport secret export --all --format csv",
    "sallyport secret export --env prod --format json > names.json",
  ],
  uses: ["secret.list", "secret.search"],
  async run(cli, given) {
    if (cli.out.json && given.text("format") !== undefined)
      throw usage("--json is the vault's whole answer: leave it out where --format is given.");
    const items = await listGiven(cli, given);
    if (cli.out.json) cli.out.value(items);
    else cli.out.bytes(Buffer.from(await write(items, given.choice("format", FORMATS) ?? "yaml", given.flag("all"))));
    cli.out.note(`${countOf(items.length, "name")}, and no value.`);
  },
};

async function listGiven(cli: Cli, given: Given): Promise<Secret[]> {
  const { client } = cli;
  if (given.flag("all")) {
    if (given.text("env") !== undefined || given.text("namespace") !== undefined)
      throw usage("--all is every scope: leave --env and --namespace out.");
    return (await client.list("secret.search", {})).items;
  }
  const params = { environment: cli.environment(given), namespace: cli.namespace(given) };
  return (await client.list("secret.list", { params })).items;
}

async function write(secrets: readonly Secret[], format: Format, all: boolean): Promise<string> {
  if (format === "csv") return believe(() => csvOf(secrets));
  const content = believe(() =>
    all ? secrets.map(listed) : Object.fromEntries(secrets.map((one) => [one.name, metadataOf(one)])),
  );
  if (format === "json") return `${safeJson(content)}\n`;
  const { stringify } = await import("yaml");
  const text = stringify(content);
  // What a terminal would obey has no place in YAML but an escape in JSON, which YAML is a superset of.
  return escapeControlsInLines(text) === text ? text : `${safeJson(content)}\n`;
}

/** What `secret import` takes for a name; what is empty is left out, so that it takes nothing away elsewhere. */
function metadataOf({ description, tags, owner, rotateBy }: Secret) {
  return {
    ...(description === "" ? {} : { description }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(owner === "" ? {} : { owner }),
    ...(rotateBy === null ? {} : { rotateBy }),
  };
}

function listed(secret: Secret) {
  return {
    environment: secret.environment,
    namespace: secret.namespace,
    name: secret.name,
    version: secret.version,
    ...metadataOf(secret),
    updatedAt: secret.updatedAt,
    updatedBy: secret.updatedBy,
    lastUsedAt: secret.lastUsed?.at ?? null,
  };
}

const CSV_COLUMNS: readonly (readonly [header: string, cell: (secret: Secret) => string])[] = [
  ["environment", (one) => one.environment],
  ["namespace", (one) => one.namespace],
  ["name", (one) => one.name],
  ["version", (one) => String(one.version)],
  ["description", (one) => one.description],
  ["tags", (one) => one.tags.join(" ")],
  ["owner", (one) => one.owner],
  ["rotateBy", (one) => one.rotateBy ?? ""],
  ["createdAt", (one) => one.createdAt],
  ["createdBy", (one) => one.createdBy],
  ["updatedAt", (one) => one.updatedAt],
  ["updatedBy", (one) => one.updatedBy],
  ["lastUsedAt", (one) => one.lastUsed?.at ?? ""],
];

/** RFC 4180. */
function csvOf(secrets: readonly Secret[]): string {
  const lines = [
    CSV_COLUMNS.map(([header]) => header),
    ...secrets.map((one) => CSV_COLUMNS.map(([, cell]) => csvCell(cell(one)))),
  ];
  return lines.map((line) => `${line.join(",")}\r\n`).join("");
}

/** A spreadsheet takes what begins so for a formula, and others write descriptions. */
function csvCell(text: string): string {
  const safe = escapeControls(/^[=+\-@]/.test(text) ? `'${text}` : text);
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
