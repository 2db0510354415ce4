import type { Body, Response } from "#contract";
import type { Cli } from "../cli.ts";
import { parseNumber } from "../given.ts";
import type { Given } from "../given.ts";
import { usage } from "../error.ts";
import { readJsonTree } from "../json-tree.ts";
import { TreeFault } from "../tree.ts";
import { readFile } from "#client";
import { call, list } from "../operation.ts";
import { IF_VERSION, NAMESPACE } from "../options.ts";
import type { Output } from "../output.ts";
import { formatTime } from "../text.ts";

export type Manifest = Response<"manifest.get">;
export type Variable = NonNullable<Manifest["variables"]>[string];
type ManifestBody = Body<"manifest.save">;

export const WORKLOAD = [["<workload>", "namespace/workload, or workload"]] as const;
const VERSION_ARGUMENT = ["[version]", "which version; without it the latest"] as const;
const MAX_MANIFEST_BYTES = 1024 * 1024;

export const save = call({
  name: "save",
  summary: "Save a manifest: a new version of which variables a launch gets",
  about:
    "From a JSON file, from stdin (--file -), or from the options. The file looks like this:\n" +
    '  { "variables": { "DB_URL": { "secret": "DB_URL" }, "KEY": { "secret": "payments/KEY@3", "required": false },\n' +
    '    "LOG_LEVEL": { "value": "info" }, "DSN": { "template": "postgres://${DB_USER}:${DB_PASS}@db/app" } } }\n' +
    'or { "all": true } for every secret of the launch\'s scope under its own name. A save changes no environment until it is\n' +
    "deployed there; where latest is followed, it is deployed at once.",
  arguments: WORKLOAD,
  options: [
    NAMESPACE,
    { flags: "-f, --file <file>", meaning: "the manifest as JSON; - for stdin" },
    { flags: "--all", meaning: "every secret of the launch's scope under its own name" },
    { flags: "--secret <name[=reference]>", meaning: "a variable with a secret's value", many: true },
    { flags: "--optional <name[=reference]>", meaning: "the same, left out where there is no such secret", many: true },
    { flags: "--value <name=text>", meaning: "a variable with this text, which is not secret", many: true },
    { flags: "--template <name=text>", meaning: "a variable with this text, in which ${NAME} is a secret", many: true },
    { flags: "--note <text>", meaning: "why" },
    IF_VERSION,
  ],
  examples: [
    "sallyport workload save data-pipelines/etl --file manifest.json",
    "sallyport workload save etl --secret DB_URL --secret STRIPE_KEY=payments/STRIPE_KEY --value LOG_LEVEL=info",
  ],
  operation: "manifest.save",
  async ask(cli, given) {
    const version = given.number("if-version");
    return {
      params: cli.workload(given, given.argument(0)),
      body: await manifestOf(cli, given),
      ...(version === undefined ? {} : { headers: { ifMatch: version } }),
    };
  },
  show: showSaved,
});

export const versions = list({
  name: "versions",
  summary: "Manifest versions with author and changes",
  arguments: WORKLOAD,
  options: [NAMESPACE],
  examples: ["sallyport workload versions data-pipelines/etl"],
  operation: "manifest.list",
  ask: (cli, given) => ({ params: cli.workload(given, given.argument(0)) }),
  columns: {
    version: (one) => one.version,
    saved: (one) => formatTime(one.createdAt),
    by: (one) => one.createdBy,
    changes: (one) => one.diff.map(({ change, variable }) => `${SIGNS[change]}${variable ?? "(masked)"}`),
    note: (one) => one.note,
  },
  empty: "Nothing here yet: no manifest. Save one: sallyport workload save <workload> --secret DB_URL",
});

export const manifest = call({
  name: "manifest",
  summary: "One manifest version",
  arguments: [...WORKLOAD, VERSION_ARGUMENT],
  options: [NAMESPACE],
  examples: [
    "sallyport workload manifest data-pipelines/etl",
    "sallyport workload manifest data-pipelines/etl 3 --json",
  ],
  operation: "manifest.get",
  ask: askVersion,
  show(answer, out) {
    out.fields({
      version: answer.version,
      saved: `${formatTime(answer.createdAt)} by ${answer.createdBy}`,
      note: answer.note,
    });
    if (answer.all) out.line("all: every secret of the launch's scope under its own name");
    const variables = Object.entries(answer.variables ?? {});
    if (variables.length > 0) {
      out.line("");
      out.table(variables, { variable: ([name]) => name, from: ([, variable]) => variableText(variable) });
    }
    if (answer.maskedVariables > 0)
      out.note(`${String(answer.maskedVariables)} more hold secrets whose names you may not list.`);
  },
});

export const diff = call({
  name: "diff",
  summary: "What a manifest version changed",
  arguments: [...WORKLOAD, VERSION_ARGUMENT],
  options: [NAMESPACE],
  examples: ["sallyport workload diff data-pipelines/etl 3"],
  operation: "manifest.get",
  ask: askVersion,
  show: showDiff,
});

const SIGNS = { added: "+", removed: "-", changed: "~" } as const;

export function showSaved(saved: Manifest, out: Output): void {
  out.line(`Manifest version ${String(saved.version)} was saved.`);
  showDiff(saved, out);
}

function showDiff({ diff: changes }: Manifest, out: Output): void {
  if (changes.length === 0) out.note("It changed nothing.");
  for (const { change, variable, before, after } of changes) {
    const texts = [before, after].flatMap((side) => (side === null ? [] : [variableText(side)]));
    out.line(`${SIGNS[change]} ${variable ?? "(a variable that you may not see)"}  ${texts.join(" → ")}`.trimEnd());
  }
}

function variableText(variable: Variable): string {
  if ("value" in variable) return JSON.stringify(variable.value);
  const optional = variable.required === false ? " (optional)" : "";
  return "secret" in variable
    ? `secret ${variable.secret}${optional}`
    : `template ${JSON.stringify(variable.template)}${optional}`;
}

async function askVersion(cli: Cli, given: Given) {
  const params = cli.workload(given, given.argument(0));
  const asked = given.optionalArgument(1);
  if (asked !== undefined) return { params: { ...params, version: String(parseNumber(asked, "[version]")) } };
  const { latestVersion } = await cli.call("workload.get", { params });
  if (latestVersion === null)
    throw usage("It has no manifest yet.", "Save one: sallyport workload save <workload> --secret DB_URL");
  return { params: { ...params, version: String(latestVersion) } };
}

async function manifestOf(cli: Cli, given: Given): Promise<ManifestBody> {
  const note = given.text("note");
  const withNote = note === undefined ? {} : { note };
  const variables = variablesOf(given);
  const file = given.text("file");
  const kinds = [file !== undefined, given.flag("all"), Object.keys(variables).length > 0].filter(Boolean).length;
  if (kinds !== 1)
    throw usage(
      "Give a manifest in one way: --file, --all, or variables by --secret, --optional, --value, --template.",
    );
  if (given.flag("all")) return { all: true, ...withNote };
  if (file === undefined) return { variables, ...withNote };
  const text = file === "-" ? await cli.input.bytes(MAX_MANIFEST_BYTES) : readFile(file, MAX_MANIFEST_BYTES);
  let content: unknown;
  try {
    content = JSON.parse(text.toString("utf8"));
  } catch {
    // The parser's own message repeats what it could not read.
    throw usage(`${file === "-" ? "stdin" : file} is not JSON${lineOfFault(text.toString("utf8"))}.`);
  }
  if (typeof content !== "object" || content === null) throw usage("A manifest is a JSON object.");
  // Whether it is a manifest is the vault's to say, field by field.
  return { ...(content as ManifestBody), ...withNote };
}

function lineOfFault(text: string): string {
  try {
    readJsonTree(text);
    return "";
  } catch (error) {
    if (error instanceof TreeFault) return ` (line ${String(error.line)})`;
    throw error;
  }
}

/** The variables that the options name: `NAME`, or `NAME=` and what it takes. */
function variablesOf(given: Given): Record<string, Variable> {
  const kinds: Readonly<Record<string, (name: string, text: string | null) => Variable>> = {
    secret: (name, text) => ({ secret: text ?? name }),
    optional: (name, text) => ({ secret: text ?? name, required: false }),
    value: (name, text) => ({ value: text ?? missingText(name) }),
    template: (name, text) => ({ template: text ?? missingText(name) }),
  };
  const variables = new Map<string, Variable>();
  for (const [option, make] of Object.entries(kinds)) {
    for (const pair of given.list(option) ?? []) {
      const at = pair.indexOf("=");
      const name = at < 0 ? pair : pair.slice(0, at);
      if (variables.has(name)) throw usage(`${name} is given twice.`);
      variables.set(name, make(name, at < 0 ? null : pair.slice(at + 1)));
    }
  }
  return Object.fromEntries(variables);
}

function missingText(name: string): never {
  throw usage(`${name}: --value and --template take NAME=text.`);
}
