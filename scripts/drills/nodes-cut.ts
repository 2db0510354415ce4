import { Cluster } from "./cluster.ts";
import type { Minted } from "./cluster.ts";
import { Findings, pause } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { Knocker } from "./knock.ts";
import type { Knocked } from "./knock.ts";
import { Wire } from "./wire.ts";
import type { Cut } from "./wire.ts";

const SIZES = {
  small: { each: 2, silences: 1 },
  full: { each: 100, silences: 5 },
} as const;
/** What anybody may wait for an answer, and what the vault may take to be well again; in ms. */
const LONGEST_MS = 30_000;
const HEALED_MS = 10_000;
const SILENCE_BESIDE = 20;

/** Per cut: how often, and how the second exchange of the same token ended. */
const CUTS: readonly { readonly cut: Cut; readonly first: string; readonly second: string; readonly grants: number }[] =
  [
    { cut: "before the end", first: "200", second: "token_invalid", grants: 1 },
    { cut: "before COMMIT", first: "outcome_unknown", second: "200", grants: 1 },
    { cut: "after COMMIT", first: "outcome_unknown", second: "token_invalid", grants: 0 },
  ];

export const nodesCut: Drill = {
  name: "nodes-cut",
  what: "the connection of an exchange to the database is cut, or swallowed, at its COMMIT: the caller hears that nobody knows, nothing is granted twice, and it heals",
  async run(size) {
    const { each, silences } = SIZES[size];
    const found = new Findings();
    const wires: Wire[] = [];
    const via = async (port: number): Promise<readonly number[]> => {
      const wire = await Wire.to(port);
      wires.push(wire);
      return [wire.port];
    };
    const cluster = await Cluster.start({ nodes: 2, via });
    const [wire] = wires;
    if (wire === undefined) throw new Error("there is no wire");
    try {
      await cluster.workload("job");
      const tokens = await cluster.mint("job", each * CUTS.length + silences * (SILENCE_BESIDE + 1));
      const said: Record<string, number> = {};
      for (const { cut, first, second, grants } of CUTS) {
        for (let at = 0; at < each; at += 1) {
          const token = tokens.pop();
          if (token !== undefined)
            await cutOnce(cluster, wire, found, token, { cut, first, second, grants, node: at % 2 });
        }
        said[cut] = each;
      }
      let slowest = 0;
      let healed = 0;
      for (let at = 0; at < silences; at += 1) {
        const { slowestMs, healedMs } = await silence(cluster, wire, found, tokens.splice(0, SILENCE_BESIDE + 1));
        slowest = Math.max(slowest, slowestMs);
        healed = Math.max(healed, healedMs);
      }
      for (const node of [0, 1]) {
        const fault = await cluster.auditFault(node);
        if (fault !== null) found.fail(fault);
      }
      return found.report({
        ...said,
        silences,
        "slowest answer, ms": Math.round(slowest),
        "slowest to heal, ms": Math.round(healed),
      });
    } finally {
      await cluster.close();
      wire.close();
    }
  },
};

async function cutOnce(
  cluster: Cluster,
  wire: Wire,
  found: Findings,
  { injectionId, token }: Minted,
  expected: { cut: Cut; first: string; second: string; grants: number; node: number },
): Promise<void> {
  const { cut, node } = expected;
  const knocker = new Knocker(cluster.url(node), 1, LONGEST_MS);
  const before = wire.cuts;
  wire.cutNext(cut);
  const first = await knocker.once("POST", "/v1/exchange", token);
  const isCut = wire.cuts === before + 1;
  // At the other node: it has only the database to go by.
  const other = new Knocker(cluster.url(1 - node), 1, LONGEST_MS);
  const second = await other.ask("POST", "/v1/exchange", token);
  const third = await knocker.ask("POST", "/v1/exchange", token);
  knocker.close();
  other.close();
  const grants = [first, second, third].filter((answer) => answer?.status === 200).length;
  const events = await cluster.owner(1 - node).do("audit.list", {
    query: { action: "token.exchange", target: injectionId, result: "success" },
  });
  const isSo =
    isCut &&
    wordOf(first) === expected.first &&
    wordOf(second) === expected.second &&
    wordOf(third) === "token_invalid" &&
    grants === expected.grants &&
    events.items.length === 1;
  found.must(
    isSo,
    `cut ${cut} (${String(isCut)}): ${wordOf(first)}, then ${wordOf(second)}, then ${wordOf(third)}; ${String(events.items.length)} events`,
  );
}

/** The network swallows everything from the COMMIT of an exchange on, with others behind it; later it is back. */
async function silence(
  cluster: Cluster,
  wire: Wire,
  found: Findings,
  [first, ...others]: readonly Minted[],
): Promise<{ slowestMs: number; healedMs: number }> {
  const knocker = new Knocker(cluster.url(0), SILENCE_BESIDE + 2, 2 * LONGEST_MS);
  const before = wire.cuts;
  wire.swallow("COMMIT");
  const began = knocker.once("POST", "/v1/exchange", first?.token ?? "");
  while (wire.cuts === before) await pause(5);
  const answers = await Promise.all([began, ...others.map(({ token }) => knocker.once("POST", "/v1/exchange", token))]);
  const health = await knocker.once("GET", "/readyz", "");
  const { slowestMs } = knocker;
  found.must(wordOf(answers[0] ?? null) === "outcome_unknown", `swallowed at COMMIT: ${wordOf(answers[0] ?? null)}`);
  for (const answer of answers.slice(1))
    found.must(
      answer?.status === 503 && answer.retryAfter !== null,
      `while the network swallowed all: ${wordOf(answer)}, Retry-After ${String(answer?.retryAfter)}`,
    );
  found.must(health?.status === 503, `/readyz answered ${String(health?.status)} while the network swallowed all`);
  found.must(slowestMs < LONGEST_MS, `an answer took ${String(Math.round(slowestMs))} ms`);
  wire.restore();
  const back = performance.now();
  const waiting = [first, ...others].map((one) => one?.token ?? "");
  let healedMs = Infinity;
  while (healedMs === Infinity && performance.now() - back < 2 * HEALED_MS) {
    const answer = await knocker.once("POST", "/v1/exchange", waiting[0] ?? "");
    if (answer?.status === 200) healedMs = performance.now() - back;
    else await pause(50);
  }
  found.must(healedMs < HEALED_MS, `it took ${String(Math.round(healedMs))} ms to heal`);
  for (const [at, token] of waiting.entries()) {
    const again = await knocker.ask("POST", "/v1/exchange", token);
    const wanted = at === 0 ? "token_invalid" : "200";
    found.must(wordOf(again) === wanted, `after the silence: ${wordOf(again)} in place of ${wanted}`);
  }
  knocker.close();
  return { slowestMs, healedMs };
}

function wordOf(answer: Knocked | null): string {
  return answer === null ? "lost" : answer.status === 200 ? "200" : String(answer.body.code);
}
