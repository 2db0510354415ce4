import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ownerSetUp, startServer } from "../harness.ts";
import { Load } from "./load.ts";
import { Systemd, missing } from "./systemd.ts";
import { testUnless } from "../unless.ts";

/** More where there is time: `RESTARTS=100 npx vitest …`. */
const RESTARTS = Number(process.env.RESTARTS ?? 20);
/** Half of them keep their connections. More would mostly take the processor from the process that starts. */
const WORKERS = 4;
/** Side by side: most of a restart is waiting. */
const TIMEOUT = { timeout: 600_000, concurrent: true };

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test(
  "A vault that restarts under load loses nothing for clients that try again, and grants nothing twice",
  TIMEOUT,
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "sallyport-restart-"));
    let server = await startServer(folder);
    const listen = new URL(server.url).host;
    try {
      const load = await Load.start(server.url, await ownerSetUp(folder), { workers: WORKERS, retrying: true });
      for (let round = 0; round < RESTARTS; round += 1) {
        await pause(50 + Math.random() * 150);
        server.kill("SIGTERM");
        expect((await server.ended).code).toBe(0);
        server = await startServer(folder, { args: ["--listen", listen] });
      }
      await load.stop();
      const { requests, retries, acknowledged } = load;
      console.info(`restarts with retries: ${JSON.stringify({ RESTARTS, requests, retries, ...acknowledged })}`);
      expect(load.failures).toEqual([]);
      expect(await load.faults()).toEqual([]);
      expect(acknowledged.exchanges).toBeGreaterThan(RESTARTS);
      expect(retries).toBeGreaterThan(0);
    } finally {
      server.kill("SIGKILL");
      await server.ended;
      await rm(folder, { recursive: true, force: true });
    }
  },
);

testUnless(missing())(
  "With a socket that stays open, a client that never tries again loses nothing over restarts",
  async () => {
    const systemd = new Systemd({ sockets: 1 });
    try {
      await systemd.start();
      const setUp = await ownerSetUp(systemd.folder);
      const load = await Load.start(systemd.url(), setUp, { workers: WORKERS, retrying: false });
      for (let round = 0; round < RESTARTS; round += 1) {
        await pause(50 + Math.random() * 150);
        expect(await systemd.stop()).toBe(0);
        await systemd.start();
      }
      await load.stop();
      const { requests, acknowledged } = load;
      console.info(`restarts without retries: ${JSON.stringify({ RESTARTS, requests, ...acknowledged })}`);
      expect(load.failures).toEqual([]);
      expect(await load.faults()).toEqual([]);
      expect(acknowledged.exchanges).toBeGreaterThan(RESTARTS);
    } finally {
      await systemd.close();
    }
  },
  TIMEOUT,
);
