import { loadLaunching } from "#client";
import { childEnvironment } from "../child-environment.ts";
import type { Command } from "../command.ts";
import { CliError, usage } from "../error.ts";
import { EXIT_NOT_LAUNCHED } from "../exit-codes.ts";
import { launch } from "../launch.ts";
import { LAUNCH, launchToken } from "../launch-token.ts";
import { MINTED_BY_ANOTHER } from "../options.ts";

const AS_TEXT = "Nothing was started. Store text without NUL bytes, or take it with `sallyport export`.";

export const run: Command = {
  name: "run",
  summary: "Start a command with the variables of a launch",
  about:
    "Mints an injection token for the workload, exchanges it, and starts the command with its variables: no shell, its " +
    "arguments untouched, nothing written to a file. With an injection token (--token-file, --token-fd, or SALLYPORT_TOKEN that " +
    "begins with sp_inj_) it only exchanges. The command gets this process's environment without the vault's own credentials. " +
    "Signals are passed on. It exits as the command does: 128+N after signal N, 127 if there is no such command, 126 if it " +
    "cannot be executed; 125 if the launch failed, and then nothing was started.",
  arguments: [["[command...]", "the command with its arguments"]],
  options: LAUNCH,
  examples: [
    "sallyport run -- npm start",
    "sallyport run --workload data-pipelines/etl --env prod -- node job.js --all",
    "sallyport run --credential-file /run/credentials/etl.service/vault --workload data-pipelines/etl --env prod -- ./etl",
    "sallyport run --token-fd 3 -- ./job 3< token",
  ],
  uses: ["token.mint", "token.exchange", "injection.revoke", "lease.renew", "lease.end"],
  passThrough: true,
  failsWith: EXIT_NOT_LAUNCHED,
  remedies: { token_invalid: MINTED_BY_ANOTHER },
  async run(cli, given) {
    const [command, ...args] = given.rest(0);
    if (command === undefined) throw usage("There is no command to start: sallyport run -- npm start");
    const { client } = cli;
    const { token, runner } = await launchToken(cli, given);
    const { Launch, exchangeToken } = await loadLaunching();
    const launched = new Launch(client, await exchangeToken(client, token, runner), (text) => cli.out.warn(text));
    let environment: Record<string, string>;
    try {
      environment = childEnvironment(cli.env, launched.env());
    } catch (error) {
      await launched.end(EXIT_NOT_LAUNCHED);
      throw error instanceof CliError && error.code === "not_an_environment" ? error.with({ remedy: AS_TEXT }) : error;
    }
    const ended = await launch(command, args, environment);
    if (ended.reason !== null) cli.out.error(usage(`${command}: ${ended.reason}`, hintFor(command, args)));
    await launched.end(ended.exitCode);
    return ended.exitCode;
  },
};

/** `run -- 'echo $DB_URL'` is one word, which no shell takes apart. */
function hintFor(command: string, args: readonly string[]): string | undefined {
  if (args.length > 0 || !/\s/.test(command)) return undefined;
  return "It was given as one word, and no shell is between: sallyport run -- sh -c '…'";
}
