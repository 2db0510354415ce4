import { Cluster } from "./cluster.ts";
import type { Event, Minted } from "./cluster.ts";
import { Findings, pause, random, shuffle } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { Knocker } from "./knock.ts";
import { LONGEST_MS } from "./nodes-load.ts";

const SIZES = {
  small: { nodes: 2, tokens: 30, attempts: 300, races: 20, verified: 2 },
  full: { nodes: 4, tokens: 1_000, attempts: 10_000, races: 500, verified: 8 },
} as const;
const AT_ONCE = 6;
/** Attempts on one token lie near each other at every node, so that they meet. */
const NEAR = 20;
const LONGEST_HEAD_START_MS = 30;
/** Each write makes the exchanges that are being computed compute again: not so many that they never come to an end. */
const BETWEEN_WRITES_MS = 2_000;
/** Minted and exchanged together: a token is good for a quarter of an hour. */
const TOGETHER = 100;

/** What the nodes have acknowledged: by request id, for the log. */
interface Told {
  readonly acknowledged: Set<string>;
  /** Operations done one after the other, each on another node than the one before. */
  readonly inTurn: string[];
}

export const nodes: Drill = {
  name: "nodes",
  what: "exchange attempts at several nodes on shared tokens: each is granted exactly once, what is revoked at one node is void at all, the log is one and in order",
  async run(size) {
    const { nodes: count, tokens: many, attempts, races, verified } = SIZES[size];
    const found = new Findings();
    const cluster = await Cluster.start({ nodes: count });
    try {
      await cluster.workload("job");
      const told: Told = { acknowledged: new Set(), inTurn: [] };

      let busy = true;
      const beside = [
        ...Array.from({ length: count }, (_, node) => write(cluster, node, told, found, () => busy)),
        takeTurns(cluster, told, found, () => busy),
        verify(cluster, verified, found),
      ];
      const began = performance.now();
      const grants: number[] = [];
      for (let done = 0; done < many; done += TOGETHER) {
        const tokens = await cluster.mint("job", Math.min(TOGETHER, many - done));
        grants.push(...(await exchangeAll(cluster, tokens, (attempts * tokens.length) / many, told, found)));
      }
      const seconds = (performance.now() - began) / 1_000;
      busy = false;
      await Promise.all(beside);
      for (const [at, times] of grants.entries())
        if (times !== 1) found.fail(`token ${String(at)} was granted ${String(times)} times`);

      const raced = await raceRevocations(cluster, races, told, found);
      const events = await logFaults(cluster, told, found);
      for (let node = 0; node < count; node += 1) {
        const fault = await cluster.auditFault(node);
        if (fault !== null) found.fail(fault);
      }
      const slots = await cluster.slots();
      found.must(slots === count, `${String(count)} nodes have ${String(slots)} slots`);
      return found.report(
        {
          nodes: count,
          tokens: many,
          granted: grants.reduce((sum, times) => sum + times, 0),
          "attempts a second": Math.round(attempts / seconds),
          ...raced,
          events,
          acknowledged: told.acknowledged.size,
          "one after the other": told.inTurn.length,
        },
        attempts + races,
      );
    } finally {
      await cluster.close();
    }
  },
};

/** @returns how often each token was granted. */
async function exchangeAll(
  cluster: Cluster,
  tokens: readonly Minted[],
  attempts: number,
  told: Told,
  found: Findings,
): Promise<readonly number[]> {
  const grants = tokens.map(() => 0);
  const hands = deal(tokens.length, attempts, cluster.size);
  await Promise.all(
    hands.map(async (hand, node) => {
      const knocker = new Knocker(cluster.url(node), AT_ONCE, LONGEST_MS);
      let next = 0;
      const one = async (): Promise<void> => {
        for (let at = next++; at < hand.length; at = next++) {
          const token = hand[at] ?? 0;
          const answer = await knocker.ask("POST", "/v1/exchange", tokens[token]?.token ?? "");
          if (answer?.status === 200) {
            grants[token] = (grants[token] ?? 0) + 1;
            told.acknowledged.add(answer.requestId);
          } else if (answer?.body.code !== "token_invalid")
            found.fail(`an exchange was answered ${String(answer?.status)} ${String(answer?.body.code)}`);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, one));
      knocker.close();
    }),
  );
  return grants;
}

/** Attempts for each node, as places in the tokens: every token equally often, in nearly the same order everywhere. */
function deal(tokens: number, attempts: number, nodes: number): number[][] {
  const hands: number[][] = Array.from({ length: nodes }, () => []);
  for (let at = 0; at < attempts; at += 1) hands[at % nodes]?.push(Math.floor((at * tokens) / attempts));
  return hands.map((hand) => {
    const mixed: number[] = [];
    for (let from = 0; from < hand.length; from += NEAR) mixed.push(...shuffle(hand.slice(from, from + NEAR)));
    return mixed;
  });
}

/** Writes one secret at one node, again and again: each version must be the one after the last. */
async function write(
  cluster: Cluster,
  node: number,
  told: Told,
  found: Findings,
  isBusy: () => boolean,
): Promise<void> {
  const knocker = new Knocker(cluster.url(node));
  const path = `/v1/environments/prod/namespaces/default/secrets/W${String(node)}`;
  for (let version = 1; isBusy(); version += 1) {
    const answer = await knocker.ask("PUT", path, cluster.ownerToken, { value: String(version) });
    if (answer?.status === 200 && answer.body.version === version) told.acknowledged.add(answer.requestId);
    else found.fail(`write ${String(version)} was answered ${String(answer?.status)} ${JSON.stringify(answer?.body)}`);
    await pause(BETWEEN_WRITES_MS);
  }
  knocker.close();
}

/** One secret, written at one node after the other: each sees what the one before has done, and its event is later. */
async function takeTurns(cluster: Cluster, told: Told, found: Findings, isBusy: () => boolean): Promise<void> {
  const knockers = Array.from({ length: cluster.size }, (_, node) => new Knocker(cluster.url(node)));
  const path = "/v1/environments/prod/namespaces/default/secrets/TURN";
  for (let version = 1; isBusy(); version += 1) {
    const answer = await knockers[version % knockers.length]?.ask("PUT", path, cluster.ownerToken, {
      value: String(version),
    });
    if (answer?.status === 200 && answer.body.version === version) {
      told.acknowledged.add(answer.requestId);
      told.inTurn.push(answer.requestId);
    } else found.fail(`turn ${String(version)} was answered ${String(answer?.status)}`);
    await pause(BETWEEN_WRITES_MS);
  }
  for (const knocker of knockers) knocker.close();
}

/** The log verifies while all are busy, whichever node is asked. */
async function verify(cluster: Cluster, times: number, found: Findings): Promise<void> {
  for (let at = 0; at < times; at += 1) {
    const fault = await cluster.auditFault(at % cluster.size);
    if (fault !== null) found.fail(`while all were busy: ${fault}`);
    await pause(500);
  }
}

/**
 * A token is revoked at one node while it is exchanged at another, a moment before or after. Whoever comes first wins, but an
 * exchange that begins once the revocation was acknowledged never does.
 */
async function raceRevocations(
  cluster: Cluster,
  races: number,
  told: Told,
  found: Findings,
): Promise<{ races: number; "revoked first": number; "exchanged first": number }> {
  const tokens = await cluster.mint("job", races);
  const knockers = Array.from({ length: cluster.size }, (_, node) => new Knocker(cluster.url(node)));
  let granted = 0;
  let next = 0;
  const one = async (): Promise<void> => {
    for (let at = next++; at < tokens.length; at = next++) {
      const { injectionId, token } = tokens[at] ?? { injectionId: "", token: "" };
      const here = random(cluster.size);
      const there = (here + 1 + random(cluster.size - 1)) % cluster.size;
      const exchange = async () => {
        await pause(random(LONGEST_HEAD_START_MS));
        return knockers[there]?.ask("POST", "/v1/exchange", token);
      };
      const racing = exchange();
      await pause(random(LONGEST_HEAD_START_MS));
      const revoked = await knockers[here]?.ask("POST", `/v1/injections/${injectionId}/revoke`, cluster.ownerToken);
      // From here on it is void everywhere.
      const late = await knockers[there]?.ask("POST", "/v1/exchange", token);
      const answer = await racing;
      if (revoked?.status !== 200) found.fail(`a revocation was answered ${String(revoked?.status)}`);
      if (late?.body.code !== "token_invalid")
        found.fail(`a token revoked at another node was answered ${String(late?.status)}`);
      if (answer?.status === 200) granted += 1;
      else if (answer?.body.code !== "token_invalid") found.fail(`a race was answered ${String(answer?.status)}`);
      for (const done of [answer, revoked]) if (done?.status === 200) told.acknowledged.add(done.requestId);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  for (const knocker of knockers) knocker.close();
  return { races, "revoked first": races - granted, "exchanged first": granted };
}

/** Whatever was acknowledged has its event; every node tells the same log; what came after something stands after it. */
async function logFaults(cluster: Cluster, told: Told, found: Findings): Promise<number> {
  const logs: (readonly Event[])[] = [];
  for (let node = 0; node < cluster.size; node += 1) logs.push(await cluster.events(node));
  const [first = []] = logs;
  const oldestFirst = [...first].reverse();
  const missing = new Set(told.acknowledged);
  for (const { requestId } of first) missing.delete(requestId);
  if (missing.size > 0) found.fail(`${String(missing.size)} acknowledged operations have no event`);
  for (const [node, log] of logs.entries()) {
    // Asked later, it may have more, and those at its beginning.
    const same = log.slice(log.length - first.length);
    const differs = same.findIndex((event, at) => event.id !== first[at]?.id);
    if (differs !== -1)
      found.fail(`node ${String(node)} tells another log than node 0, ${String(differs)} from the end`);
  }
  const place = new Map(oldestFirst.map(({ requestId }, at) => [requestId, at]));
  let before = -1;
  let wrong = 0;
  for (const requestId of told.inTurn) {
    const at = place.get(requestId) ?? -1;
    if (at <= before) wrong += 1;
    before = at;
  }
  if (wrong > 0) found.fail(`${String(wrong)} events stand before what they came after`);
  return first.length;
}
