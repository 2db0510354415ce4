import type { Response } from "#contract";
import type { Cli } from "../cli.ts";
import type { Noun } from "../command.ts";
import type { Given } from "../given.ts";
import { fromEnvironment, readToken } from "#client";
import { usage } from "../error.ts";
import { call } from "../operation.ts";
import { TOKEN } from "../options.ts";
import type { Output } from "../output.ts";
import { formatTime } from "../text.ts";

/** The lease itself is the caller. `sallyport run` keeps its own; these are for what was exchanged by hand. */
function leaseOf(cli: Cli, given: Given): { bearer: string } {
  const source = { file: given.text("token-file"), fd: given.text("token-fd"), fdOption: "--token-fd" };
  const token = readToken(source, ["lease"], cli.env) ?? fromEnvironment(cli.env, ["lease"]);
  if (token === null) throw usage("There is no lease: give --token-file, --token-fd or SALLYPORT_TOKEN.");
  return { bearer: token.token };
}

function show(lease: Response<"lease.renew">, out: Output): void {
  out.fields({
    id: lease.id,
    state: lease.state,
    created: formatTime(lease.createdAt),
    expires: formatTime(lease.expiresAt),
    ended: formatTime(lease.endedAt),
    "exit code": lease.exitCode,
  });
}

export const lease: Noun = {
  name: "lease",
  summary: "The lease that a launch holds",
  commands: [
    call({
      name: "show",
      summary: "This lease",
      options: TOKEN,
      examples: ["sallyport lease show --token-file lease"],
      operation: "lease.get",
      ask: leaseOf,
      show(answer, out) {
        out.fields({ workload: answer.workload, environment: answer.environment, injection: answer.injectionId });
        show(answer, out);
      },
    }),
    call({
      name: "renew",
      summary: "Extend this lease while the launch would still be allowed",
      options: TOKEN,
      examples: ["sallyport lease renew --token-file lease"],
      operation: "lease.renew",
      ask: leaseOf,
      show,
    }),
    call({
      name: "end",
      summary: "End this lease",
      options: [...TOKEN, { flags: "--exit-code <number>", meaning: "how the launch ended, 0 to 255" }],
      examples: ["sallyport lease end --token-file lease --exit-code 0"],
      operation: "lease.end",
      ask(cli, given) {
        const text = given.text("exit-code");
        if (text !== undefined && !/^\d{1,3}$/.test(text))
          throw usage(`--exit-code: “${text}” is not a number from 0 to 255.`);
        return { ...leaseOf(cli, given), body: text === undefined ? {} : { exitCode: Number(text) } };
      },
      show,
    }),
  ],
};
