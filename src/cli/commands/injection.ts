import type { Response } from "#contract";
import type { Noun } from "../command.ts";
import { call, list } from "../operation.ts";
import type { Output } from "../output.ts";
import { formatTime } from "../text.ts";

type Injection = Response<"injection.get">;

const STATES = ["minted", "exchanged", "revoked", "expired"] as const;
const ID = [["<id>", "the injection's id, from `injection list`"]] as const;

function show(one: Injection, out: Output): void {
  const { lease } = one;
  out.fields({
    id: one.id,
    workload: one.workload,
    environment: one.environment,
    "manifest version": one.manifestVersion,
    state: one.state,
    bound: one.bound,
    note: one.note,
    minted: `${formatTime(one.mintedAt)} by ${one.mintedBy}`,
    expires: formatTime(one.expiresAt),
    exchanged: formatTime(one.exchangedAt),
    "exchanged from": one.exchangedFrom,
    "exchanged by": one.exchangedBy,
    ...(lease === null
      ? {}
      : {
          lease: lease.state,
          "lease ends": formatTime(lease.endedAt ?? lease.expiresAt),
          "exit code": lease.exitCode,
          "lease id": lease.id,
        }),
  });
}

export const injection: Noun = {
  name: "injection",
  summary: "Launches from mint to end",
  commands: [
    list({
      name: "list",
      summary: "Launches that you can see",
      options: [
        { flags: "-e, --env <name>", meaning: "only in this environment" },
        { flags: "-n, --namespace <name>", meaning: "only in this namespace" },
        { flags: "-w, --workload <workload>", meaning: "only of this workload: namespace/workload" },
        { flags: "--state <state>", meaning: "only in this state", choices: STATES },
      ],
      examples: [
        "sallyport injection list",
        "sallyport injection list --env prod --workload data-pipelines/etl --limit 10",
      ],
      operation: "injection.list",
      limit: 100,
      ask(cli, given) {
        const [environment, namespace, workload] = [given.text("env"), given.text("namespace"), given.text("workload")];
        const state = given.choice("state", STATES);
        return {
          query: {
            ...(environment === undefined ? {} : { environment }),
            ...(workload === undefined
              ? namespace === undefined
                ? {}
                : { namespace }
              : cli.workload(given, workload)),
            ...(state === undefined ? {} : { state }),
          },
        };
      },
      columns: {
        id: (one) => one.id,
        workload: (one) => one.workload,
        environment: (one) => one.environment,
        state: (one) => one.state,
        lease: (one) => one.lease?.state,
        exit: (one) => one.lease?.exitCode,
        minted: (one) => formatTime(one.mintedAt),
        by: (one) => one.mintedBy,
        note: (one) => one.note,
      },
      empty: "Nothing here yet: no launch that you can see. Start one: sallyport run -- npm start",
    }),
    call({
      name: "show",
      summary: "One launch from mint to end",
      arguments: ID,
      examples: ["sallyport injection show inj_01jz8m5q3vf0bt6y7w2x9k4e1h"],
      operation: "injection.get",
      ask: (_, given) => ({ params: { id: given.argument(0) } }),
      show,
    }),
    call({
      name: "revoke",
      summary: "Revoke a token that was not used, or end the launch's lease",
      arguments: ID,
      examples: ["sallyport injection revoke inj_01jz8m5q3vf0bt6y7w2x9k4e1h"],
      operation: "injection.revoke",
      ask: (_, given) => ({ params: { id: given.argument(0) } }),
      show,
    }),
  ],
};
