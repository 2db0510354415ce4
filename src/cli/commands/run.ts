import type { Cli } from "../cli.ts";
import { childEnvironment } from "../child-environment.ts";
import type { Command } from "../command.ts";
import type { Given } from "../given.ts";
import { Launch, exchangeToken, fromEnvironment, kindInEnvironment, mintToken, readToken } from "#client";
import type { Delivery } from "#client";
import { sourceOf } from "../credential.ts";
import { CliError, usage } from "../error.ts";
import type { CliCode } from "../error.ts";
import { EXIT_NOT_LAUNCHED } from "../exit-codes.ts";
import { launch } from "../launch.ts";
import { ENVIRONMENT, MINTED_BY_ANOTHER, NAMESPACE, RUNNER, TOKEN } from "../options.ts";

const DEFAULT_WORKLOAD = "default";

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
  options: [
    {
      flags: "-w, --workload <workload>",
      meaning: "namespace/workload, or workload",
      otherwise: "SALLYPORT_WORKLOAD, the project's, else default",
    },
    ENVIRONMENT,
    NAMESPACE,
    ...TOKEN,
    ...RUNNER,
  ],
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
    const launched = new Launch(cli.client, await obtain(cli, given), (text) => cli.out.warn(text));
    let environment: Record<string, string>;
    try {
      environment = childEnvironment(cli.env, launched.env());
    } catch (error) {
      await launched.end(EXIT_NOT_LAUNCHED);
      throw inWordsOfRun(error);
    }
    const ended = await launch(command, args, environment);
    if (ended.reason !== null) cli.out.error(usage(`${command}: ${ended.reason}`));
    await launched.end(ended.exitCode);
    return ended.exitCode;
  },
};

async function obtain(cli: Cli, given: Given): Promise<Delivery> {
  const runner = readToken(sourceOf(given, "runner", cli.env), ["svc"], cli.env)?.token ?? null;
  const { client } = cli;
  const token =
    readToken(sourceOf(given, "token", cli.env), ["inj"], cli.env) ??
    (kindInEnvironment(cli.env) === "inj" ? fromEnvironment(cli.env, ["inj"]) : null);
  if (token !== null) {
    const said = ["workload", "env", "namespace"].find((option) => given.text(option) !== undefined);
    if (said !== undefined) throw usage(`The injection token says what is launched where: leave out --${said}.`);
    return exchangeToken(client, token.token, runner);
  }

  const params = cli.workload(
    given,
    given.text("workload") ?? cli.env.SALLYPORT_WORKLOAD ?? cli.project().workload ?? DEFAULT_WORKLOAD,
  );
  const target = { ...params, environment: cli.environment(given) };
  const minted = await mintToken(client, target, runner).catch((error: unknown) => {
    throw inWordsOfRun(error);
  });
  return exchangeToken(client, minted, runner);
}

/** What to do about failures that no vault answered with. */
const REMEDIES: Readonly<Partial<Record<CliCode, string>>> = {
  runner_required:
    "Name a runner's token with --runner-file, or hand the token of `sallyport token mint` to where the runner is.",
  not_an_environment: "Nothing was started. Store text without NUL bytes, or take it with `sallyport exchange`.",
};

function inWordsOfRun(error: unknown): unknown {
  if (!(error instanceof CliError) || error.status !== null) return error;
  const remedy = REMEDIES[error.code];
  return remedy === undefined ? error : error.with({ remedy });
}
