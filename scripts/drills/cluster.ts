import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Response } from "#contract";
import { Client, PASSWORD, ownerSetUp, startServer } from "../../test/harness.ts";
import type { ServerProcess } from "../../test/harness.ts";
import { createRoles, createVaultDatabase } from "../../test/postgres/roles.ts";
import type { VaultDatabase } from "../../test/postgres/roles.ts";
import { PostgresServer } from "../../test/postgres/server.ts";
import { pause } from "./drill.ts";

export type Event = Response<"audit.list">["items"][number];

export type Minted = Response<"token.mint">["items"][number];

export interface ClusterOptions {
  readonly nodes: number;
  /** Whether the database survives its server's end by SIGKILL. */
  readonly durable?: boolean;
  /** A second server that every commit waits for, and that the nodes know as well. */
  readonly standby?: boolean;
  /** For each node's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** What stands between the nodes and the server; given the server's port, the ports that the nodes are told. */
  readonly via?: (port: number) => Promise<readonly number[]>;
}

/** Several vault processes on one database: each with a folder of its own and a copy of the same keys. */
export class Cluster {
  readonly server: PostgresServer;
  readonly database: VaultDatabase;
  /** The server that follows, where there is one. */
  readonly standby: PostgresServer | null;
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #nodes: (ServerProcess | null)[] = [];
  #ownerToken = "";

  private constructor(parts: {
    server: PostgresServer;
    standby: PostgresServer | null;
    database: VaultDatabase;
    folder: string;
    env: Readonly<Record<string, string>>;
  }) {
    this.server = parts.server;
    this.standby = parts.standby;
    this.database = parts.database;
    this.#folder = parts.folder;
    this.#env = parts.env;
  }

  static async start(options: ClusterOptions): Promise<Cluster> {
    const { durable = false, via } = options;
    const server = await PostgresServer.start({ durable });
    const folder = await mkdtemp(join(tmpdir(), "sallyport-drill-"));
    try {
      await createRoles(server);
      const database = await createVaultDatabase(server.facts());
      const standby = options.standby === true ? await server.standby("second", { synchronous: true }) : null;
      const own = [server.port, ...(standby === null ? [] : [standby.port])];
      const ports = via === undefined ? own : await via(server.port);
      const store = new URL(database.url);
      const places = ports.map((port) => `127.0.0.1:${String(port)}`).join(",");
      const cluster = new Cluster({
        server,
        standby,
        database,
        folder,
        env: {
          SALLYPORT_STORE: `postgres://${store.username}:${store.password}@${places}${store.pathname}`,
          SALLYPORT_STORE_MIGRATE: database.ownerUrl,
          SALLYPORT_REQUESTS_PER_SECOND: "1000000",
          SALLYPORT_REQUESTS_PER_SECOND_PER_CREDENTIAL: "1000000",
          ...options.env,
        },
      });
      await cluster.#found(options.nodes);
      return cluster;
    } catch (error) {
      await server.remove();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get size(): number {
    return this.#nodes.length;
  }

  get ownerToken(): string {
    return this.#ownerToken;
  }

  url(node: number): string {
    const url = this.#nodes[node]?.url;
    if (url === undefined) throw new Error(`node ${String(node)} does not run`);
    return url;
  }

  owner(node: number): Client {
    return new Client(this.url(node), this.#ownerToken);
  }

  /** Ends one node at once, as a crash does. */
  async kill(node: number): Promise<void> {
    const process = this.#nodes[node];
    process?.kill("SIGKILL");
    await process?.ended;
    this.#nodes[node] = null;
  }

  /** Stops a node in the middle of what it does, or lets it go on. */
  signal(node: number, signal: "SIGSTOP" | "SIGCONT"): void {
    this.#nodes[node]?.kill(signal);
  }

  /** Starts a node that was killed again, in its folder; or one more, in a folder of its own. */
  async launch(node: number): Promise<void> {
    const folder = join(this.#folder, `node-${String(node)}`);
    await mkdir(folder, { recursive: true });
    if (node > 0) await cp(join(this.#folder, "node-0", "keys"), join(folder, "keys"), { recursive: true });
    this.#nodes[node] = await startServer(folder, { env: { ...this.#env } });
  }

  /** Every event of the org, newest first, as one node tells it. */
  async events(node: number): Promise<readonly Event[]> {
    const owner = this.owner(node);
    const events: Event[] = [];
    let after: string | null = null;
    do {
      const page: Response<"audit.list"> = await owner.do("audit.list", {
        query: { limit: "1000", ...(after === null ? {} : { after }) },
      });
      events.push(...page.items);
      after = page.next;
    } while (after !== null);
    return events;
  }

  /** What a node says of the log; `null` when it is intact. */
  async auditFault(node: number): Promise<string | null> {
    const { intact, faults } = await this.owner(node).do("audit.verify");
    return intact ? null : `node ${String(node)}: the log is not intact: ${JSON.stringify(faults.slice(0, 3))}`;
  }

  /** How many writer slots were ever leased. */
  async slots(): Promise<number> {
    const client = await this.server.superuser(this.database.name);
    const { rows } = await client.query<{ slots: number }>("SELECT count(*)::int AS slots FROM nodes");
    await client.end();
    return rows[0]?.slots ?? 0;
  }

  async close(): Promise<void> {
    for (const node of this.#nodes.keys()) await this.kill(node);
    await this.server.remove();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** A workload of `default` in prod that gets one secret, deployed. */
  async workload(name: string): Promise<void> {
    const owner = this.owner(0);
    const params = { namespace: "default", workload: name };
    const secret = { environment: "prod", namespace: "default", secret: "VALUE" };
    await owner.do("secret.write", { params: secret, body: { value: "drill" } });
    await owner.do("workload.create", { params: { namespace: "default" }, body: { name } });
    await owner.do("manifest.save", { params, body: { variables: { VALUE: { secret: "VALUE" } } } });
    await owner.do("deployment.set", { params: { ...params, environment: "prod" }, body: {} });
  }

  async mint(workload: string, count: number): Promise<Minted[]> {
    const minted: Minted[] = [];
    while (minted.length < count) {
      const { items } = await this.owner(0).do("token.mint", {
        params: { namespace: "default", workload },
        body: { environment: "prod", ttlSeconds: 900, count: Math.min(100, count - minted.length) },
      });
      minted.push(...items);
    }
    return minted;
  }

  async #found(nodes: number): Promise<void> {
    const first = join(this.#folder, "node-0");
    await this.launch(0);
    const setUp = new Client(this.url(0), await ownerSetUp(first));
    this.#ownerToken = (await setUp.do("set-up.complete", { body: { password: PASSWORD } })).token;
    for (let node = 1; node < nodes; node += 1) await this.launch(node);
    while ((await this.slots()) < nodes) await pause(50);
  }
}
