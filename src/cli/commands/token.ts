import type { Command, Noun } from "../command.ts";
import { fromEnvironment, readToken } from "#client";
import { sourceOf } from "../credential.ts";
import { usage } from "../error.ts";
import { issue } from "../issued.ts";
import { ENVIRONMENT, MINTED_BY_ANOTHER, NAMESPACE, OUTPUT, TOKEN } from "../options.ts";
import { formatTime } from "../text.ts";

const mint: Command = {
  name: "mint",
  summary: "Mint single-use injection tokens for a workload",
  about:
    "All that the launch needs is checked now. Whoever may run the workload but not take delivery gets a token that is bound: " +
    "to exchange it takes a runner's credential too. The tokens alone go to stdout, one a line.",
  arguments: [["[workload]", "namespace/workload, or workload"]],
  options: [
    { flags: "-w, --workload <workload>", meaning: "the same, as an option" },
    ENVIRONMENT,
    NAMESPACE,
    {
      flags: "--ttl <duration>",
      meaning: "how long it can be exchanged, at most 15m",
      otherwise: "60s, and 15m where it is bound",
    },
    { flags: "--count <number>", meaning: "how many, at most 1000", otherwise: "1" },
    { flags: "--cidr <range>", meaning: "it can be exchanged only from here", many: true },
    { flags: "--note <text>", meaning: "what for" },
    OUTPUT,
  ],
  examples: [
    "sallyport token mint data-pipelines/etl --env prod",
    "sallyport token mint etl --env prod --ttl 5m --cidr 10.1.0.0/16 --note nightly --output token",
  ],
  uses: ["token.mint"],
  async run(cli, given) {
    const name = given.optionalArgument(0) ?? given.text("workload") ?? cli.project().workload;
    if (name === null) throw usage("Say which workload: sallyport token mint data-pipelines/etl --env prod");
    const [ttlSeconds, count, note, cidrs] = [
      given.seconds("ttl"),
      given.number("count"),
      given.text("note"),
      given.list("cidr"),
    ];
    const params = cli.workload(given, name);
    const body = {
      environment: cli.environment(given),
      ...(ttlSeconds === undefined ? {} : { ttlSeconds }),
      ...(count === undefined ? {} : { count }),
      ...(note === undefined ? {} : { note }),
      ...(cidrs === undefined ? {} : { cidrs: [...cidrs] }),
    };
    await issue(
      cli,
      given,
      () => cli.call("token.mint", { params, body }),
      (answer) => ({
        credentials: answer.items.map((item) => item.token),
        notes: [
          `For ${answer.workload} in ${answer.environment}, manifest version ${String(answer.manifestVersion)}; good once, until ${formatTime(answer.expiresAt)}.`,
          answer.bound
            ? "Bound: it can be exchanged only together with the credential of a runner that may take delivery there (run --runner-file)."
            : "Not bound: whoever has it takes delivery.",
        ],
      }),
    );
  },
};

const lookup: Command = {
  name: "lookup",
  summary: "What an injection token would launch, without using it",
  options: TOKEN,
  examples: ["sallyport token lookup --token-file token"],
  uses: ["token.lookup"],
  remedies: { token_invalid: MINTED_BY_ANOTHER },
  async run(cli, given) {
    const token = readToken(sourceOf(given, "token", cli.env), ["inj"], cli.env) ?? fromEnvironment(cli.env, ["inj"]);
    if (token === null) throw usage("There is no injection token: give --token-file, --token-fd or SALLYPORT_TOKEN.");
    const answer = await cli.call("token.lookup", { bearer: token.token });
    if (cli.out.json) cli.out.value(answer);
    else {
      cli.out.fields({
        workload: answer.workload,
        environment: answer.environment,
        "manifest version": answer.manifestVersion,
        state: answer.state,
        bound: answer.bound,
        expires: formatTime(answer.expiresAt),
        injection: answer.injectionId,
      });
    }
  },
};

export const token: Noun = { name: "token", summary: "Mint injection tokens", commands: [mint, lookup] };
