import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ownerSetUp, startServer } from "../harness.ts";
import { Load } from "./load.ts";
import { Systemd, missing } from "./systemd.ts";

/** 20 where there is time: `RESTARTS=20 npx vitest …`. */
const RESTARTS = Number(process.env.RESTARTS ?? 3);
const WORKERS = 8;
const TIMEOUT = { timeout: 400_000 };
const lacking = missing();
if (lacking !== null) console.warn(`NOT TESTED: restarts with a socket that stays open, because ${lacking}`);

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
        await pause(100 + Math.random() * 200);
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

test.skipIf(lacking !== null)(
  "With a socket that stays open, a client that never tries again loses nothing over restarts",
  TIMEOUT,
  async () => {
    const systemd = new Systemd({ sockets: 1 });
    try {
      await systemd.start();
      const setUp = await ownerSetUp(systemd.folder);
      const load = await Load.start(systemd.url(), setUp, { workers: WORKERS, retrying: false });
      for (let round = 0; round < RESTARTS; round += 1) {
        await pause(100 + Math.random() * 200);
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
);
