import type { Command } from "../command.ts";
import { exchangeToken, exchangeTokenAs, fromEnvironment, readToken } from "#client";
import { sourceOf } from "../credential.ts";
import { usage } from "../error.ts";
import { openPrivateFile } from "../file.ts";
import type { PrivateFile } from "../file.ts";
import { MINTED_BY_ANOTHER, OUTPUT, RUNNER, TOKEN } from "../options.ts";
import { safeJson } from "../text.ts";
import { showBytes } from "../value.ts";

const FORMATS = ["json", "dotenv", "shell"] as const;

export const exchange: Command = {
  name: "exchange",
  summary: "Exchange an injection token for its variables, once",
  about:
    "For what cannot be started by `sallyport run`. The token comes from --token-file, --token-fd or SALLYPORT_TOKEN. The " +
    "variables go to stdout or into a 0600 file; a token is used up by it, whatever becomes of them.",
  options: [
    ...TOKEN,
    ...RUNNER,
    {
      flags: "--format <format>",
      meaning: "json: names with value and encoding; dotenv; shell: export lines for eval",
      choices: FORMATS,
      otherwise: "json",
    },
    OUTPUT,
    { flags: "--lease-file <file>", meaning: "write the lease's token to this file (0600), for `lease end`" },
  ],
  examples: [
    "sallyport exchange --token-file token --format dotenv --output .env",
    "sallyport token mint etl --env dev | sallyport exchange --token-fd 0",
    'eval "$(sallyport exchange --token-fd 3 --format shell 3< token)"',
  ],
  uses: ["token.exchange"],
  remedies: { token_invalid: MINTED_BY_ANOTHER },
  async run(cli, given) {
    const runner = readToken(sourceOf(given, "runner", cli.env), ["svc"], cli.env)?.token ?? null;
    const token = readToken(sourceOf(given, "token", cli.env), ["inj"], cli.env) ?? fromEnvironment(cli.env, ["inj"]);
    if (token === null) throw usage("There is no injection token: give --token-file, --token-fd or SALLYPORT_TOKEN.");
    const format = given.choice("format", FORMATS) ?? "json";
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
      const { text, lease } =
        format === "json" ? await asJson() : await exchangeTokenAs(client, token.token, runner, format);
      if (output === null) {
        if (cli.out.isTerminal)
          cli.out.warn("The values are shown on a terminal: --output writes them to a file that only you can read.");
        showBytes(text, cli.out);
      } else {
        output.commit(text);
        cli.out.note(`The variables were written to ${path ?? ""}, which only you can read.`);
      }
      if (leaseFile !== null && lease !== null) leaseFile.commit(`${lease}\n`);
    } catch (error) {
      for (const file of files) file.discard();
      throw error;
    }

    async function asJson() {
      const { answer, lease } = await exchangeToken(client, token?.token ?? "", runner);
      return { text: Buffer.from(`${safeJson(answer)}\n`), lease: lease.token };
    }
  },
};
