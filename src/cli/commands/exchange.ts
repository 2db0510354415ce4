import { fromEnvironment, readToken } from "#client";
import type { Command } from "../command.ts";
import { sourceOf } from "../credential.ts";
import { usage } from "../error.ts";
import { FORMAT, KUBERNETES, KUBERNETES_FIELDS, exchangeInto, formOf, putOut } from "../exported.ts";
import { openPrivateFile } from "../file.ts";
import type { PrivateFile } from "../file.ts";
import { MINTED_BY_ANOTHER, OUTPUT, RUNNER, TOKEN } from "../options.ts";

export const exchange: Command = {
  name: "exchange",
  summary: "Exchange an injection token for its variables, once",
  about:
    "For what cannot be started by `sallyport run`. The token comes from --token-file, --token-fd or SALLYPORT_TOKEN. The " +
    "variables go to stdout or into a 0600 file; a token is used up by it, whatever becomes of them.",
  options: [
    ...TOKEN,
    ...RUNNER,
    { ...FORMAT, otherwise: "json" },
    ...KUBERNETES,
    OUTPUT,
    { flags: "--lease-file <file>", meaning: "write the lease's token to this file (0600), for `lease end`" },
  ],
  examples: [
    "sallyport exchange --token-file token --format dotenv --output .env",
    "sallyport token mint etl --env dev | sallyport exchange --token-fd 0",
    'eval "$(sallyport exchange --token-fd 3 --format shell 3< token)"',
  ],
  uses: ["token.exchange"],
  optionOf: KUBERNETES_FIELDS,
  remedies: { token_invalid: MINTED_BY_ANOTHER },
  async run(cli, given) {
    const form = formOf(given, "json");
    const runner = readToken(sourceOf(given, "runner", cli.env), ["svc"], cli.env)?.token ?? null;
    const token = readToken(sourceOf(given, "token", cli.env), ["inj"], cli.env) ?? fromEnvironment(cli.env, ["inj"]);
    if (token === null) throw usage("There is no injection token: give --token-file, --token-fd or SALLYPORT_TOKEN.");
    const { client } = cli;
    const [path, leasePath] = [given.text("output"), given.text("lease-file")];
    const files: PrivateFile[] = [];
    const open = (name: string | undefined) => {
      if (name === undefined) return null;
      const file = openPrivateFile(name);
      files.push(file);
      return file;
    };
    try {
      const output = open(path);
      const leaseFile = open(leasePath);
      const { text, lease } = await exchangeInto(form, client, { token: token.token, runner }, true);
      putOut(cli, text, output, path ?? "");
      if (leaseFile !== null && lease !== null) leaseFile.commit(`${lease}\n`);
    } catch (error) {
      for (const file of files) file.discard();
      throw error;
    }
  },
};
