import type { Response } from "#contract";
import type { Given, Noun } from "../command.ts";
import { call, list } from "../operation.ts";
import { CHAIN } from "../options.ts";
import { formatTime } from "../text.ts";

type Event = Response<"audit.list">["items"][number];

const CHAINS = ["org", "instance"] as const;
const RESULTS = ["success", "refused", "failed"] as const;
/** Verifying reads the whole log. */
const VERIFY_TIMEOUT_MS = 15 * 60_000;

function chainOf(given: Given) {
  const chain = given.choice("chain", CHAINS);
  return chain === undefined ? {} : { chain };
}

function whereText({ environment, namespace, workload }: Event): string {
  return [environment, namespace, workload]
    .flatMap((part) => (part === null ? [] : [part.name ?? "(masked)"]))
    .join("/");
}

function targetText({ target, masked }: Event): string {
  if (target === null) return "";
  return `${target.type} ${target.name ?? (masked ? "(masked)" : (target.id ?? ""))}`.trimEnd();
}

export const audit: Noun = {
  name: "audit",
  summary: "The audit log",
  commands: [
    list({
      name: "list",
      summary: "Audit events that you may read",
      options: [
        { flags: "--action <name>", meaning: "only this action: secret.reveal, token.exchange, …" },
        { flags: "--result <result>", meaning: "only with this result", choices: RESULTS },
        { flags: "--actor <who>", meaning: "only by this name or id" },
        { flags: "--target <what>", meaning: "only about this name or id" },
        CHAIN,
      ],
      examples: ["sallyport audit list --limit 20", "sallyport audit list --result refused --json"],
      operation: "audit.list",
      limit: 100,
      ask(_, given) {
        const [action, actor, target] = [given.text("action"), given.text("actor"), given.text("target")];
        const result = given.choice("result", RESULTS);
        return {
          query: {
            ...(action === undefined ? {} : { action }),
            ...(actor === undefined ? {} : { actor }),
            ...(target === undefined ? {} : { target }),
            ...(result === undefined ? {} : { result }),
            ...chainOf(given),
          },
        };
      },
      columns: {
        time: (event) => formatTime(event.time),
        actor: (event) => event.actor.name ?? event.actor.id ?? event.actor.type,
        action: (event) => event.action,
        result: (event) => (event.code === null ? event.result : `${event.result}: ${event.code}`),
        where: whereText,
        target: targetText,
        from: (event) => event.address,
        request: (event) => event.requestId,
      },
      empty: "No event that you may read.",
    }),
    {
      name: "verify",
      summary: "Verify the whole log against its checkpoints",
      about: "Exit code 1 where anything is wrong.",
      options: [CHAIN],
      examples: ["sallyport audit verify"],
      uses: ["audit.verify"],
      async run(cli, given) {
        const { out } = cli;
        const answer = await cli.call("audit.verify", { query: chainOf(given), timeoutMs: VERIFY_TIMEOUT_MS });
        if (out.json) out.value(answer);
        else {
          const counted = `${String(answer.events)} events, ${String(answer.checkpoints)} checkpoints`;
          out.line(answer.intact ? `The audit log is intact: ${counted}.` : `The audit log is NOT intact: ${counted}.`);
          if (answer.faults.length > 0)
            out.table(answer.faults, { where: (fault) => fault.where, what: (fault) => fault.what });
        }
        return answer.intact ? 0 : 1;
      },
    },
    list({
      name: "checkpoints",
      summary: "Signed checkpoints of the log",
      about: "With --json each has its note, which can be verified offline.",
      options: [CHAIN],
      examples: ["sallyport audit checkpoints --limit 5", "sallyport audit checkpoints --json"],
      operation: "audit.checkpoints",
      limit: 100,
      ask: (_, given) => ({ query: chainOf(given) }),
      columns: {
        time: (one) => formatTime(one.time),
        slot: (one) => one.slot,
        size: (one) => one.size,
        root: (one) => one.root,
      },
      empty: "Nothing here yet: no checkpoint.",
    }),
  ],
};
