import { formatSize } from "#base";
import type { Response } from "#contract";
import type { Cli } from "../cli.ts";
import type { Command } from "../command.ts";
import { CliError } from "../error.ts";
import { EXIT_CODES } from "../exit-codes.ts";
import type { Output } from "../output.ts";
import { describePlace } from "#client";
import { formatTime } from "../text.ts";

export const status: Command = {
  name: "status",
  summary: "How the vault is: version, store, audit log, keys, load, warnings",
  about:
    "Who is not signed in is told whether the vault is ready. Exit code 8 where it is not. The database's size, what waits " +
    "and what was turned away are of all orgs together: for who holds instance.admin.",
  examples: ["sallyport status", "sallyport status --json"],
  uses: ["status.get", "health.ready"],
  async run(cli) {
    const { out } = cli;
    try {
      const answer = await cli.call("status.get", {});
      if (out.json) out.value(answer);
      else showStatus(answer, out);
      return answer.ready ? 0 : EXIT_CODES.overloaded;
    } catch (error) {
      if (!(error instanceof CliError) || error.code !== "unauthenticated" || error.status !== null) throw error;
    }
    const { ready, checks } = await readiness(cli);
    if (out.json) out.value({ status: ready ? "ok" : "unavailable", checks });
    else {
      out.fields({ address: describePlace(cli.where().place), ready, ...checks });
      out.note("Sign in to see more: sallyport login");
    }
    return ready ? 0 : EXIT_CODES.overloaded;
  },
};

function showStatus(answer: Response<"status.get">, out: Output): void {
  const { audit } = answer;
  out.fields({
    version: answer.version,
    node: answer.node,
    address: answer.address,
    "started at": formatTime(answer.startedAt),
    ready: answer.ready,
    sealed: answer.sealed,
    store: answer.store,
    "audit events": audit.events,
    "in checkpoints": audit.checkpointedEvents,
    "last checkpoint": formatTime(audit.lastCheckpointAt),
    "checkpoint file": audit.checkpointPlace,
    "root key of": formatTime(answer.keys.rootKeyAt),
    "data keys": answer.keys.dataKeys,
    "oldest data key of": formatTime(answer.keys.oldestDataKeyAt),
    "certificate ends": formatTime(answer.certificateExpiresAt),
    ...(answer.instance === null ? {} : loadOf(answer.instance)),
  });
  for (const warning of answer.warnings) out.warn(warning);
}

/** What is of all orgs together. */
function loadOf({ databaseBytes, nodes, queue, turnedAway }: NonNullable<Response<"status.get">["instance"]>) {
  return {
    database: formatSize(databaseBytes),
    ...(nodes.length === 0 ? {} : { nodes: nodes.map(describeNode) }),
    "waiting for a commit": `${String(queue.jobs)} (${formatSize(queue.bytes)})`,
    [`turned away in ${String(turnedAway.minutes)} minutes`]: `${String(turnedAway.rateLimited)} too many of one source, ${String(turnedAway.overloaded)} too many in all`,
  };
}

/** `slot 0 (this one)`, `slot 1`, `slot 2 (gone since 2026-05-01 10:00)`. */
function describeNode({ slot, held, own, seenAt }: NonNullable<Response<"status.get">["instance"]>["nodes"][number]) {
  const more = own ? " (this one)" : held ? "" : ` (free since ${formatTime(seenAt)})`;
  return `slot ${String(slot)}${more}`;
}

/** A vault that is not ready says so with status 503 and the same body. */
async function readiness(cli: Cli): Promise<{ ready: boolean; checks: Readonly<Record<string, string>> }> {
  try {
    const { status: word, checks } = await cli.call("health.ready", {});
    return { ready: word === "ok", checks };
  } catch (error) {
    if (!(error instanceof CliError) || error.status !== 503) throw error;
    const checks = Object.entries(error.problem?.checks ?? {}).map(([name, word]) => [name, String(word)] as const);
    return { ready: false, checks: Object.fromEntries(checks) };
  }
}
