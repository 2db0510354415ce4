import { scopeText } from "../cli.ts";
import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { CliError, usage } from "../error.ts";
import { readFile } from "#client";
import { othersCanRead } from "../file.ts";
import type { Given } from "../given.ts";
import { believe } from "../operation.ts";
import { SCOPE, YES } from "../options.ts";
import type { Columns } from "../output.ts";
import { FILE_FORMATS, formatOf } from "../file-content.ts";
import type { FileFault, FileSecret } from "../file-content.ts";
import { countOf } from "../text.ts";
import { MOST_NAMES, previewParts, split, writeParts } from "./secret-parts.ts";
import type { Item, Part } from "./secret-parts.ts";

/** More than anybody keeps in one file, and what fits in memory. */
const MOST_FILE_BYTES = 64 * 1024 * 1024;
const MOST_FAULTS_SAID = 20;

const COLUMNS: Columns<Item> = {
  name: (item) => item.name,
  what: (item) => item.action,
  version: (item) => item.version,
};

export const importSecrets: Command = {
  name: "import",
  summary: "Write many secrets from a file: all of them or none",
  about:
    "dotenv holds NAME=value lines. JSON and YAML hold a text for each name, or what else is known of it:\n" +
    '  { "DB_URL": "postgres://…",\n' +
    '    "TLS_KEY": { "value": "…", "encoding": "base64", "description": "…",\n' +
    '                 "tags": ["tls"], "owner": "ops", "rotateBy": "90d" } }\n' +
    "Without a value it is about the metadata of a secret that is there. A file in which a name stands twice or a line " +
    "cannot be read is refused.\n\n" +
    "What would be done is shown, and asked for:\n" +
    "  create     a new secret\n" +
    "  write      a new version\n" +
    "  describe   other metadata, the same value\n" +
    "  unchanged\n" +
    "  missing    without a value, and not there: left out\n" +
    "If somebody changes one of them before you answer, nothing is written.",
  arguments: [["<file>", "dotenv, JSON or YAML; - for stdin"]],
  options: [
    ...SCOPE,
    { flags: "--format <format>", meaning: "what the file is", choices: FILE_FORMATS, otherwise: "as its name ends" },
    { flags: "--preview", meaning: "only show what would be done" },
    { flags: "--allow-empty", meaning: "empty values are meant" },
    { flags: "--in-parts", meaning: "write more than 500 names or 1 MiB, in several transactions" },
    YES,
  ],
  examples: [
    "sallyport secret import .env",
    "sallyport secret import secrets.yaml --env prod -n payments --preview",
    "sops -d secrets.json | sallyport secret import - --format json --yes",
  ],
  uses: ["secret.bulk"],
  async run(cli, given) {
    const [preview, yes] = [given.flag("preview"), given.flag("yes")];
    if (preview && yes) throw usage("--preview and --yes exclude each other.");
    const scope = { environment: cli.environment(given), namespace: cli.namespace(given) };
    const place = scopeText(scope);
    const result = (items: readonly Item[]) => {
      if (cli.out.json) cli.out.value({ preview, items });
      else show(cli, items);
    };
    const secrets = await readGiven(cli, given);
    const parts = split(secrets);
    if (parts.length > 1 && !given.flag("in-parts")) throw tooMuch(given, secrets, parts.length);
    if (preview) {
      result(await previewParts(cli, scope, parts));
      return;
    }

    // A name without a value may be missing, which the vault would refuse: it is looked for first.
    const isLookedFor = !yes || secrets.some(({ value }) => value === undefined);
    const shown = isLookedFor ? await previewParts(cli, scope, parts) : [];
    const writes = believe(() => shown.filter(isWrite).length);
    const isIdle = isLookedFor && writes === 0;
    if (!cli.out.json && !yes) show(cli, shown);
    if (!yes && !isIdle) await cli.confirm(given, `Write ${countOf(writes, "secret")} to ${place}?`);

    const toWrite = isIdle ? [] : isLookedFor ? believe(() => pinned(parts, shown)) : parts;
    const written = await writeParts(cli, scope, toWrite, result);
    const items = isIdle ? shown : [...written, ...shown.filter(({ action }) => action === "missing")];
    if (cli.out.json || yes || parts.length > 1) result(items);
    if (!cli.out.json)
      cli.out.line(believe(() => `${countOf(items.filter(isWrite).length, "secret")} written to ${place}.`));
    const file = given.argument(0);
    if (file !== "-" && secrets.some(({ value }) => value !== undefined))
      cli.out.note(`${file} still holds the values as plain text: remove it where it is not needed any more.`);
  },
};

async function readGiven(cli: Cli, given: Given): Promise<FileSecret[]> {
  const path = given.argument(0);
  const format = given.choice("format", FILE_FORMATS) ?? formatOf(path);
  if (format === null)
    throw usage(`Say what ${path === "-" ? "stdin" : path} is: --format ${FILE_FORMATS.join(", ")}.`);
  if (path === "-") {
    if (cli.input.isTyped) throw usage("stdin is a terminal here: pipe the file in, or name it.");
    if (!given.flag("yes") && !given.flag("preview"))
      throw usage("Nobody can be asked while stdin holds the values: look with --preview, write with --yes.");
  }
  const bytes = path === "-" ? await cli.input.bytes(MOST_FILE_BYTES) : readFile(path, MOST_FILE_BYTES);
  const { readSecretFile } = await import("../secret-file.ts");
  const { secrets, faults } = await readSecretFile(bytes, format, given.flag("allow-empty"));
  const what = path === "-" ? "stdin" : path;
  if (faults.length > 0) throw unreadable(what, faults);
  if (secrets.length === 0) throw new CliError("invalid_input", `${what} holds no secret`);
  if (path !== "-" && secrets.some(({ value }) => value !== undefined) && othersCanRead(path))
    cli.out.warn(`${path} can be read by others: chmod 600 ${path}`);
  return secrets;
}

function unreadable(what: string, faults: readonly FileFault[]): CliError {
  const said = faults
    .slice(0, MOST_FAULTS_SAID)
    .map(({ line, fault }) => ({ field: `line ${String(line)}`, message: fault }));
  const more = faults.length - said.length;
  if (more > 0) said.push({ field: "and", message: countOf(more, "more fault") });
  return new CliError("invalid_input", `${what} was not taken`, {
    detail: { faults: said },
    remedy: "Nothing was written. Mend the file and import it again.",
  });
}

function tooMuch(given: Given, secrets: readonly FileSecret[], parts: number): CliError {
  const names = countOf(secrets.length, "name");
  const why =
    secrets.length > MOST_NAMES
      ? `and one transaction takes ${String(MOST_NAMES)}`
      : "more than 1 MiB together, which is what one transaction takes";
  return new CliError(
    "payload_too_large",
    `${given.argument(0) === "-" ? "stdin" : given.argument(0)} holds ${names}, ${why}`,
    {
      remedy: `Nothing was written. Divide it, or say --in-parts: ${String(parts)} transactions one after the other, each all or nothing.`,
    },
  );
}

/** What is there or has a value, each only as it was shown: at the version that it had then, or not there. */
function pinned(parts: readonly Part[], shown: readonly Item[]): Part[] {
  const found = new Map(shown.map((item) => [item.name, item]));
  return parts
    .map((part) =>
      part.flatMap(({ sent, line }) => {
        const item = found.get(sent.name);
        if (item?.action === "missing") return [];
        return [{ sent: { ...sent, ifVersion: item?.version ?? 0 }, line }];
      }),
    )
    .filter((part) => part.length > 0);
}

function show(cli: Cli, items: readonly Item[]): void {
  believe(() => cli.out.table(items, COLUMNS));
  const counts = new Map<string, number>();
  for (const { action } of items) counts.set(action, (counts.get(action) ?? 0) + 1);
  cli.out.note([...counts].map(([action, number]) => `${action}: ${String(number)}`).join(", "));
}

function isWrite({ action }: Item): boolean {
  return action !== "unchanged" && action !== "missing";
}
