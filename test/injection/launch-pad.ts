import type { Clock } from "#base";
import type { ClientRequest, ExchangeFormat, Response } from "#contract";
import { startVault } from "../harness.ts";
import type { Answer, Client, Problem, TestVault } from "../harness.ts";

/** A clock that a test moves forward; otherwise it is the machine's. */
export class MovableClock implements Clock {
  #aheadMs = 0;

  now(): Date {
    return new Date(Date.now() + this.#aheadMs);
  }

  forward(ms: number): void {
    this.#aheadMs += ms;
  }
}

export type Variables = Extract<ClientRequest<"manifest.save">["body"], { variables: unknown }>["variables"];
export type Event = Response<"audit.list">["items"][number];

export interface ExchangeOptions {
  readonly format?: ExchangeFormat;
  /** Of a Kubernetes Secret. */
  readonly name?: string;
  readonly namespace?: string;
  readonly accept?: string;
  /** The runner's credential. */
  readonly runner?: Client;
  readonly key?: string;
  /** The client's address, as the trusted proxy before the vault tells it. */
  readonly from?: string;
}

/** The variables, or the problem. */
export type ExchangeAnswer = Response<"token.exchange"> & Pick<Problem, "code" | "requestId" | "faults">;

/** Where the proxy stands that may say whom it speaks for: the tests' own connections. */
const BEHIND_PROXY = { trustedProxies: "127.0.0.1" };

/**
 * A vault with people and machines who launch: `bea` builds and `otto` operates in prod, `carl` contributes there, and the
 * service user `host` may take delivery in prod. The namespace is `ops`.
 */
export class LaunchPad {
  readonly vault: TestVault;
  readonly clock: MovableClock;
  readonly owner: Client;
  readonly builder: Client;
  readonly operator: Client;
  readonly contributor: Client;
  readonly host: Client;

  private constructor(
    vault: TestVault,
    clock: MovableClock,
    people: Record<"builder" | "operator" | "contributor" | "host", Client>,
  ) {
    this.vault = vault;
    this.clock = clock;
    this.owner = vault.owner;
    this.builder = people.builder;
    this.operator = people.operator;
    this.contributor = people.contributor;
    this.host = people.host;
  }

  static async start(): Promise<LaunchPad> {
    const clock = new MovableClock();
    const vault = await startVault({ overrides: { clock }, settings: BEHIND_PROXY });
    const { owner } = vault;
    await owner.do("namespace.create", { body: { name: "ops" } });
    const people = {
      builder: await vault.user("bea", "guest"),
      operator: await vault.user("otto", "guest"),
      contributor: await vault.user("carl", "guest"),
      host: await vault.service("host", "runner"),
    };
    for (const [principal, role] of [
      ["bea", "builder"],
      ["otto", "operator"],
      ["carl", "contributor"],
      ["host", "runner"],
    ] as const) {
      await owner.do("grant.create", { body: { principal, role, environment: "prod" } });
    }
    return new LaunchPad(vault, clock, people);
  }

  close(): Promise<void> {
    return this.vault.close();
  }

  async write(secret: string, value: string | Buffer, environment = "prod", namespace = "ops"): Promise<number> {
    const body = Buffer.isBuffer(value) ? { value: value.toString("base64"), encoding: "base64" as const } : { value };
    return (await this.owner.do("secret.write", { params: { environment, namespace, secret }, body })).version;
  }

  /** Registers, saves and deploys. */
  async deploy(workload: string, variables: Variables, environment = "prod"): Promise<void> {
    const params = { namespace: "ops", workload };
    const known = await this.owner.try("workload.get", { params });
    if (known.status === 404)
      await this.owner.do("workload.create", { params: { namespace: "ops" }, body: { name: workload } });
    const { version } = await this.owner.do("manifest.save", { params, body: { variables } });
    await this.owner.do("deployment.set", { params: { ...params, environment }, body: { version } });
  }

  tryMint(
    by: Client,
    workload: string,
    body: Partial<ClientRequest<"token.mint">["body"]> = {},
    key?: string,
  ): Promise<Answer<Response<"token.mint"> & Problem>> {
    return by.try("token.mint", {
      params: { namespace: "ops", workload },
      body: { environment: "prod", ...body },
      ...(key === undefined ? {} : { headers: { "Idempotency-Key": key } }),
    });
  }

  /** The bearer of a new token. */
  async mint(by: Client, workload: string, body: Partial<ClientRequest<"token.mint">["body"]> = {}): Promise<Client> {
    const answer = await this.tryMint(by, workload, body);
    if (answer.status !== 201) throw new Error(`token.mint answered ${String(answer.status)}: ${answer.text}`);
    return this.bearer(answer.body.items[0]?.token ?? "");
  }

  bearer(token: string): Client {
    return this.vault.anonymous.as(token);
  }

  exchange(bearer: Client, options: ExchangeOptions = {}): Promise<Answer<ExchangeAnswer>> {
    return bearer.try("token.exchange", {
      query: {
        ...(options.format === undefined ? {} : { format: options.format }),
        ...(options.name === undefined ? {} : { name: options.name }),
        ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
      },
      headers: {
        ...(options.accept === undefined ? {} : { Accept: options.accept }),
        ...(options.runner === undefined ? {} : { "Sallyport-Runner": options.runner.token ?? "" }),
        ...(options.key === undefined ? {} : { "Idempotency-Key": options.key }),
        ...(options.from === undefined ? {} : { "X-Forwarded-For": options.from }),
      },
    });
  }

  /** The variables of an exchange, as text; throws when it was refused. */
  async receive(bearer: Client, options: ExchangeOptions = {}): Promise<Record<string, string>> {
    const answer = await this.exchange(bearer, options);
    if (answer.status !== 200) throw new Error(`the exchange answered ${String(answer.status)}: ${answer.text}`);
    return Object.fromEntries(Object.entries(answer.body.variables).map(([name, { value }]) => [name, value]));
  }

  /** `200`, or the code of the refusal. */
  async outcome(bearer: Client, options: ExchangeOptions = {}): Promise<string> {
    const answer = await this.exchange(bearer, options);
    return answer.status === 200 ? "200" : answer.body.code;
  }

  async state(bearer: Client): Promise<string> {
    return (await bearer.do("token.lookup")).state;
  }

  /** The newest events first. */
  async events(query: {
    action?: string;
    result?: "success" | "refused" | "failed";
    limit?: number;
  }): Promise<Event[]> {
    const asked = { limit: "20", ...query, ...(query.limit === undefined ? {} : { limit: String(query.limit) }) };
    return (await this.owner.do("audit.list", { query: asked as never })).items;
  }

  /** The events of one answer: exactly one for a request. */
  async eventsOf(answer: Answer<unknown>): Promise<Event[]> {
    const all = await this.events({ limit: 50 });
    return all.filter((event) => event.requestId === answer.headers["x-request-id"]);
  }
}
