import type { Response } from "#contract";
import type { Cli } from "../cli.ts";
import { CliError } from "../error.ts";
import { believe } from "../operation.ts";
import type { Command } from "../command.ts";
import { SCOPE } from "../options.ts";
import type { Columns, Output } from "../output.ts";
import { NAME_ARGUMENT, lastUseText, secretOf } from "./secret-shown.ts";

type Uses = Response<"secret.uses">;
type Use = Uses["references"][number];

const COLUMNS: Columns<Use> = {
  workload: (one) => one.workload,
  environment: (one) => one.environment,
  variables: (one) => one.variables,
  pinned: (one) => one.pinned,
  manifest: (one) => one.manifestVersion,
  deployed: (one) => one.deployed,
  takes: (one) => (one.all ? "all of the scope" : "it by name"),
};

export const usesOfSecret: Command = {
  name: "uses",
  summary: "What uses a secret: workloads, launches that hold it, its last use",
  about: "A reference that is not deployed stands in the newest manifest, and is not in force yet.",
  arguments: NAME_ARGUMENT,
  options: SCOPE,
  examples: ["sallyport secret uses DB_URL --env prod"],
  uses: ["secret.uses"],
  async run(cli, given) {
    const answer = await cli.call("secret.uses", { params: secretOf(cli, given) });
    if (cli.out.json) cli.out.value(answer);
    else believe(() => show(answer, cli.out));
  },
};

function show(uses: Uses, out: Output): void {
  if (uses.references.length > 0) {
    out.table(uses.references, COLUMNS);
    out.line("");
  } else if (uses.hidden === 0) out.line("No workload refers to it.");
  if (uses.hidden > 0) out.line(`${String(uses.hidden)} references that you may not see.`);
  out.fields({ "launches that hold it now": uses.launches, "last used": lastUseText(uses.lastUsed) });
}

/**
 * Says on stderr what uses a secret that is about to go, and answers whether anything does. A workload that takes all of its
 * scope goes on without it. Who may not know is not told: for them it may be in use.
 */
export async function warnOfUses(cli: Cli, params: ReturnType<typeof secretOf>): Promise<boolean> {
  let uses: Uses;
  try {
    uses = await cli.call("secret.uses", { params });
  } catch (error) {
    if (error instanceof CliError && error.code === "forbidden") return true;
    throw error;
  }
  const lines = believe(() => usesText(uses));
  for (const line of lines) cli.out.warn(`${params.secret} ${line}`);
  return lines.length > 0;
}

function usesText({ references, hidden, launches }: Uses): string[] {
  return [
    ...references
      .filter((one) => !one.all)
      .map(({ workload, environment, variables, pinned, deployed }) => {
        const details = [
          ...variables,
          ...(pinned === null ? [] : [`pinned to version ${String(pinned)}`]),
          ...(deployed ? [] : ["not deployed"]),
        ];
        return `is used by ${workload} in ${environment}${details.length === 0 ? "" : ` (${details.join(", ")})`}`;
      }),
    ...(hidden === 0 ? [] : [`is used by ${String(hidden)} references that you may not see`]),
    ...(launches === 0 ? [] : [`is held by ${String(launches)} launches that run now`]),
  ];
}
