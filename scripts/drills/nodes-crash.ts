import { Cluster } from "./cluster.ts";
import { Findings, pause, random } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { NodesLoad } from "./nodes-load.ts";

const SIZES = { small: { nodes: 2, rounds: 2 }, full: { nodes: 3, rounds: 12 } } as const;
const SHORTEST_LOAD_MS = 1_500;
const LONGEST_LOAD_MS = 4_000;
const LONGEST_AWAY_MS = 3_000;
const SECRET = { environment: "prod", namespace: "default", secret: "SLOT" };

export const nodesCrash: Drill = {
  name: "nodes-crash",
  what: "rounds of kill -9 of the database server, and of nodes, under load: nothing acknowledged is lost, nothing granted twice, every answer comes in time, all heals without a restart",
  async run(size) {
    const { nodes, rounds } = SIZES[size];
    const found = new Findings();
    const cluster = await Cluster.start({ nodes, durable: true });
    try {
      await cluster.workload("job");
      const load = new NodesLoad(cluster, found);
      load.start();
      let slowest = 0;
      let ended = 0;
      for (let round = 1; round <= rounds; round += 1) {
        await pause(SHORTEST_LOAD_MS + random(LONGEST_LOAD_MS - SHORTEST_LOAD_MS));
        await cluster.server.kill();
        await pause(random(LONGEST_AWAY_MS));
        await cluster.server.restart();
        slowest = Math.max(slowest, await load.healed());
        if (round % 2 === 1) continue;
        // Every other time a node as well, in the middle of what it does; the first one stays.
        const node = 1 + random(nodes - 1);
        await pause(random(SHORTEST_LOAD_MS));
        await load.killNode(node);
        await cluster.launch(node);
        ended += 1;
      }
      await load.stop();
      await load.check();
      await successor(cluster, found);
      await sleeper(cluster, found);
      found.tried(await cluster.auditFault(0));
      return found.report({
        rounds,
        "nodes ended": ended,
        ...load.counts,
        "slowest to heal, ms": Math.round(slowest),
        slots: await cluster.slots(),
      });
    } finally {
      await cluster.close();
    }
  },
};

/** A node that was killed leaves its slot behind, and the next one goes on in its chains when the lease is over. */
async function successor(cluster: Cluster, found: Findings): Promise<void> {
  const before = await slotOf(cluster, 1);
  await cluster.kill(1);
  await endLease(cluster, before);
  await cluster.launch(1);
  const after = await slotOf(cluster, 1);
  found.must(after === before, `slot ${String(before)} was left, and the next node took slot ${String(after)}`);
}

/** A node that slept past its lease, while another took its slot: it takes another one, and does all that it is asked. */
async function sleeper(cluster: Cluster, found: Findings): Promise<void> {
  const before = await slotOf(cluster, 1);
  cluster.signal(1, "SIGSTOP");
  await endLease(cluster, before);
  const other = cluster.size;
  await cluster.launch(other);
  const taken = await slotOf(cluster, other);
  cluster.signal(1, "SIGCONT");
  const after = await slotOf(cluster, 1);
  found.must(taken === before, `slot ${String(before)} was left, and the next node took slot ${String(taken)}`);
  found.must(after !== before, `two nodes write slot ${String(before)}`);
}

/** In which slot the node writes: its own event says so. */
async function slotOf(cluster: Cluster, node: number): Promise<number> {
  const owner = cluster.owner(node);
  let written = await owner.try("secret.write", { params: SECRET, body: { value: "slot" } });
  for (let tries = 0; written.status === 503 && tries < 100; tries += 1) {
    await pause(100);
    written = await owner.try("secret.write", { params: SECRET, body: { value: "slot" } });
  }
  if (written.status !== 200) throw new Error(`a node did not write: ${written.text}`);
  const id = written.headers["x-request-id"];
  const { items } = await owner.do("audit.list", { query: { limit: "20" } });
  const event = items.find(({ requestId }) => requestId === id);
  if (event === undefined) throw new Error("a write has no event");
  return event.slot;
}

/** As if its node had not been heard of for longer than the lease, and of all others just now. */
async function endLease(cluster: Cluster, slot: number): Promise<void> {
  const client = await cluster.server.superuser(cluster.database.name);
  await client.query(
    "UPDATE nodes SET seen_at = now() - CASE WHEN slot = $1 THEN interval '1 minute' ELSE interval '0' END",
    [slot],
  );
  await client.end();
}
