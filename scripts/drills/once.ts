import { fork } from "node:child_process";
import { Findings, shuffle } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { Ground } from "./ground.ts";
import type { Order, Outcome } from "./once-client.ts";

const SIZES = {
  small: { tokens: 40, attempts: 400, processes: 2 },
  full: { tokens: 1_000, attempts: 10_000, processes: 8 },
} as const;
const AT_ONCE = 8;
/** Attempts on one token lie near each other in every process, so that they meet. */
const NEAR = 20;
const LONGEST_MS = 300_000;

export const once: Drill = {
  name: "once",
  what: "exchange attempts by several processes on shared tokens: each token is granted exactly once",
  async run(size) {
    const { tokens: count, attempts, processes } = SIZES[size];
    const found = new Findings();
    const ground = await Ground.start();
    try {
      await ground.write("VALUE", "drill");
      await ground.workload("job", "VALUE");
      const tokens = await ground.mint("job", count);
      const orders = deal(tokens, attempts, processes);
      const outcomes = await Promise.all(
        orders.map((order) => client({ url: ground.url, tokens: order, atOnce: AT_ONCE })),
      );

      const grants = new Map<string, number>();
      const refused: Record<string, number> = {};
      for (const [at, outcome] of outcomes.entries()) {
        for (const place of outcome.granted) {
          const token = orders[at]?.[place] ?? "";
          grants.set(token, (grants.get(token) ?? 0) + 1);
        }
        for (const [code, times] of Object.entries(outcome.refused)) refused[code] = (refused[code] ?? 0) + times;
      }
      for (const [at, token] of tokens.entries()) {
        const times = grants.get(token) ?? 0;
        if (times !== 1) found.fail(`token ${String(at)} was granted ${String(times)} times`);
      }
      const granted = [...grants.values()].reduce((sum, times) => sum + times, 0);
      const { token_invalid: invalid = 0, ...others } = refused;
      if (granted + invalid !== attempts) found.fail(`other answers came: ${JSON.stringify(others)}`);
      const fault = await ground.auditFault();
      if (fault !== null) found.fail(fault);
      return found.report({ tokens: count, processes, granted, refused: invalid }, attempts);
    } finally {
      await ground.close();
    }
  },
};

/** Attempts for each process: every token equally often, in nearly the same order everywhere. */
function deal(tokens: readonly string[], attempts: number, processes: number): string[][] {
  const hands: string[][] = Array.from({ length: processes }, () => []);
  for (let at = 0; at < attempts; at += 1)
    hands[at % processes]?.push(tokens[Math.floor((at * tokens.length) / attempts)] ?? "");
  return hands.map((hand) => {
    const mixed: string[] = [];
    for (let from = 0; from < hand.length; from += NEAR) mixed.push(...shuffle(hand.slice(from, from + NEAR)));
    return mixed;
  });
}

function client(order: Order): Promise<Outcome> {
  const child = fork(new URL("./once-client.ts", import.meta.url), {
    execArgv: ["--conditions=sallyport-source", "--import", "tsx"],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), LONGEST_MS);
  return new Promise<Outcome>((resolve, reject) => {
    child.once("message", (outcome) => {
      resolve(outcome as Outcome);
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`a client process ended with ${String(code)} before it reported`));
    });
    child.send(order);
  });
}
