import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { usage } from "../error.ts";
import { parseNumber } from "../given.ts";
import type { Given } from "../given.ts";
import { believe } from "../operation.ts";
import { NAMESPACE } from "../options.ts";
import { WORKLOAD, showSaved } from "./manifest.ts";
import type { Manifest, Variable } from "./manifest.ts";

const NOTE = { flags: "--note <text>", meaning: "why" } as const;
const ABOUT =
  "A secret is named as the manifest names it: NAME, namespace/NAME or environment/namespace/NAME; or by the variable that " +
  "holds it. What stands in a template is meant as well. A new manifest version is saved, which changes no environment until " +
  "it is deployed there; where latest is followed, it is deployed at once.";

export const pin: Command = {
  name: "pin",
  summary: "Let a workload have this version of a secret, whatever is written later",
  about: ABOUT,
  arguments: [...WORKLOAD, ["<secrets...>", "NAME@version"]],
  options: [NAMESPACE, NOTE],
  examples: ["sallyport workload pin data-pipelines/etl DB_URL@3", "sallyport workload pin etl payments/STRIPE_KEY@12"],
  uses: ["workload.get", "manifest.get", "manifest.save", "secret.versions"],
  run: (cli, given) =>
    savePins(cli, given, "pin", (text) => {
      const [, name = "", version = ""] = /^(.*)@([^@]*)$/.exec(text) ?? [];
      if (name === "") throw usage(`“${text}” names no version: write ${text === "" ? "NAME" : text}@3.`);
      return { name, version: parseNumber(version, text) };
    }),
};

export const unpin: Command = {
  name: "unpin",
  summary: "Let a workload have the current version of a secret again",
  about: ABOUT,
  arguments: [...WORKLOAD, ["<secrets...>", "NAME"]],
  options: [NAMESPACE, NOTE],
  examples: ["sallyport workload unpin data-pipelines/etl DB_URL"],
  uses: ["workload.get", "manifest.get", "manifest.save"],
  run: (cli, given) =>
    savePins(cli, given, "unpin", (text) => {
      if (text.includes("@")) throw usage(`“${text}”: name the secret without its version.`);
      return { name: text, version: null };
    }),
};

interface Pin {
  readonly name: string;
  /** `null`: the current one at each launch. */
  readonly version: number | null;
}

async function savePins(cli: Cli, given: Given, verb: string, parse: (text: string) => Pin): Promise<void> {
  const { out } = cli;
  const pins = given.rest(1).map(parse);
  const params = cli.workload(given, given.argument(0));
  const { latestVersion, deployments } = await cli.call("workload.get", { params });
  if (latestVersion === null)
    throw usage("It has no manifest yet.", "Save one: sallyport workload save <workload> --secret DB_URL");
  const latest = await cli.call("manifest.get", { params: { ...params, version: String(latestVersion) } });
  const before = believe(() => pinnable(latest));
  const variables = pins.reduce(repin, before);
  if (JSON.stringify(variables) === JSON.stringify(before)) {
    if (out.json) out.value(latest);
    else out.line(`That is so already: manifest version ${String(latestVersion)} was left as it is.`);
    return;
  }
  const saved = await cli.call("manifest.save", {
    params,
    body: { variables, note: given.text("note") ?? `${verb} ${given.rest(1).join(" ")}` },
    // What somebody else saves meanwhile is not undone.
    headers: { ifMatch: latestVersion },
  });
  const environments = believe(() => deployments.map(({ environment }) => environment));
  await warnOfMissing(
    cli,
    believe(() => pins.map((one) => ({ ...one, name: targetOf(before, one.name) }))),
    environments,
    params.namespace,
  );
  if (out.json) out.value(saved);
  else {
    believe(() => showSaved(saved, out));
    out.note("It changes no environment until it is deployed there; where latest is followed, it is by now.");
  }
}

/** A version is counted in each scope: where the workload is deployed, one of them may lack it. */
async function warnOfMissing(cli: Cli, pins: readonly Pin[], deployed: readonly string[], own: string): Promise<void> {
  const warned = new Set<string>();
  for (const { name: reference, version } of pins) {
    if (version === null) continue;
    const [secret = "", namespace = own, fixed] = reference.split("/").reverse();
    for (const environment of fixed === undefined ? deployed : [fixed]) {
      const params = { environment, namespace, secret };
      // What is not there at all, or not for this reader, is said by the deployment.
      const items = await cli.call("secret.versions", { params }).then(
        (answer) => answer.items,
        () => null,
      );
      const isMissing =
        items !== null && believe(() => !items.some((one) => one.version === version && one.state === "live"));
      if (isMissing)
        warned.add(
          `${environment}/${namespace} has no version ${String(version)} of ${secret}: nothing is launched there with it.`,
        );
    }
  }
  for (const text of warned) cli.out.warn(text);
}

type Variables = Record<string, Variable>;

/** The variables of a manifest of which a new version can be made here. */
function pinnable({ all, variables, maskedVariables }: Manifest): Variables {
  if (all)
    throw usage(
      "Its manifest takes every secret of the launch's scope, and names none that could be pinned.",
      "Save one that names them: sallyport workload save <workload> --secret DB_URL",
    );
  if (maskedVariables > 0)
    throw usage(
      `${String(maskedVariables)} of its variables hold secrets whose names you may not list: a version saved by you would be without them.`,
      "Ask who may list them.",
    );
  return { ...variables };
}

/** The variables with one secret pinned to another version, or to none. */
function repin(variables: Variables, { name, version }: Pin): Variables {
  const target = targetOf(variables, name);
  const pinned = version === null ? target : `${target}@${String(version)}`;
  return Object.fromEntries(
    Object.entries(variables).map(([variable, what]): [string, Variable] => {
      if ("secret" in what && withoutVersion(what.secret) === target) return [variable, { ...what, secret: pinned }];
      if (!("template" in what)) return [variable, what];
      const template = what.template.replace(IN_TEMPLATE, (part, reference?: string) =>
        reference !== undefined && withoutVersion(reference) === target ? `\${${pinned}}` : part,
      );
      return [variable, { ...what, template }];
    }),
  );
}

/** `$$` is a dollar sign, also before a brace. */
const IN_TEMPLATE = /\$\$|\$\{([^}]*)\}/g;

/** The reference, without a version, that a name means: one as it stands in the manifest, a variable's, or the only one of that name. */
function targetOf(variables: Variables, name: string): string {
  const references = new Set(Object.values(variables).flatMap(referencesOf).map(withoutVersion));
  if (references.has(name)) return name;
  const variable = Object.hasOwn(variables, name) ? variables[name] : undefined;
  if (variable !== undefined && "secret" in variable) return withoutVersion(variable.secret);
  const [only, ...others] = [...references].filter((reference) => reference.endsWith(`/${name}`));
  if (only !== undefined && others.length === 0) return only;
  const known = references.size === 0 ? "It names no secret." : `It names: ${[...references].sort().join(", ")}.`;
  if (only !== undefined) throw usage(`“${name}” may be ${[only, ...others].join(" or ")}: say which.`);
  if (variable === undefined) throw usage(`The manifest has no secret “${name}”. ${known}`);
  if ("value" in variable)
    throw usage(`${name} is a text that stands in the manifest, and no secret: there is nothing to pin. ${known}`);
  throw usage(`${name} is a template: name the secret in it that is meant. ${known}`);
}

function referencesOf(variable: Variable): string[] {
  if ("secret" in variable) return [variable.secret];
  if (!("template" in variable)) return [];
  return [...variable.template.matchAll(IN_TEMPLATE)].flatMap(([, reference]) =>
    reference === undefined ? [] : [reference],
  );
}

function withoutVersion(reference: string): string {
  return reference.replace(/@\d+$/, "");
}
