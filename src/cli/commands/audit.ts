import type { Response } from "#contract";
import type { Cli } from "../cli.ts";
import type { Noun } from "../command.ts";
import type { Given } from "../given.ts";
import { showList } from "../operation.ts";
import { INSTANCE, LIMIT } from "../options.ts";
import type { Columns } from "../output.ts";
import { formatTime } from "../text.ts";

type Event = Response<"audit.list">["items"][number];
type Checkpoint = Response<"audit.checkpoints">["items"][number];

const RESULTS = ["success", "refused", "failed"] as const;
/** The log has no end: what is asked for without a number is its newest part. */
const DEFAULT_LIMIT = 100;
const LIMIT_OPTION = { ...LIMIT, otherwise: String(DEFAULT_LIMIT) };
/** Verifying reads the whole log. */
const VERIFY_TIMEOUT_MS = 15 * 60_000;

const EVENTS: Columns<Event> = {
  time: (event) => formatTime(event.time),
  actor: (event) => event.actor.name ?? event.actor.id ?? event.actor.type,
  action: (event) => event.action,
  result: (event) => (event.code === null ? event.result : `${event.result}: ${event.code}`),
  where: ({ environment, namespace, workload }) =>
    [environment, namespace, workload].flatMap((part) => (part === null ? [] : [part.name ?? "(masked)"])).join("/"),
  target: ({ target, masked }) =>
    target === null ? "" : `${target.type} ${target.name ?? (masked ? "(masked)" : (target.id ?? ""))}`.trimEnd(),
  from: (event) => event.address,
  request: (event) => event.requestId,
};
const CHECKPOINTS: Columns<Checkpoint> = {
  time: (one) => formatTime(one.time),
  slot: (one) => one.slot,
  size: (one) => one.size,
  root: (one) => one.root,
};

export const audit: Noun = {
  name: "audit",
  summary: "The audit log",
  commands: [
    {
      name: "list",
      summary: "Audit events that you may read",
      options: [
        { flags: "--action <name>", meaning: "only this action: secret.reveal, token.exchange, …" },
        { flags: "--result <result>", meaning: "only with this result", choices: RESULTS },
        { flags: "--actor <who>", meaning: "only by this name or id" },
        { flags: "--target <what>", meaning: "only about this name or id" },
        INSTANCE,
        LIMIT_OPTION,
      ],
      examples: ["sallyport audit list --limit 20", "sallyport audit list --result refused --json"],
      uses: ["audit.list", "instance-audit.list"],
      async run(cli, given) {
        const query = filterOf(given);
        const row = { ask: () => ({ query }), columns: EVENTS, empty: "No event that you may read." };
        if (given.flag("instance"))
          await showList(cli, given, { operation: "instance-audit.list", ...row }, DEFAULT_LIMIT);
        else await showList(cli, given, { operation: "audit.list", ...row }, DEFAULT_LIMIT);
      },
    },
    {
      name: "verify",
      summary: "Verify the whole log against its checkpoints",
      about: "Exit code 1 where anything is wrong.",
      options: [INSTANCE],
      examples: ["sallyport audit verify", "sallyport audit verify --instance"],
      uses: ["audit.verify", "instance-audit.verify"],
      run: verify,
    },
    {
      name: "checkpoints",
      summary: "Signed checkpoints of the log",
      about: "With --json each has its note, which can be verified offline.",
      options: [INSTANCE, LIMIT_OPTION],
      examples: ["sallyport audit checkpoints --limit 5", "sallyport audit checkpoints --json"],
      uses: ["audit.checkpoints", "instance-audit.checkpoints"],
      async run(cli, given) {
        const row = { ask: () => ({}), columns: CHECKPOINTS, empty: "Nothing here yet: no checkpoint." };
        if (given.flag("instance"))
          await showList(cli, given, { operation: "instance-audit.checkpoints", ...row }, DEFAULT_LIMIT);
        else await showList(cli, given, { operation: "audit.checkpoints", ...row }, DEFAULT_LIMIT);
      },
    },
  ],
};

async function verify(cli: Cli, given: Given): Promise<number> {
  const { out } = cli;
  const operation = given.flag("instance") ? "instance-audit.verify" : "audit.verify";
  const answer = await cli.call(operation, { timeoutMs: VERIFY_TIMEOUT_MS });
  if (out.json) out.value(answer);
  else {
    const counted = `${String(answer.events)} events, ${String(answer.checkpoints)} checkpoints`;
    const soon = answer.checkpoints === 0 ? "; the next checkpoint is signed within a minute" : "";
    out.line(
      answer.intact ? `The audit log is intact: ${counted}${soon}.` : `The audit log is NOT intact: ${counted}.`,
    );
    if (answer.faults.length > 0)
      out.table(answer.faults, { where: (fault) => fault.where, what: (fault) => fault.what });
  }
  return answer.intact ? 0 : 1;
}

function filterOf(given: Given) {
  const [action, actor, target] = [given.text("action"), given.text("actor"), given.text("target")];
  const result = given.choice("result", RESULTS);
  return {
    ...(action === undefined ? {} : { action }),
    ...(actor === undefined ? {} : { actor }),
    ...(target === undefined ? {} : { target }),
    ...(result === undefined ? {} : { result }),
  };
}
