import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, PASSWORD, ownerSetUp, startServer } from "../../test/harness.ts";
import type { Ran, ServerProcess } from "../../test/harness.ts";
import { pause } from "./drill.ts";

/** Where a drill takes place: a real server process on a folder of its own, with its owner signed in. */
export class Ground {
  readonly folder: string;
  readonly #env: Readonly<Record<string, string>>;
  #server: ServerProcess;
  #ownerToken = "";
  #printed = "";

  private constructor(folder: string, env: Readonly<Record<string, string>>, server: ServerProcess) {
    this.folder = folder;
    this.#env = env;
    this.#server = server;
  }

  /** In a new folder of `parent`; the server's environment takes `env` as well, at every start. */
  static async start({
    parent = tmpdir(),
    env = {},
  }: { parent?: string; env?: Record<string, string> } = {}): Promise<Ground> {
    const folder = await mkdtemp(join(parent, "sallyport-drill-"));
    try {
      const ground = new Ground(folder, env, await startServer(folder, { env }));
      const setUp = ground.client(await ownerSetUp(folder));
      // On a machine that is busy, or with little memory, it may say so once or twice.
      let answer = await setUp.try("set-up.complete", { body: { password: PASSWORD } });
      for (let tries = 0; answer.status === 503 && tries < 100; tries += 1) {
        await pause(200);
        answer = await setUp.try("set-up.complete", { body: { password: PASSWORD } });
      }
      if (answer.status !== 200) throw new Error(`the owner could not be set up: ${answer.text}`);
      ground.#ownerToken = answer.body.token;
      return ground;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get url(): string {
    return this.#server.url;
  }

  get pid(): number {
    return this.#server.pid;
  }

  /** When the present server is over, however it ends. */
  get ended(): Promise<Ran> {
    return this.#server.ended;
  }

  get owner(): Client {
    return this.client(this.#ownerToken);
  }

  get ownerToken(): string {
    return this.#ownerToken;
  }

  /** Everything its servers printed, the present one's as well. */
  get printed(): string {
    return this.#printed + this.#server.output();
  }

  client(token: string | null): Client {
    return new Client(this.#server.url, token);
  }

  /** Sends the signal and waits for the end. */
  async stop(signal: NodeJS.Signals): Promise<Ran> {
    this.#server.kill(signal);
    return this.#server.ended;
  }

  /** The same folder again. Throws what the server says when it does not start. */
  async again(): Promise<void> {
    this.#printed += this.#server.output();
    this.#server = await startServer(this.folder, { env: { ...this.#env } });
  }

  async close(): Promise<void> {
    await this.stop("SIGKILL");
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A workload of `default` in prod with one secret, deployed. */
  async workload(name: string, secret: string): Promise<void> {
    const params = { namespace: "default", workload: name };
    await this.owner.do("workload.create", { params: { namespace: "default" }, body: { name } });
    await this.owner.do("manifest.save", { params, body: { variables: { VALUE: { secret } } } });
    await this.owner.do("deployment.set", { params: { ...params, environment: "prod" }, body: {} });
  }

  async write(secret: string, value: string): Promise<void> {
    const params = { environment: "prod", namespace: "default", secret };
    await this.owner.do("secret.write", { params, body: { value } });
  }

  async mint(workload: string, count: number): Promise<string[]> {
    const minted = await this.owner.do("token.mint", {
      params: { namespace: "default", workload },
      body: { environment: "prod", ttlSeconds: 900, count },
    });
    return minted.items.map((item) => item.token);
  }

  /** What the audit log says of itself; `null` when it is intact. */
  async auditFault(): Promise<string | null> {
    const { intact, faults } = await this.owner.do("audit.verify");
    return intact ? null : `the audit log is not intact: ${JSON.stringify(faults.slice(0, 3))}`;
  }
}
