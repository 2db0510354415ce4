import type { Response } from "#contract";
import { pause } from "./drill.ts";
import type { Ground } from "./ground.ts";
import { Knocker } from "./knock.ts";

const WRITERS = 4;
const EXCHANGERS = 3;

/**
 * Works with a vault while something is done to its machine, and remembers each word that the vault gave: what was
 * acknowledged must be there for ever, with its event, and a token is granted once.
 */
export class Witness {
  /** Values by secret and version. */
  readonly #values = new Map<string, Map<number, string>>();
  readonly #grants = new Map<string, number>();
  readonly #requests = new Set<string>();
  /** How often which answer came: `200`, `503 store_unavailable`, `none`. */
  readonly #answers = new Map<string, number>();
  readonly #stock: string[] = [];
  readonly #name: string;
  #workers: Promise<void>[] = [];
  #running = false;

  /** `name` keeps what this witness writes apart from another's in the same vault. */
  constructor(name: string) {
    this.#name = name.toUpperCase();
  }

  get writes(): number {
    return [...this.#values.values()].reduce((sum, versions) => sum + versions.size, 0);
  }

  get granted(): number {
    return [...this.#grants.values()].reduce((sum, times) => sum + times, 0);
  }

  /** Acknowledged operations so far. */
  get acknowledged(): number {
    return this.#requests.size;
  }

  /** How often which answer came since the last call. */
  answers(): Readonly<Record<string, number>> {
    const answers = Object.fromEntries([...this.#answers].sort());
    this.#answers.clear();
    return answers;
  }

  /** Begins to write, mint and exchange; goes on until `stop`. */
  start(ground: Ground): void {
    const knocker = new Knocker(ground.url);
    this.#running = true;
    this.#workers = [
      ...Array.from({ length: WRITERS }, (_, at) => this.#write(knocker, ground.ownerToken, at)),
      this.#mint(knocker, ground.ownerToken),
      ...Array.from({ length: EXCHANGERS }, () => this.#exchange(knocker)),
    ];
    void Promise.all(this.#workers).finally(() => {
      knocker.close();
    });
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  /** What was acknowledged and is not so: nothing, if all is well. */
  async check(ground: Ground): Promise<readonly string[]> {
    const fault = await ground.auditFault();
    return [
      ...(await this.#lost(ground)),
      ...(await this.#untold(ground)),
      ...(await this.#twice(ground)),
      ...(fault === null ? [] : [fault]),
    ];
  }

  async #ask(knocker: Knocker, method: string, path: string, token: string, body?: unknown) {
    const answer = await knocker.ask(method, path, token, body);
    const code = answer === null ? "none" : [answer.status, answer.body.code].join(" ").trim();
    this.#answers.set(code, (this.#answers.get(code) ?? 0) + 1);
    if (answer !== null && answer.status < 300) {
      this.#requests.add(answer.requestId);
      return answer;
    }
    // A vault that refuses is not to be knocked down by who knocks.
    await pause(20);
    return null;
  }

  async #write(knocker: Knocker, token: string, at: number): Promise<void> {
    const secret = `${this.#name}_${String(at)}`;
    const path = `/v1/environments/prod/namespaces/default/secrets/${secret}`;
    for (let count = 1; this.#running; count += 1) {
      const value = `${String(at)}-${String(count)}-${"x".repeat(200)}`;
      const answer = await this.#ask(knocker, "PUT", path, token, { value });
      if (answer === null) continue;
      // Every version is looked at again: enough is enough.
      await pause(10);
      const versions = this.#values.get(secret) ?? new Map<number, string>();
      this.#values.set(secret, versions.set(Number(answer.body.version), value));
    }
  }

  async #mint(knocker: Knocker, token: string): Promise<void> {
    const body = { environment: "prod", ttlSeconds: 900, count: 5 };
    while (this.#running) {
      const answer = await this.#ask(knocker, "POST", "/v1/namespaces/default/workloads/job/tokens", token, body);
      for (const one of (answer?.body as Response<"token.mint"> | undefined)?.items ?? []) {
        this.#grants.set(one.token, 0);
        this.#stock.push(one.token);
      }
      await pause(this.#stock.length > 50 ? 20 : 1);
    }
  }

  async #exchange(knocker: Knocker): Promise<void> {
    while (this.#running) {
      const token = this.#stock.shift();
      if (token === undefined) {
        await pause(2);
        continue;
      }
      const answer = await this.#ask(knocker, "POST", "/v1/exchange", token);
      if (answer !== null) this.#grants.set(token, (this.#grants.get(token) ?? 0) + 1);
      await pause(5);
    }
  }

  /** Every acknowledged version, revealed. */
  async #lost(ground: Ground): Promise<readonly string[]> {
    const knocker = new Knocker(ground.url);
    const asked = [...this.#values].flatMap(([secret, versions]) =>
      [...versions].map(async ([version, value]) => {
        const path = `/v1/environments/prod/namespaces/default/secrets/${secret}/reveal`;
        const answer = await knocker.ask("POST", path, ground.ownerToken, { reason: "drill", version });
        const same = answer?.status === 200 && answer.body.value === value && answer.body.version === version;
        return same ? null : `${secret}@${String(version)} is not what was acknowledged (${String(answer?.status)})`;
      }),
    );
    const problems = await Promise.all(asked);
    knocker.close();
    return problems.filter((one) => one !== null);
  }

  /** Every acknowledged operation, deliveries too, has its event. */
  async #untold(ground: Ground): Promise<readonly string[]> {
    const missing = new Set(this.#requests);
    let after: string | null = null;
    do {
      const page: Response<"audit.list"> = await ground.owner.do("audit.list", {
        query: { limit: "1000", ...(after === null ? {} : { after }) },
      });
      for (const event of page.items) missing.delete(event.requestId);
      after = page.next;
    } while (after !== null && missing.size > 0);
    return missing.size === 0 ? [] : [`${String(missing.size)} acknowledged operations have no event`];
  }

  /** No token that was granted is granted again. */
  async #twice(ground: Ground): Promise<readonly string[]> {
    const knocker = new Knocker(ground.url);
    const granted = [...this.#grants].filter(([, times]) => times > 0).map(([token]) => token);
    const answers = await Promise.all(granted.slice(-100).map((token) => knocker.ask("POST", "/v1/exchange", token)));
    knocker.close();
    const twice =
      answers.filter((answer) => answer?.status === 200).length +
      [...this.#grants.values()].filter((times) => times > 1).length;
    return twice === 0 ? [] : [`${String(twice)} tokens were granted twice`];
  }
}
