import type { ClientRequest, Response } from "#contract";
import { scopeText } from "../cli.ts";
import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { CliError, usage } from "../error.ts";
import type { Given } from "../given.ts";
import { believe } from "../operation.ts";
import { SCOPE, YES } from "../options.ts";
import type { Columns, Output } from "../output.ts";
import { countOf } from "../text.ts";

type Copied = Response<"secret.copy">["items"][number];
type CopyBody = ClientRequest<"secret.copy">["body"];

const NAMES = [["[names...]", "which secrets; or --all"]] as const;
const OPTIONS = [
  ...SCOPE,
  { flags: "--to <scope>", meaning: "environment/namespace, or environment with the same namespace" },
  { flags: "--as <name>", meaning: "the name it gets there, of one secret" },
  { flags: "--all", meaning: "every secret of the scope" },
  { flags: "--overwrite", meaning: "where the name is taken there, write a new version of it" },
] as const;
const PREVIEW = { flags: "--preview", meaning: "only show what would be done" } as const;
const FORCE = { flags: "--force", meaning: "also what something uses, which loses it" } as const;
const NOBODY_SEES = "All of them or none; the values stay in the vault.";

export const copySecrets: Command = {
  name: "copy",
  summary: "Copy secrets to another scope or name; nobody sees a value",
  about: `${NOBODY_SEES} Metadata goes with them, earlier versions do not.`,
  arguments: NAMES,
  options: [...OPTIONS, PREVIEW, YES],
  examples: [
    "sallyport secret copy DB_URL STRIPE_KEY --env staging --to prod",
    "sallyport secret copy --all --env staging -n payments --to prod/payments --preview",
    "sallyport secret copy DB_URL --as OLD_DB_URL",
  ],
  uses: ["secret.copy"],
  run: (cli, given) => transfer(cli, given, false),
};

export const moveSecrets: Command = {
  name: "move",
  summary: "Move secrets to another scope, or rename one",
  about: `${NOBODY_SEES} What something uses is not moved without --force. What was moved is deleted where it was, and can be restored there for 30 days.`,
  arguments: NAMES,
  options: [...OPTIONS, FORCE, PREVIEW, YES],
  examples: [
    "sallyport secret move OLD_NAME --as NEW_NAME --env prod",
    "sallyport secret move STRIPE_KEY --env prod --to prod/payments",
  ],
  uses: ["secret.copy"],
  run: (cli, given) => transfer(cli, given, true),
};

async function transfer(cli: Cli, given: Given, move: boolean): Promise<void> {
  const { out } = cli;
  const [preview, yes] = [given.flag("preview"), given.flag("yes")];
  if (preview && yes) throw usage("--preview and --yes exclude each other.");
  let body = bodyOf(cli, given, move);
  if (!yes) {
    const answer = await ask(cli, { ...body, preview: true });
    if (!out.json) believe(() => show(out, answer.items, body));
    else if (preview) out.value(answer);
    if (preview) return;
    believe(() => refuse(answer.items, given, move));
    const what = believe(() => wordsOf(answer.items, body));
    await cli.confirm(given, `${move ? "Move" : "Copy"} ${what}?`);
    // With --all it is those that were shown.
    body = { ...body, names: answer.items.map(({ name }) => name) };
  }
  const answer = await ask(cli, body);
  if (out.json) out.value(answer);
  else
    believe(() => {
      if (yes) show(out, answer.items, body);
      out.line(`${move ? "Moved" : "Copied"} ${wordsOf(answer.items, body)}.`);
    });
}

async function ask(cli: Cli, body: CopyBody): Promise<Response<"secret.copy">> {
  try {
    return await cli.call("secret.copy", { body });
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    // `names.0` is the first that was named.
    const faults = error.detail.faults?.map(({ field, message }) => {
      const at = /^names\.(\d+)$/.exec(field)?.[1];
      return { field: (at === undefined ? undefined : body.names?.[Number(at)]) ?? field, message };
    });
    throw faults === undefined ? error : error.with({ detail: { ...error.detail, faults } });
  }
}

/** `2 secrets from dev/default to prod/default`, `OLD to NEW in dev/default`. */
function wordsOf(items: readonly Copied[], { from, to }: CopyBody): string {
  const [one, ...others] = items;
  const place =
    scopeText(to) === scopeText(from) ? `in ${scopeText(to)}` : `from ${scopeText(from)} to ${scopeText(to)}`;
  if (one === undefined || others.length > 0) return `${countOf(items.length, "secret")} ${place}`;
  return one.as === one.name ? `${one.name} ${place}` : `${one.name} to ${one.as} ${place}`;
}

function bodyOf(cli: Cli, given: Given, move: boolean): CopyBody {
  const [names, as, to, all] = [given.rest(0), given.text("as"), given.text("to"), given.flag("all")];
  if (all === names.length > 0) throw usage("Say which secrets: their names, or --all.");
  const repeated = names.find((name, at) => names.indexOf(name) < at);
  if (repeated !== undefined) throw usage(`${repeated} is given twice.`);
  if (as !== undefined && names.length !== 1) throw usage("--as is about one secret: name it alone.");
  if (to === undefined && as === undefined)
    throw usage("Say where to: --to environment/namespace, or --as another name.");
  const from = { environment: cli.environment(given), namespace: cli.namespace(given) };
  const [name] = names;
  return {
    from,
    to: to === undefined ? from : cli.scope(given, to),
    ...(all ? {} : { names: [...names] }),
    ...(as === undefined || name === undefined ? {} : { rename: { [name]: as } }),
    ...(given.flag("overwrite") ? { overwrite: true } : {}),
    ...(move ? { move } : {}),
    ...(given.flag("force") ? { force: true } : {}),
  };
}

function show(out: Output, items: readonly Copied[], { from, to, overwrite }: CopyBody): void {
  if (items.length === 0) {
    out.note(`There is no secret in ${scopeText(from)}.`);
    return;
  }
  const columns: Columns<Copied> = {
    name: (one) => one.name,
    [`in ${scopeText(to)}`]: (one) => one.as,
    what: (one) => one.action,
    "version there": (one) => one.version,
    "used by": (one) => [...one.usedBy, ...(one.hiddenUses === 0 ? [] : [`${String(one.hiddenUses)} more`])],
  };
  out.table(items, columns);
  const taken = items.filter(({ action }) => action === "taken").length;
  if (taken > 0 && overwrite !== true)
    out.note("taken: the name is there already. --overwrite writes a new version of it.");
}

/** What the vault would refuse is not asked about. */
function refuse(items: readonly Copied[], given: Given, move: boolean): void {
  if (items.length === 0)
    throw new CliError("not_found", "the scope has no secret", { remedy: "Look: sallyport secret list" });
  const taken = items.filter(({ action }) => action === "taken");
  if (taken.length > 0)
    throw new CliError("already_exists", `${countOf(taken.length, "name")} taken there`, {
      remedy: "Nothing was done. Say --overwrite, or name the others.",
    });
  const used = items.filter(({ usedBy, hiddenUses }) => usedBy.length > 0 || hiddenUses > 0);
  if (move && used.length > 0 && !given.flag("force"))
    throw new CliError("in_use", `${countOf(used.length, "secret")} would be taken from what uses them`, {
      remedy: "Nothing was done. Copy them, point the manifests there, and delete them here; or say --force.",
    });
}
