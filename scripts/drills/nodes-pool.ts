import type pg from "pg";
import { Cluster } from "./cluster.ts";
import { Findings, pause } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { Knocker } from "./knock.ts";
import type { Knocked } from "./knock.ts";
import { Wire } from "./wire.ts";

const SIZES = { small: { requests: 150 }, full: { requests: 600 } } as const;
const LONGEST_MS = 30_000;
/** For each answer of the server: a request that reads ten times takes a fifth of a second, and there is one connection to read. */
const SLOW_MS = 20;
const LOOK_EVERY_MS = 200;
const SECRET = "/v1/environments/prod/namespaces/default/secrets/VALUE";

export const nodesPool: Drill = {
  name: "nodes-pool",
  what: "two connections to a slow database, rows that somebody holds, a statement without end: what cannot be done is refused with Retry-After in time, the rest is done, the node stays healthy",
  async run(size) {
    const { requests } = SIZES[size];
    const found = new Findings();
    const wires: Wire[] = [];
    const via = async (port: number): Promise<readonly number[]> => {
      const wire = await Wire.to(port);
      wires.push(wire);
      return [wire.port];
    };
    const cluster = await Cluster.start({ nodes: 1, via, env: { SALLYPORT_STORE_CONNECTIONS: "2" } });
    const [wire] = wires;
    if (wire === undefined) throw new Error("there is no wire");
    const superuser = await cluster.server.superuser(cluster.database.name);
    try {
      await cluster.workload("job");
      wire.delayMs = SLOW_MS;
      const flooded = await flood(cluster, requests, found);
      wire.delayMs = 0;
      await works(cluster, found, "the flood");

      // Whoever works on the database by hand holds the rows.
      await superuser.query("BEGIN; SELECT FROM secrets FOR UPDATE");
      const held = await refused(cluster, found, "a held row");
      await superuser.query("ROLLBACK");
      await works(cluster, found, "a held row");

      await sleepOnInsert(superuser);
      const endless = await refused(cluster, found, "a statement without end");
      await superuser.query("DROP FUNCTION drill_sleep CASCADE");
      await works(cluster, found, "a statement without end");

      found.tried(await cluster.auditFault(0));
      return found.report({ requests, ...flooded, "held row, ms": held, "statement without end, ms": endless });
    } finally {
      await superuser.end();
      await cluster.close();
      wire.close();
    }
  },
};

/** All at once, on a connection each, while somebody looks whether the node is well. */
async function flood(cluster: Cluster, requests: number, found: Findings): Promise<Record<string, number>> {
  const knocker = new Knocker(cluster.url(0), requests, 2 * LONGEST_MS);
  const looker = new Knocker(cluster.url(0), 2, LONGEST_MS);
  let running = true;
  let looks = 0;
  const looking = (async (): Promise<void> => {
    for (; running; looks += 1) {
      for (const path of ["/healthz", "/readyz"]) {
        const answer = await looker.once("GET", path, "");
        found.must(answer?.status === 200, `${path} answered ${String(answer?.status)} in the flood`);
      }
      await pause(LOOK_EVERY_MS);
    }
  })();
  const answers = await Promise.all(
    Array.from({ length: requests }, () =>
      knocker.once("POST", `${SECRET}/reveal`, cluster.ownerToken, { reason: "drill" }),
    ),
  );
  running = false;
  await looking;
  for (const answer of answers)
    found.must(answer?.status === 200 || isRefusal(answer), `in the flood: ${wordOf(answer)}`);
  const served = answers.filter((answer) => answer?.status === 200).length;
  found.must(served > 0 && served < requests, `${String(served)} of ${String(requests)} were served`);
  found.must(knocker.slowestMs < LONGEST_MS, `an answer took ${String(Math.round(knocker.slowestMs))} ms`);
  const slowest = Math.round(knocker.slowestMs);
  knocker.close();
  looker.close();
  return { served, "turned away": requests - served, looks, "slowest answer, ms": slowest };
}

/** A write that cannot be done. @returns how long its refusal took, in ms. */
async function refused(cluster: Cluster, found: Findings, why: string): Promise<number> {
  const knocker = new Knocker(cluster.url(0), 1, 2 * LONGEST_MS);
  const answer = await knocker.once("PUT", SECRET, cluster.ownerToken, { value: "never" });
  found.must(isRefusal(answer), `${why}: ${wordOf(answer)}`);
  const ms = Math.round(knocker.slowestMs);
  found.must(ms < LONGEST_MS, `${why}: the refusal took ${String(ms)} ms`);
  knocker.close();
  return ms;
}

/** What was in the way is gone: the next write is done, its value is there, and the node says that it is ready. */
async function works(cluster: Cluster, found: Findings, after: string): Promise<void> {
  const knocker = new Knocker(cluster.url(0), 1, LONGEST_MS);
  const value = `after ${after}`;
  const written = await knocker.ask("PUT", SECRET, cluster.ownerToken, { value });
  found.must(written?.status === 200, `after ${after}, a write: ${wordOf(written)}`);
  const shown = await knocker.ask("POST", `${SECRET}/reveal`, cluster.ownerToken, { reason: "drill" });
  found.must(shown?.body.value === value, `after ${after}, a read: ${wordOf(shown)}`);
  const ready = await knocker.once("GET", "/readyz", "");
  found.must(ready?.status === 200, `after ${after}, /readyz: ${wordOf(ready)}`);
  knocker.close();
}

async function sleepOnInsert(superuser: pg.Client): Promise<void> {
  await superuser.query(`
    CREATE FUNCTION drill_sleep() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN PERFORM pg_sleep(600); RETURN NEW; END';
    CREATE TRIGGER drill_sleep BEFORE INSERT ON secret_versions FOR EACH ROW EXECUTE FUNCTION drill_sleep()`);
}

function isRefusal(answer: Knocked | null): boolean {
  return answer?.status === 503 && answer.retryAfter !== null;
}

function wordOf(answer: Knocked | null): string {
  return answer === null ? "lost" : `${String(answer.status)} ${String(answer.body.code)}`;
}
