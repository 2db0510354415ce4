import type { Cli } from "../cli.ts";
import { childEnvironment } from "../child-environment.ts";
import type { Command } from "../command.ts";
import type { Given } from "../given.ts";
import { fromEnvironment, kindInEnvironment, readToken } from "../credential.ts";
import { exchangeToken, prepareExchange } from "../delivery.ts";
import type { Delivery } from "../delivery.ts";
import { CliError, usage } from "../error.ts";
import { EXIT_NOT_LAUNCHED } from "../exit-codes.ts";
import { launch } from "../launch.ts";
import { keepLease } from "../lease-keeper.ts";
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
    const delivery = await obtain(cli, given);
    const keeper = keepLease(await cli.client(), delivery.lease, (text) => cli.out.warn(text));
    let environment: Record<string, string>;
    try {
      environment = childEnvironment(cli.env, delivery.variables);
    } catch (error) {
      await keeper.end(EXIT_NOT_LAUNCHED);
      throw error;
    }
    const ended = await launch(command, args, environment);
    if (ended.reason !== null) cli.out.error(usage(`${command}: ${ended.reason}`));
    await keeper.end(ended.exitCode);
    return ended.exitCode;
  },
};

async function obtain(cli: Cli, given: Given): Promise<Delivery> {
  const runner =
    readToken({ file: given.text("runner-file"), fd: given.text("runner-fd") }, ["svc"], cli.env)?.token ?? null;
  const client = await cli.client();
  const token =
    readToken({ file: given.text("token-file"), fd: given.text("token-fd") }, ["inj"], cli.env) ??
    (kindInEnvironment(cli.env) === "inj" ? fromEnvironment(cli.env, ["inj"]) : null);
  if (token !== null) {
    const said = ["workload", "env", "namespace"].find((option) => given.text(option) !== undefined);
    if (said !== undefined) throw usage(`The injection token says what is launched where: leave out --${said}.`);
    return exchangeToken(client, token.token, runner);
  }

  prepareExchange();
  const params = cli.workload(
    given,
    given.text("workload") ?? cli.env.SALLYPORT_WORKLOAD ?? cli.project().workload ?? DEFAULT_WORKLOAD,
  );
  const minted = await client.call("token.mint", { params, body: { environment: cli.environment(given) } });
  const [item] = minted.items;
  if (item === undefined) throw new CliError("internal", "the vault minted no token");
  if (minted.bound && runner === null) {
    // It would lie there until it expires, and nobody is going to use it.
    await client.call("injection.revoke", { params: { id: item.injectionId } }).catch(() => {});
    throw new CliError("runner_required", "you may launch this workload here, but not take delivery of it yourself", {
      remedy:
        "Name a runner's token with --runner-file, or hand the token of `sallyport token mint` to where the runner is.",
    });
  }
  return exchangeToken(client, item.token, runner);
}
