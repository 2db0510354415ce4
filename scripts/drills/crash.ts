import type { Response } from "#contract";
import { Findings, pause, random } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { Ground } from "./ground.ts";
import { Knocker } from "./knock.ts";

const ROUNDS = { small: 2, full: 50 } as const;
const WRITERS = 6;
const MINTERS = 2;
const EXCHANGERS = 4;
const LONGEST_LOAD_MS = 900;
const SHORTEST_LOAD_MS = 150;

/** What the vault has acknowledged, over all rounds: what is written here must be so for ever. */
interface Ledger {
  /** By secret and version. */
  readonly values: Map<string, Map<number, string>>;
  /** Tokens that were minted, with how often each was granted. */
  readonly grants: Map<string, number>;
  /** Request ids of what was acknowledged since the last look at the audit log. */
  readonly requests: Set<string>;
}

export const crash: Drill = {
  name: "crash",
  what: "rounds of kill -9 under load: no acknowledged write is lost, no token granted twice, the audit log is intact and whole",
  async run(size) {
    const found = new Findings();
    const ledger: Ledger = { values: new Map(), grants: new Map(), requests: new Set() };
    const said = { writes: 0, grants: 0, "exchanges cut off": 0, events: 0 };
    const ground = await Ground.start();
    try {
      await ground.write("VALUE", "drill");
      await ground.workload("job", "VALUE");
      let seen = (await ground.owner.do("audit.list", { query: { limit: "1" } })).items[0]?.seq ?? 0;
      for (let round = 1; round <= ROUNDS[size]; round += 1) {
        const cutOff = await load(ground, ledger, round);
        await ground.again();
        const problems = [
          ...(await lostWrites(ground, ledger, round)),
          ...(await grantedTwice(ground, ledger, cutOff)),
        ];
        const looked = await missingEvents(ground, ledger, seen);
        seen = looked.seen;
        said.events += looked.events;
        said["exchanges cut off"] += cutOff.size;
        problems.push(...looked.problems);
        const fault = await ground.auditFault();
        if (fault !== null) problems.push(fault);
        found.tried(problems.length === 0 ? null : `round ${String(round)}: ${problems.slice(0, 5).join("; ")}`);
      }
      for (const [, versions] of ledger.values) said.writes += versions.size;
      for (const [, times] of ledger.grants) said.grants += times;
      return found.report(said);
    } finally {
      await ground.close();
    }
  },
};

/** Writes, mints and exchanges until the server is killed, at a moment nobody knows. Returns exchanges that got no answer. */
async function load(ground: Ground, ledger: Ledger, round: number): Promise<Set<string>> {
  const knocker = new Knocker(ground.url);
  const stock: string[] = [];
  const cutOff = new Set<string>();
  let running = true;

  const writer = async (at: number): Promise<void> => {
    const secret = `W${String(at)}`;
    const path = `/v1/environments/prod/namespaces/default/secrets/${secret}`;
    for (let count = 1; running; count += 1) {
      const value = `${String(round)}-${String(at)}-${String(count)}`;
      const answer = await knocker.ask("PUT", path, ground.ownerToken, { value });
      if (answer?.status !== 200) continue;
      const versions = ledger.values.get(secret) ?? new Map<number, string>();
      ledger.values.set(secret, versions.set(Number(answer.body.version), value));
      ledger.requests.add(answer.requestId);
    }
  };
  const minter = async (): Promise<void> => {
    while (running) {
      const body = { environment: "prod", ttlSeconds: 900, count: 5 };
      const answer = await knocker.ask("POST", "/v1/namespaces/default/workloads/job/tokens", ground.ownerToken, body);
      if (answer?.status === 201) {
        ledger.requests.add(answer.requestId);
        for (const { token } of (answer.body as unknown as Response<"token.mint">).items) {
          ledger.grants.set(token, 0);
          stock.push(token);
        }
      }
      await pause(stock.length > 50 ? 20 : 1);
    }
  };
  const exchanger = async (): Promise<void> => {
    while (running) {
      const token = stock.shift();
      if (token === undefined) {
        await pause(1);
        continue;
      }
      const answer = await knocker.ask("POST", "/v1/exchange", token);
      if (answer === null) cutOff.add(token);
      if (answer?.status !== 200) continue;
      ledger.grants.set(token, (ledger.grants.get(token) ?? 0) + 1);
      ledger.requests.add(answer.requestId);
    }
  };

  const workers = [
    ...Array.from({ length: WRITERS }, (_, at) => writer(at)),
    ...Array.from({ length: MINTERS }, minter),
    ...Array.from({ length: EXCHANGERS }, exchanger),
  ];
  await pause(SHORTEST_LOAD_MS + random(LONGEST_LOAD_MS - SHORTEST_LOAD_MS));
  await ground.stop("SIGKILL");
  running = false;
  await Promise.all(workers);
  knocker.close();
  return cutOff;
}

/** Every version that was acknowledged in this round, revealed; and of earlier rounds the last one. */
async function lostWrites(ground: Ground, ledger: Ledger, round: number): Promise<string[]> {
  const knocker = new Knocker(ground.url);
  const asked: Promise<string | null>[] = [];
  for (const [secret, versions] of ledger.values) {
    const highest = Math.max(...versions.keys());
    for (const [version, value] of versions) {
      if (version !== highest && !value.startsWith(`${String(round)}-`)) continue;
      const path = `/v1/environments/prod/namespaces/default/secrets/${secret}/reveal`;
      asked.push(
        knocker.ask("POST", path, ground.ownerToken, { reason: "drill", version }).then((answer) => {
          const same = answer?.status === 200 && answer.body.value === value && answer.body.version === version;
          return same ? null : `${secret}@${String(version)} is not what was acknowledged (${String(answer?.status)})`;
        }),
      );
    }
    asked.push(
      ground.owner
        .do("secret.get", { params: { environment: "prod", namespace: "default", secret } })
        .then((one) => (one.version >= highest ? null : `${secret} fell back to version ${String(one.version)}`)),
    );
  }
  const problems = await Promise.all(asked);
  knocker.close();
  return problems.filter((one) => one !== null);
}

/** Tokens that were granted are tried again, and those whose exchange got no answer: at most one grant each, over all rounds. */
async function grantedTwice(ground: Ground, ledger: Ledger, cutOff: ReadonlySet<string>): Promise<string[]> {
  const knocker = new Knocker(ground.url);
  const granted = [...ledger.grants].filter(([, times]) => times > 0).map(([token]) => token);
  const again = [...granted.slice(-200), ...cutOff];
  await Promise.all(
    again.map(async (token) => {
      const answer = await knocker.ask("POST", "/v1/exchange", token);
      if (answer?.status === 200) ledger.grants.set(token, (ledger.grants.get(token) ?? 0) + 1);
    }),
  );
  knocker.close();
  return [...ledger.grants.values()]
    .filter((times) => times > 1)
    .map((times) => `a token was granted ${String(times)} times`);
}

/** Whether everything acknowledged since the last look has its event. */
async function missingEvents(
  ground: Ground,
  ledger: Ledger,
  seen: number,
): Promise<{ seen: number; events: number; problems: string[] }> {
  const missing = new Set(ledger.requests);
  ledger.requests.clear();
  const acknowledged = missing.size;
  let newest = seen;
  let after: string | null = null;
  do {
    const page: Response<"audit.list"> = await ground.owner.do("audit.list", {
      query: { limit: "1000", ...(after === null ? {} : { after }) },
    });
    for (const event of page.items) {
      newest = Math.max(newest, event.seq);
      missing.delete(event.requestId);
    }
    after = (page.items.at(-1)?.seq ?? 0) <= seen ? null : page.next;
  } while (after !== null);
  const problems = missing.size === 0 ? [] : [`${String(missing.size)} acknowledged operations have no event`];
  return { seen: newest, events: acknowledged, problems };
}
