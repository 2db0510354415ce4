import type { Response } from "#contract";
import { scopeText } from "../cli.ts";
import type { Command } from "../command.ts";
import { usage } from "../error.ts";
import { believe } from "../operation.ts";
import { NAMESPACE } from "../options.ts";
import type { Output } from "../output.ts";
import { countOf, formatTime } from "../text.ts";

type Comparison = Response<"secret.compare">;
type Compared = Comparison["items"][number];
type Side = Compared["from"];

const DIFFERENT = 1;

export const compareSecrets: Command = {
  name: "compare",
  summary: "Compare the names of two scopes, and with --values whether the values are the same",
  about:
    "The mark before a name:\n" +
    "  <   only in the first scope\n" +
    "  >   only in the second\n" +
    "  !   the values differ\n" +
    "  =   the values are the same\n" +
    "Exit code 0 where there is no difference, 1 where there is. Versions are counted in each scope, and are no difference. " +
    "Values are compared in the vault and not shown; that needs the right to reveal them all, and is recorded with the reason.",
  arguments: [
    ["<scope>", "environment/namespace, or environment"],
    ["<other-scope>", "the same"],
  ],
  options: [
    NAMESPACE,
    { flags: "--values", meaning: "also whether the values are the same" },
    { flags: "--reason <text>", meaning: "why you need to know that" },
  ],
  examples: [
    "sallyport secret compare staging prod -n payments",
    'sallyport secret compare dev/default prod/default --values --reason "release 12"',
  ],
  uses: ["secret.compare"],
  async run(cli, given) {
    const [values, reason] = [given.flag("values"), given.text("reason")];
    if (values !== (reason !== undefined))
      throw usage(values ? "Say why: --reason." : "--reason is about --values, which was not given.");
    const [from, to] = [cli.scope(given, given.argument(0)), cli.scope(given, given.argument(1))];
    const names = [scopeText(from), scopeText(to)] as const;
    if (names[0] === names[1]) throw usage(`${names[0]} is one scope: name another to compare it with.`);
    const body = { from, to, ...(values ? { values } : {}), ...(reason === undefined ? {} : { reason }) };
    const answer = await cli.call("secret.compare", { body });
    const differences = believe(() => answer.items.filter(isDifferent).length);
    if (cli.out.json) cli.out.value(answer);
    else believe(() => show(answer, differences, names, cli.out));
    return differences === 0 ? 0 : DIFFERENT;
  },
};

function isDifferent({ from, to, same }: Compared): boolean {
  return from === null || to === null || same === false;
}

function markOf({ from, to, same }: Compared): string {
  if (to === null) return "<";
  if (from === null) return ">";
  return same === null ? " " : same ? "=" : "!";
}

function show(
  { items, valuesCompared }: Comparison,
  differences: number,
  [first, second]: readonly [string, string],
  out: Output,
): void {
  const side = (one: Side) => (one === null ? "" : `${String(one.version)} of ${formatTime(one.updatedAt)}`);
  if (items.length > 0) {
    out.table(items, {
      " ": markOf,
      name: (one) => one.name,
      [first]: (one) => side(one.from),
      [second]: (one) => side(one.to),
    });
  }
  const what = valuesCompared ? "names and values" : "names";
  out.note(
    differences === 0
      ? `No difference in the ${what} of ${countOf(items.length, "secret")}.`
      : `${countOf(differences, "difference")} in the ${what} of ${countOf(items.length, "secret")}.`,
  );
  if (!valuesCompared && items.some(({ from, to }) => from !== null && to !== null))
    out.note('Values were not compared: --values --reason "…"');
}
