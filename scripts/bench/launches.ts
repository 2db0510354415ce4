import { performance } from "node:perf_hooks";
import { Client, PASSWORD, ownerSetUp } from "../../test/harness.ts";

/** Launches of one workload with one secret, one after the other. */
export class Launches {
  readonly #owner: Client;

  private constructor(owner: Client) {
    this.#owner = owner;
  }

  static async prepare(url: string, home: string): Promise<Launches> {
    const setUp = new Client(url, await ownerSetUp(home));
    const owner = setUp.as((await setUp.do("set-up.complete", { body: { password: PASSWORD } })).token);
    const scope = { environment: "dev", namespace: "default", secret: "SERVICE_TOKEN" };
    await owner.do("secret.write", { params: scope, body: { value: "x".repeat(40) } });
    const workload = { namespace: "default", workload: "job" };
    await owner.do("workload.create", { params: { namespace: "default" }, body: { name: "job" } });
    await owner.do("manifest.save", { params: workload, body: { variables: { TOKEN: { secret: "SERVICE_TOKEN" } } } });
    await owner.do("deployment.set", { params: { ...workload, environment: "dev" }, body: {} });
    return new Launches(owner);
  }

  /** One launch from mint to end. @returns how long its exchange took, in ms. */
  async one(): Promise<number> {
    const { items } = await this.#owner.do("token.mint", {
      params: { namespace: "default", workload: "job" },
      body: { environment: "dev", ttlSeconds: 60, count: 1 },
    });
    const launch = this.#owner.as(items[0]?.token ?? "");
    const began = performance.now();
    const { lease } = await launch.do("token.exchange", { query: {} });
    const took = performance.now() - began;
    await launch.as(lease.token).do("lease.end", { body: { exitCode: 0 } });
    return took;
  }
}
