import { chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isVaultError } from "#base";
import { Supervisor, inheritedSockets } from "#supervisor";
import { send } from "../harness.ts";
import { Systemd, missing } from "./systemd.ts";
import { describeUnless } from "../unless.ts";

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "sallyport-supervisor-"))));
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function faultOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (isVaultError(error, "config_invalid")) return (error.detail.faults ?? []).map(({ field }) => field).join();
    throw error;
  }
  return "none";
}

describe("Sockets that are handed over", () => {
  test("are those of this process only, and no child hears of them", () => {
    const env = { LISTEN_PID: "1", LISTEN_FDS: "1", LISTEN_FDNAMES: "x", PATH: "/bin" };
    expect(inheritedSockets(env, 2)).toEqual([]);
    expect(env).toEqual({ PATH: "/bin" });
    expect(inheritedSockets({}, 2)).toEqual([]);
    expect(inheritedSockets({ LISTEN_PID: "2", LISTEN_FDS: "0" }, 2)).toEqual([]);
  });

  test.each(["x", "-1", "65", "1e1", "", "99999"])("are refused where their number is “%s”", (count) => {
    expect(faultOf(() => inheritedSockets({ LISTEN_PID: "2", LISTEN_FDS: count }, 2))).toBe("LISTEN_FDS");
  });

  test("are refused where a descriptor is another thing", () => {
    const files = Array.from({ length: 64 }, () => openSync("/dev/null", "r"));
    expect(faultOf(() => inheritedSockets({ LISTEN_PID: "2", LISTEN_FDS: "64" }, 2))).toBe("LISTEN_FDS");
    for (const file of files) closeSync(file);
  });
});

describe("What the supervisor is told", () => {
  /** Writes down what it was called with, and its whole environment. */
  function tool(): { path: string; calls: () => string[]; environment: () => string } {
    const path = join(folder, "notify");
    writeFileSync(path, `#!/bin/sh\necho "$*" >> ${folder}/calls\nenv > ${folder}/env\n`);
    chmodSync(path, 0o755);
    const read = (name: string) => {
      try {
        return readFileSync(join(folder, name), "utf8");
      } catch {
        return "";
      }
    };
    return { path, calls: () => read("calls").split("\n").slice(0, -1), environment: () => read("env") };
  }

  test("is nothing where there is none: no process is started", async () => {
    const { path, calls } = tool();
    const supervisor = Supervisor.find({ WATCHDOG_USEC: "1000" }, 1, log, [path]);
    await supervisor.tell("READY=1", "serving");
    supervisor.watch(async () => true);
    supervisor.close();
    expect(calls()).toEqual([]);
  });

  test("goes out in its order, with nothing of the vault's environment", async () => {
    const { path, calls, environment } = tool();
    const env = { NOTIFY_SOCKET: "/nowhere", WATCHDOG_USEC: "5000", SALLYPORT_TOKEN: "canary", PATH: "/evil" };
    const supervisor = Supervisor.find(env, 1, log, ["/nowhere/first", path]);
    expect(env).toEqual({ SALLYPORT_TOKEN: "canary", PATH: "/evil" });
    void supervisor.tell("READY=1", "Serving; $(touch x) `y`");
    void supervisor.tell("RELOADING=1");
    await supervisor.tell("STOPPING=1");
    expect(calls()).toEqual([
      "READY=1 STATUS=Serving; $(touch x) `y`",
      expect.stringMatching(/^RELOADING=1 MONOTONIC_USEC=\d+$/),
      "STOPPING=1",
    ]);
    expect(environment()).toContain("NOTIFY_SOCKET=/nowhere");
    expect(environment()).not.toMatch(/SALLYPORT|WATCHDOG|evil/);
  });

  test("cannot be told where the program for it is missing: the start says so", () => {
    expect(faultOf(() => Supervisor.find({ NOTIFY_SOCKET: "/x" }, 1, log, ["/nowhere"]))).toBe("NOTIFY_SOCKET");
  });

  test("that it is alive it is told while that is true: not when it is sick, and not when nothing is known", async () => {
    const { path, calls } = tool();
    let health: () => Promise<boolean> = async () => true;
    const supervisor = Supervisor.find({ NOTIFY_SOCKET: "/x", WATCHDOG_USEC: "100000", WATCHDOG_PID: "1" }, 1, log, [
      path,
    ]);
    const alive = () => calls().filter((line) => line.startsWith("WATCHDOG=1")).length;
    supervisor.watch(() => health());
    await expect.poll(alive, { timeout: 60_000 }).toBeGreaterThan(2);
    const sick: (() => Promise<boolean>)[] = [
      async () => false,
      () => Promise.reject(new Error("no")),
      () => new Promise<boolean>(() => undefined),
    ];
    for (const state of sick) {
      const said = () => calls().filter((line) => line.startsWith("STATUS=")).length;
      const before = said();
      health = state;
      await expect.poll(said, { timeout: 60_000 }).toBeGreaterThan(before);
      const silent = alive();
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(alive()).toBe(silent);
      health = async () => true;
      await expect.poll(alive, { timeout: 60_000 }).toBeGreaterThan(silent);
    }
    supervisor.close();
  });

  test("another process's watchdog is not ours", async () => {
    const { path, calls } = tool();
    const env = { NOTIFY_SOCKET: "/x", WATCHDOG_USEC: "20000", WATCHDOG_PID: "2" };
    const supervisor = Supervisor.find(env, 1, log, [path]);
    supervisor.watch(async () => true);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(calls()).toEqual([]);
  });
});

describeUnless(missing())("A real server under a service manager", () => {
  test("says when it is ready, alive, reloading and stopping", { timeout: 120_000 }, async () => {
    const systemd = new Systemd({ sockets: 0, watchdogUsec: 400_000 });
    try {
      await systemd.start();
      expect(systemd.told.slice(0, 2)).toEqual(["READY=1", expect.stringMatching(/^STATUS=Serving http:\/\/127/)]);
      await systemd.heard("WATCHDOG=1", 3);
      systemd.signal("SIGHUP");
      await systemd.heard("RELOADING=1");
      await systemd.heard("READY=1", 2);
      expect(systemd.output).toContain("nothing to reload");
      expect(await systemd.stop()).toBe(0);
      expect(systemd.told).toContain("STOPPING=1");
    } finally {
      await systemd.close();
    }
  });

  test("listens on every socket that it is given, and on no other", { timeout: 120_000 }, async () => {
    const systemd = new Systemd({ sockets: 2 });
    try {
      await systemd.start();
      for (const at of [0, 1]) {
        expect((await send(systemd.url(at), { method: "GET", path: "/readyz" })).status).toBe(200);
        expect(systemd.output).toContain(systemd.url(at));
      }
      expect(new Set(systemd.output.match(/http:\/\/[0-9.]+:\d+/g))).toEqual(new Set([systemd.url(0), systemd.url(1)]));
      expect(await systemd.stop()).toBe(0);
    } finally {
      await systemd.close();
    }
  });
});
