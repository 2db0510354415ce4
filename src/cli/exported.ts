import { loadLaunching } from "#client";
import type { Client, TextForm } from "#client";
import { FORMAT_NAMES } from "#contract";
import type { ExchangeFormat } from "#contract";
import type { Cli } from "./cli.ts";
import type { Option } from "./command.ts";
import { usage } from "./error.ts";
import type { PrivateFile } from "./file.ts";
import type { Given } from "./given.ts";
import type { LaunchToken } from "./launch-token.ts";
import { safeJson } from "./text.ts";
import { showBytes } from "./value.ts";

/** How the variables of a launch are written, where no process is started with them. */
export type Form = TextForm | { readonly format: "json" };

export const FORMAT: Option = {
  flags: "--format <format>",
  meaning:
    "json: names with value and encoding; dotenv and systemd: files that are also safe to source; shell: export lines " +
    "for eval; docker: for --env-file, never to be sourced; kubernetes: a Secret; yaml, toml, properties, tfvars",
  choices: FORMAT_NAMES,
};
export const KUBERNETES: readonly Option[] = [
  { flags: "--kubernetes-name <name>", meaning: "what the Secret is called", otherwise: "the workload's name" },
  { flags: "--kubernetes-namespace <name>", meaning: "its Kubernetes namespace", otherwise: "none is written" },
];

/** The API's words for these. */
export const KUBERNETES_FIELDS = { name: "kubernetes-name", namespace: "kubernetes-namespace" } as const;

/** What was asked for. Error: `usage` where a Secret's name is given and no Secret is wanted. */
export function formOf(given: Given, otherwise: ExchangeFormat): Form {
  const format = given.choice("format", FORMAT_NAMES) ?? otherwise;
  const [name, namespace] = [given.text("kubernetes-name"), given.text("kubernetes-namespace")];
  if (format === "kubernetes")
    return { format, ...(name === undefined ? {} : { name }), ...(namespace === undefined ? {} : { namespace }) };
  const said = name !== undefined ? "name" : namespace !== undefined ? "namespace" : null;
  if (said !== null) throw usage(`--kubernetes-${said} takes --format kubernetes.`);
  return { format };
}

/** The variables as text, and the lease's token. With `leased` a JSON text holds the lease as the vault sent it. */
export async function exchangeInto(
  form: Form,
  client: Client,
  { token, runner }: Pick<LaunchToken, "token" | "runner">,
  leased: boolean,
): Promise<{ text: Buffer; lease: string | null }> {
  const { exchangeToken, exchangeTokenAs } = await loadLaunching();
  if (form.format !== "json") return exchangeTokenAs(client, token, runner, form);
  const { answer, lease } = await exchangeToken(client, token, runner);
  const { lease: _, ...alone } = answer;
  return { text: Buffer.from(`${safeJson(leased ? answer : alone)}\n`), lease: lease.token };
}

/** Into the file, else to stdout. */
export function putOut(cli: Cli, text: Buffer, file: PrivateFile | null, path: string): void {
  if (file !== null) {
    file.commit(text);
    cli.out.note(`The variables were written to ${path}, which only you can read.`);
    return;
  }
  if (cli.out.isTerminal)
    cli.out.warn("The values are shown on a terminal: --output writes them to a file that only you can read.");
  showBytes(text, cli.out);
}
