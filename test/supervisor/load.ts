import { randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { Client, PASSWORD } from "../harness.ts";

interface Answered {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

const PATIENCE_MS = 40_000;

/** People and programs at work on one vault, while it restarts: writes, mints and exchanges, and what came of them. */
export class Load {
  readonly failures: string[] = [];
  requests = 0;
  retries = 0;
  /** The last acknowledged value of each secret. */
  readonly #written = new Map<string, string>();
  readonly #exchanged: string[] = [];
  readonly #url: string;
  readonly #token: string;
  readonly #retrying: boolean;
  #running = true;
  #work: Promise<unknown> = Promise.resolve();

  private constructor(url: string, token: string, retrying: boolean) {
    this.#url = url;
    this.#token = token;
    this.#retrying = retrying;
  }

  /** Signs the owner in, makes a workload, and begins. */
  static async start(url: string, setUp: string, options: { workers: number; retrying: boolean }): Promise<Load> {
    const { token } = await new Client(url, setUp).do("set-up.complete", { body: { password: PASSWORD } });
    const owner = new Client(url, token);
    const place = { environment: "prod", namespace: "default", secret: "LAUNCHED" };
    await owner.do("secret.write", { params: place, body: { value: "launched" } });
    const params = { namespace: "default", workload: "job" };
    await owner.do("workload.create", { params: { namespace: "default" }, body: { name: "job" } });
    await owner.do("manifest.save", { params, body: { variables: { VALUE: { secret: "LAUNCHED" } } } });
    await owner.do("deployment.set", { params: { ...params, environment: "prod" }, body: {} });
    const load = new Load(url, token, options.retrying);
    load.#work = Promise.all(Array.from({ length: options.workers }, (_, at) => load.#worker(at)));
    return load;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await this.#work;
  }

  /** Everything that was acknowledged and is not as it was said. */
  async faults(): Promise<string[]> {
    const owner = new Client(this.#url, this.#token);
    const faults: string[] = [];
    await eightAtATime([...this.#written], async ([secret, value]) => {
      const params = { environment: "prod", namespace: "default", secret };
      const shown = await owner.try("secret.reveal", { params, body: { reason: "test" } });
      if (shown.body.value !== value) faults.push(`${secret} is not what was acknowledged`);
    });
    await eightAtATime(this.#exchanged, async (token) => {
      const again = await this.#once("POST", "/v1/exchange", token, undefined, null);
      if (again.body.code !== "token_invalid")
        faults.push(`a token was granted a second time: ${String(again.status)}`);
    });
    const { intact } = await owner.do("audit.verify");
    if (!intact) faults.push("the audit log is not intact");
    return faults;
  }

  get acknowledged(): { secrets: number; exchanges: number } {
    return { secrets: this.#written.size, exchanges: this.#exchanged.length };
  }

  /** Every other one keeps its connection. */
  async #worker(at: number): Promise<void> {
    const agent = at % 2 === 0 ? new Agent({ keepAlive: true, maxSockets: 1 }) : null;
    for (let round = 0; this.#running; round += 1) {
      const secret = `W${String(at)}_${String(round % 20)}`;
      const value = `${String(at)}-${String(round)}`;
      const path = `/v1/environments/prod/namespaces/default/secrets/${secret}`;
      if ((await this.#ask("PUT", path, this.#token, { value }, agent)) !== null) this.#written.set(secret, value);
      const minted = await this.#mint(agent);
      if (minted === null) continue;
      const granted = await this.#ask("POST", "/v1/exchange", minted, undefined, agent);
      if (granted !== null) this.#exchanged.push(minted);
      // All of it is looked at again afterwards: enough is enough.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    agent?.destroy();
  }

  /** A mint whose answer was lost is not answered again: another is made. */
  async #mint(agent: Agent | null): Promise<string | null> {
    for (;;) {
      const path = "/v1/namespaces/default/workloads/job/tokens";
      const body = { environment: "prod", ttlSeconds: 900 };
      const minted = await this.#ask("POST", path, this.#token, body, agent);
      if (minted?.body.code === "idempotency_reused") continue;
      const items = (minted?.body.items ?? []) as { token: string }[];
      return items[0]?.token ?? null;
    }
  }

  /** `null` for a failure, which is kept. */
  async #ask(
    method: string,
    path: string,
    token: string,
    body: unknown,
    agent: Agent | null,
  ): Promise<Answered | null> {
    this.requests += 1;
    const key = randomBytes(24).toString("base64url");
    const end = performance.now() + PATIENCE_MS;
    for (;;) {
      let why: string;
      try {
        const answer = await this.#once(method, path, token, body, agent, method === "POST" ? key : undefined);
        if (answer.status < 300 || answer.body.code === "idempotency_reused") return answer;
        why = `${method} ${path} was answered ${String(answer.status)} ${String(answer.body.code)}`;
        if (answer.status !== 503) return this.#failed(why);
      } catch (error) {
        why = `${method} ${path}: ${error instanceof Error && "code" in error ? String(error.code) : String(error)}`;
      }
      if (!this.#retrying || performance.now() > end) return this.#failed(why);
      this.retries += 1;
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 100));
    }
  }

  #failed(why: string): null {
    this.failures.push(why);
    return null;
  }

  #once(
    method: string,
    path: string,
    token: string,
    body: unknown,
    agent: Agent | null,
    key?: string,
  ): Promise<Answered> {
    const { hostname, port } = new URL(this.#url);
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      authorization: `Bearer ${token}`,
      ...(key === undefined ? {} : { "idempotency-key": key }),
      ...(text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
    };
    return new Promise((resolve, reject) => {
      const sent = request(
        { host: hostname, port, method, path, headers, agent: agent ?? false, timeout: PATIENCE_MS },
        (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("error", reject);
          response.on("end", () => {
            const read = Buffer.concat(parts).toString();
            resolve({
              status: response.statusCode ?? 0,
              body: (read === "" ? {} : JSON.parse(read)) as Answered["body"],
            });
          });
        },
      );
      sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
      sent.on("error", reject);
      sent.end(text);
    });
  }
}

async function eightAtATime<T>(items: readonly T[], look: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const worker = async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await look(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}
