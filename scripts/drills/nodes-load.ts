import type { Response } from "#contract";
import type { Cluster } from "./cluster.ts";
import { pause, random } from "./drill.ts";
import type { Findings } from "./drill.ts";
import { Knocker } from "./knock.ts";
import type { Knocked } from "./knock.ts";

/** What anybody may wait for an answer; in ms. */
export const LONGEST_MS = 30_000;
/** In how much time after the server's return each node must have written something; in ms. */
export const HEALED_MS = 10_000;
const EXCHANGERS = 2;
const STOCK = 30;
const BETWEEN_WRITES_MS = 300;
const AFTER_A_REFUSAL_MS = 100;
const SECRETS = "/v1/environments/prod/namespaces/default/secrets";

/**
 * Load on every node of a cluster whose parts are ended meanwhile, and what came of it: what was acknowledged must be so
 * for ever, and whatever else is answered must be a refusal that says so, or that nobody knows.
 */
export class NodesLoad {
  /** Tokens, with how often each was granted. */
  readonly grants = new Map<string, number>();
  /** Tokens whose exchange ended without anybody knowing how. */
  readonly unknown = new Set<string>();
  readonly #cluster: Cluster;
  readonly #found: Findings;
  readonly #values = new Map<string, { readonly version: number; readonly value: string }>();
  readonly #acknowledged = new Set<string>();
  readonly #stock: string[] = [];
  readonly #counts = { acknowledged: 0, unavailable: 0, unknown: 0, lost: 0 };
  #workers: Promise<void>[] = [];
  #isRunning = true;
  #slowestMs = 0;
  #mayLose = false;

  constructor(cluster: Cluster, found: Findings) {
    this.#cluster = cluster;
    this.#found = found;
  }

  get counts(): Readonly<Record<string, number>> {
    const granted = [...this.grants.values()].reduce((sum, times) => sum + times, 0);
    return { granted, ...this.#counts, "slowest answer, ms": Math.round(this.#slowestMs) };
  }

  start(): void {
    for (let node = 0; node < this.#cluster.size; node += 1) {
      this.#workers.push(this.#write(node));
      this.#workers.push(this.#mint(node));
      for (let at = 0; at < EXCHANGERS; at += 1) this.#workers.push(this.#exchange(node));
    }
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#workers);
    this.#workers = [];
  }

  /** Connections to a node that is ended may end without an answer. */
  async killNode(node: number): Promise<void> {
    this.#mayLose = true;
    await this.#cluster.kill(node);
  }

  /** @returns how long after this call each node had written something, the slowest, in ms. */
  async healed(): Promise<number> {
    const began = performance.now();
    const times = Array.from({ length: this.#cluster.size }, async (_, node) => {
      const knocker = new Knocker(this.#cluster.url(node), 1, LONGEST_MS);
      for (;;) {
        const answer = await knocker.once("PUT", `${SECRETS}/HEALED${String(node)}`, this.#cluster.ownerToken, {
          value: "well",
        });
        this.#slowestMs = Math.max(this.#slowestMs, knocker.slowestMs);
        const ms = performance.now() - began;
        if (answer?.status !== 200 && ms < 3 * HEALED_MS) {
          await pause(50);
          continue;
        }
        knocker.close();
        return ms;
      }
    });
    const slowest = Math.max(...(await Promise.all(times)));
    this.#found.must(slowest < HEALED_MS, `it took ${String(Math.round(slowest))} ms to heal`);
    return slowest;
  }

  /** Everything is as it was acknowledged, nothing was granted twice, and the log knows all. */
  async check(): Promise<void> {
    const cluster = this.#cluster;
    const found = this.#found;
    const tried = [...this.grants].filter(([token, times]) => times > 0 || this.unknown.has(token));
    const knockers = Array.from({ length: cluster.size }, (_, node) => new Knocker(cluster.url(node)));
    const ask = (method: string, path: string, token: string, body?: unknown) =>
      knockers[random(knockers.length)]?.ask(method, path, token, body) ?? Promise.resolve(null);
    for (let from = 0; from < tried.length; from += 16) {
      await Promise.all(
        tried.slice(from, from + 16).map(async ([token, before]) => {
          const again = await ask("POST", "/v1/exchange", token);
          const more = await ask("POST", "/v1/exchange", token);
          const grants = before + [again, more].filter((answer) => answer?.status === 200).length;
          const isSo = grants <= 1 && more?.body.code === "token_invalid";
          found.must(isSo, `a token was granted ${String(grants)} times, and at last ${String(more?.body.code)}`);
        }),
      );
    }
    for (const [secret, { version, value }] of this.#values) {
      const shown = await ask("POST", `${SECRETS}/${secret}/reveal`, cluster.ownerToken, { reason: "drill", version });
      found.must(shown?.body.value === value, `${secret}@${String(version)} is not what was acknowledged`);
    }
    for (const knocker of knockers) knocker.close();
    const missing = new Set(this.#acknowledged);
    for (const { requestId } of await cluster.events(0)) missing.delete(requestId);
    found.must(missing.size === 0, `${String(missing.size)} acknowledged operations have no event`);
    found.must(this.#slowestMs < LONGEST_MS, `an answer took ${String(Math.round(this.#slowestMs))} ms`);
    for (let node = 0; node < cluster.size; node += 1) found.tried(await cluster.auditFault(node));
  }

  async #write(node: number): Promise<void> {
    const secret = `W${String(node)}`;
    for (let count = 1; this.#isRunning; count += 1) {
      const value = `value ${String(count)}`;
      const answer = await this.#ask(node, "PUT", `${SECRETS}/${secret}`, this.#cluster.ownerToken, { value });
      if (answer?.status === 200) this.#values.set(secret, { version: Number(answer.body.version), value });
      await pause(BETWEEN_WRITES_MS);
    }
  }

  async #mint(node: number): Promise<void> {
    while (this.#isRunning) {
      if (this.#stock.length >= STOCK) {
        await pause(20);
        continue;
      }
      const path = "/v1/namespaces/default/workloads/job/tokens";
      const body = { environment: "prod", ttlSeconds: 900, count: 20 };
      const answer = await this.#ask(node, "POST", path, this.#cluster.ownerToken, body);
      if (answer?.status !== 201) continue;
      for (const { token } of (answer.body as unknown as Response<"token.mint">).items) {
        this.grants.set(token, 0);
        this.#stock.push(token);
      }
    }
  }

  /** A refused token is good, so it goes back; of one that nobody knows about, the end tells. */
  async #exchange(node: number): Promise<void> {
    while (this.#isRunning) {
      const token = this.#stock.shift();
      if (token === undefined) {
        await pause(20);
        continue;
      }
      const answer = await this.#ask(node, "POST", "/v1/exchange", token);
      if (answer?.status === 200) this.grants.set(token, (this.grants.get(token) ?? 0) + 1);
      else if (answer?.status === 503) this.#stock.push(token);
      else this.unknown.add(token);
    }
  }

  async #ask(node: number, method: string, path: string, token: string, body?: unknown): Promise<Knocked | null> {
    let knocker: Knocker;
    try {
      knocker = new Knocker(this.#cluster.url(node), 1, 2 * LONGEST_MS);
    } catch {
      await pause(AFTER_A_REFUSAL_MS);
      return null;
    }
    const answer = await knocker.once(method, path, token, body);
    this.#slowestMs = Math.max(this.#slowestMs, knocker.slowestMs);
    knocker.close();
    if (answer === null) {
      this.#counts.lost += 1;
      if (!this.#mayLose) this.#found.fail("a connection ended without an answer");
    } else if (answer.status < 300) {
      this.#counts.acknowledged += 1;
      this.#acknowledged.add(answer.requestId);
      return answer;
    } else if (answer.status === 503 && answer.retryAfter !== null) this.#counts.unavailable += 1;
    else if (answer.status === 500 && answer.body.code === "outcome_unknown") this.#counts.unknown += 1;
    else
      this.#found.fail(
        `${method} ${path} was answered ${String(answer.status)} ${String(answer.body.code)}, Retry-After ${String(answer.retryAfter)}`,
      );
    await pause(AFTER_A_REFUSAL_MS);
    return answer;
  }
}
