import { fromEnvironment, kindInEnvironment, loadLaunching, readToken } from "#client";
import type { Minted } from "#client";
import type { Cli } from "./cli.ts";
import type { Option } from "./command.ts";
import { sourceOf } from "./credential.ts";
import { CliError, usage } from "./error.ts";
import type { Given } from "./given.ts";
import { ENVIRONMENT, NAMESPACE, RUNNER, TOKEN } from "./options.ts";

/** An injection token, and the runner's token that goes with it if it is bound. */
export interface LaunchToken {
  readonly token: string;
  readonly runner: string | null;
  /** Where it was minted for this launch. */
  readonly minted: Minted | null;
}

/** What a command takes that launches by itself: which workload where, or the token that says so. */
export const LAUNCH: readonly Option[] = [
  {
    flags: "-w, --workload <workload>",
    meaning: "namespace/workload, or workload",
    otherwise: "SALLYPORT_WORKLOAD, the project's, else default",
  },
  ENVIRONMENT,
  NAMESPACE,
  ...TOKEN,
  ...RUNNER,
];

const DEFAULT_WORKLOAD = "default";

/**
 * The injection token of this launch: the one that is given, else one that is minted now.
 *
 * Errors: `usage` where a token and a workload are both given; `runner_required` where the minted token is bound and no
 * runner's is named (it is revoked at once); and what the vault answers.
 */
export async function launchToken(cli: Cli, given: Given): Promise<LaunchToken> {
  const runner = readToken(sourceOf(given, "runner", cli.env), ["svc"], cli.env)?.token ?? null;
  const token =
    readToken(sourceOf(given, "token", cli.env), ["inj"], cli.env) ??
    (kindInEnvironment(cli.env) === "inj" ? fromEnvironment(cli.env, ["inj"]) : null);
  if (token !== null) {
    const said = ["workload", "env", "namespace"].find((option) => given.text(option) !== undefined);
    if (said !== undefined) throw usage(`The injection token says what is launched where: leave out --${said}.`);
    return { token: token.token, runner, minted: null };
  }

  const params = cli.workload(
    given,
    given.text("workload") ?? cli.env.SALLYPORT_WORKLOAD ?? cli.project().workload ?? DEFAULT_WORKLOAD,
  );
  const target = { ...params, environment: cli.environment(given) };
  const { mintToken } = await loadLaunching();
  const minted = await mintToken(cli.client, target, runner).catch((error: unknown) => {
    const isOurs = error instanceof CliError && error.status === null && error.code === "runner_required";
    throw isOurs ? error.with({ remedy: HOW_TO_RUN }) : error;
  });
  return { token: minted.token, runner, minted };
}

const HOW_TO_RUN =
  "Name a runner's token with --runner-file, or hand the token of `sallyport token mint` to where the runner is.";
