import { Cluster } from "./cluster.ts";
import { Findings, pause, random } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { Knocker } from "./knock.ts";
import { NodesLoad } from "./nodes-load.ts";

const SIZES = { small: { rounds: 1, cancelled: 2 }, full: { rounds: 5, cancelled: 20 } } as const;
const NODES = 2;
const SHORTEST_LOAD_MS = 3_000;
const LONGEST_LOAD_MS = 6_000;

export const nodesPromotion: Drill = {
  name: "nodes-promotion",
  what: "the database server is killed for good under load and its synchronous standby promoted: the nodes go over by themselves, nothing acknowledged is lost, nothing granted twice; a commit whose standby was not waited for is not acknowledged",
  async run(size) {
    const { rounds, cancelled } = SIZES[size];
    const found = new Findings();
    const said: Record<string, number> = {};
    let slowest = 0;
    for (let round = 1; round <= rounds; round += 1) {
      const cluster = await Cluster.start({ nodes: NODES, durable: true, standby: true });
      try {
        await cluster.workload("job");
        await cancel(cluster, Math.ceil(cancelled / rounds), found);
        const load = new NodesLoad(cluster, found);
        load.start();
        await pause(SHORTEST_LOAD_MS + random(LONGEST_LOAD_MS - SHORTEST_LOAD_MS));
        await cluster.server.kill();
        await cluster.standby?.promote();
        slowest = Math.max(slowest, await load.healed());
        await pause(SHORTEST_LOAD_MS);
        await load.stop();
        await load.check();
        for (const [what, count] of Object.entries(load.counts))
          said[what] = what.startsWith("slowest") ? Math.max(said[what] ?? 0, count) : (said[what] ?? 0) + count;
      } finally {
        await cluster.close();
      }
    }
    return found.report({ rounds, cancelled, ...said, "slowest to heal, ms": Math.round(slowest) });
  },
};

/**
 * While the standby is away, a commit waits for it. Cancelled in that wait, the server says COMMIT, and in a warning that the
 * standby may not have it: an answer that went by the first word would be lost with the primary.
 */
async function cancel(cluster: Cluster, times: number, found: Findings): Promise<void> {
  const tokens = await cluster.mint("job", times);
  const superuser = await cluster.server.superuser();
  const knocker = new Knocker(cluster.url(0));
  await cluster.standby?.stop("immediate");
  let cancels = 0;
  for (const { token } of tokens) {
    let answered = false;
    const asked = knocker.once("POST", "/v1/exchange", token).finally(() => (answered = true));
    // Its own commit first, then that of the event that tells of the failure.
    while (!answered) {
      const { rowCount } = await superuser.query(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
      );
      cancels += rowCount ?? 0;
      await pause(20);
    }
    const answer = await asked;
    found.must(
      answer?.status === 500 && answer.body.code === "outcome_unknown",
      `a commit whose standby was not waited for was answered ${String(answer?.status)} ${String(answer?.body.code)}`,
    );
  }
  found.must(cancels >= times, `only ${String(cancels)} commits waited for the standby`);
  await superuser.end();
  await cluster.standby?.restart();
  for (const { token } of tokens) {
    const again = await knocker.ask("POST", "/v1/exchange", token);
    found.must(again?.body.code === "token_invalid", `a token that was used was answered ${String(again?.status)}`);
  }
  knocker.close();
}
