import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DAY, HOUR, systemClock } from "#base";
import { createIdSource, createRootKeyFile } from "#crypto";
import { checksOf, examine } from "#ops";
import type { Checked } from "#ops";
import { readSettings } from "#settings";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { kindOf } from "../../src/ops/files.ts";
import { Authority } from "../certificates.ts";
import type { Wanted } from "../certificates.ts";
import { PROGRAM, cleanEnv, sallyport, startServer, startVault } from "../harness.ts";
import { testUnless } from "../unless.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";

const Driver = loadDriver();
const CHECKS = checksOf("sqlite");

const made: string[] = [];
afterAll(() => {
  for (const folder of made) rmSync(folder, { recursive: true, force: true });
});
const fresh = (under = tmpdir()) => {
  const folder = mkdtempSync(join(under, "sallyport-doctor-"));
  made.push(folder);
  return folder;
};

/** Each check that was seen to find fault, so that none is only ever right. */
const faulted = new Set<string>();

async function doctor(folder: string, settings: Record<string, string> = {}): Promise<(name: string) => Checked> {
  const flags = { listen: "127.0.0.1:0", ...settings };
  const { config } = await readSettings({ flags, env: {}, folder });
  const checked = await examine(config);
  expect(checked.map(({ name }) => name)).toEqual(CHECKS.map(({ name }) => name));
  return (name) => {
    const found = checked.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no check ${name}`);
    if (found.result !== "ok") {
      faulted.add(name);
      expect(found.remedy).toMatch(/\S/);
    }
    return found;
  };
}

/** The files of a vault that has stopped in order. */
async function stopped(): Promise<string> {
  const folder = fresh();
  await (await startVault({ folder })).close();
  return folder;
}

/** Names, sizes, modes and times of all that is in a folder. */
function snapshot(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => {
      const { size, mode, mtimeMs } = statSync(join(folder, name));
      return [name, size, mode, mtimeMs].join(" ");
    });
}

describe("a vault that is well", () => {
  test("has no failed check before its first start, while it runs, and when it has stopped; and nothing is changed", async () => {
    const folder = fresh();
    const look = async () => {
      const before = snapshot(folder);
      const { config } = await readSettings({ flags: { listen: "127.0.0.1:0" }, env: {}, folder });
      const checked = await examine(config);
      expect(checked.filter(({ result }) => result === "failed")).toEqual([]);
      expect(snapshot(folder)).toEqual(before);
      return (name: string) => checked.find((one) => one.name === name)?.what;
    };
    expect((await look())("vault")).toContain("none runs");
    const vault = await startVault({ folder });
    const running = await look();
    expect(running("vault")).toContain("store ok");
    expect(running("key files")).toContain("of this database");
    expect(running("database")).toContain("not checked");
    await vault.close();
    const after = await look();
    expect(after("database")).toContain("whole");
    expect(after("checkpoints")).toContain("nothing happened after it");
  });

  test("is not held up: it commits while it is looked at", async () => {
    const vault = await startVault();
    try {
      const { config } = await readSettings({ flags: { listen: "127.0.0.1:0" }, env: {}, folder: vault.folder });
      const write = (at: number) =>
        vault.owner.do("secret.write", {
          params: { environment: "dev", namespace: "default", secret: `S${String(at)}` },
          body: { value: "v" },
        });
      const all = await Promise.all([
        examine(config),
        ...Array.from({ length: 20 }, (_, at) => write(at)),
        examine(config),
      ]);
      expect(all).toHaveLength(22);
    } finally {
      await vault.close();
    }
  });
});

describe("a fault is found by", () => {
  let folder: string;
  beforeEach(async () => void (folder = await stopped()));
  const data = (...path: string[]) => join(folder, "data", ...path);
  const keys = (...path: string[]) => join(folder, "keys", ...path);

  test("clock: it is behind the last event, or apart from the vault's", async () => {
    const future = { now: () => new Date(Date.now() + HOUR) };
    const vault = await startVault({ folder, overrides: { clock: future } });
    expect((await doctor(folder))("clock")).toMatchObject({ result: "failed" });
    await vault.close();
    const found = (await doctor(folder))("clock");
    expect(found.result).toBe("failed");
    expect(found.what).toMatch(/(60 minutes|59 minutes) behind the last event/);
  });

  test("data folder: it is a file, open to others, or another user's", async () => {
    expect((await doctor(folder, { data: keys("root.key") }))("data folder").result).toBe("failed");
    chmodSync(data(), 0o755);
    expect((await doctor(folder))("data folder")).toMatchObject({ result: "warning", remedy: `chmod go= ${data()}` });
    chmodSync(data(), 0o700);
    chmodSync(data("vault.db"), 0o640);
    expect((await doctor(folder))("data folder").what).toContain("vault.db is open to other users (mode 640)");
    chmodSync(data("vault.db"), 0o600);
    expect((await doctor(folder))("data folder").result).toBe("ok");
    if (process.geteuid?.() !== 0) return;
    chownSync(data(), 12345, 12345);
    expect((await doctor(folder))("data folder").what).toContain("belongs to user 12345");
  });

  test("disk space: there is none", async () => {
    // A file system that has no room, on every Linux.
    expect((await doctor(folder, { data: "/proc/nowhere" }))("disk space").result).toBe("failed");
  });

  test("file system: it is a network's, in memory, or a container's layer", async () => {
    for (const type of [0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x01021997, 0x00c36400, 0x0bd00bd0])
      expect(kindOf(type, "/d"), String(type)).toMatchObject({ result: "failed" });
    for (const type of [0x01021994, 0x858458f6, 0x65735546, 0x794c7630])
      expect(kindOf(type, "/d"), String(type)).toMatchObject({ result: "warning" });
    for (const type of [0xef53, 0x58465342, 0x9123683e, 0x2fc12fc1]) expect(kindOf(type, "/d").result).toBe("ok");
    if (!existsSync("/dev/shm")) return;
    expect((await doctor(folder, { data: fresh("/dev/shm") }))("file system").what).toContain("in memory (tmpfs)");
  });

  test("key files: one is open to others, missing, or of another database", async () => {
    chmodSync(keys("root.key"), 0o644);
    expect((await doctor(folder))("key files").what).toContain("root.key is open to other users");
    chmodSync(keys("root.key"), 0o600);
    expect((await doctor(folder))("key files").result).toBe("ok");
    rmSync(keys("checkpoint.key"));
    expect((await doctor(folder))("key files").what).toContain("checkpoint.key is not there");
    const other = await stopped();
    rmSync(join(other, "keys", "root.key"));
    await createRootKeyFile(join(other, "keys", "root.key"), createIdSource(systemClock));
    expect((await doctor(other))("key files").what).toContain("is not the key of this database");
  });

  test("checkpoint file: it lies beside the data, is a folder, or cannot be made", async () => {
    expect((await doctor(folder))("checkpoint file").result).toBe("warning");
    mkdirSync(join(folder, "c"));
    expect((await doctor(folder, { checkpoints: join(folder, "c") }))("checkpoint file").result).toBe("failed");
    expect((await doctor(folder, { checkpoints: "/proc/c.log" }))("checkpoint file").result).toMatch(/warning|failed/);
    const elsewhere = existsSync("/dev/shm") ? fresh("/dev/shm") : null;
    if (elsewhere === null || statSync(elsewhere).dev === statSync(folder).dev) return;
    writeFileSync(join(elsewhere, "c.log"), "");
    expect((await doctor(folder, { checkpoints: join(elsewhere, "c.log") }))("checkpoint file").result).toBe("ok");
  });

  const mountable =
    spawnSync("unshare", ["--mount", "true"]).status === 0 ? null : "nothing can be mounted here (it takes root)";
  testUnless(mountable)(
    "data folder and checkpoint file: the file system is read-only, which no chmod mends",
    async () => {
      const disk = fresh(tmpdir());
      const mount = (...args: string[]) => spawnSync("mount", [...args, disk]).status;
      expect(mount("-t", "tmpfs", "-o", "size=8M", "none")).toBe(0);
      try {
        await (await startVault({ folder: disk })).close();
        expect(mount("-o", "remount,ro")).toBe(0);
        const found = await doctor(disk);
        for (const name of ["data folder", "checkpoint file"])
          expect(found(name)).toMatchObject({
            result: "failed",
            what: expect.stringContaining("read-only file system") as string,
            remedy: expect.not.stringContaining("chmod") as string,
          });
      } finally {
        spawnSync("umount", [disk]);
      }
    },
  );

  test("checkpoint file: it is gone, and the database has checkpoints", async () => {
    await (await startVault({ folder })).close();
    expect((await doctor(folder))("checkpoint file").what).toContain("on the data's own disk");
    rmSync(data("checkpoints.log"));
    const found = (await doctor(folder))("checkpoint file");
    expect(found).toMatchObject({ result: "warning" });
    expect(found.what).toContain("is not there, and the database has checkpoints");
  });

  test("checkpoints: events are covered by none; and while it runs, for longer than a vault takes to sign", async () => {
    const vault = await startVault({ folder });
    const db = new Driver(data("vault.db"));
    db.exec(`UPDATE audit_events SET time = time - ${String(HOUR)}`);
    db.exec("DELETE FROM audit_checkpoints");
    expect((await doctor(folder))("checkpoints").result).toBe("failed");
    await vault.close();
    db.exec("DELETE FROM audit_checkpoints");
    db.close();
    expect((await doctor(folder))("checkpoints")).toMatchObject({ result: "warning" });
  });

  test("database: it is another file, is damaged, or was not closed", async () => {
    copyFileSync(data("vault.db"), data("kept"));
    const page = statSync(data("vault.db")).size / 4096;
    expect(page).toBeGreaterThan(20);
    truncateSync(data("vault.db"), 4096 * Math.floor(page / 2));
    expect((await doctor(folder))("database").result).toBe("failed");
    writeFileSync(data("vault.db"), "dear diary".repeat(1000));
    expect((await doctor(folder))("database")).toMatchObject({ result: "failed" });
    copyFileSync(data("kept"), data("vault.db"));
    expect((await doctor(folder))("database").result).toBe("ok");
    writeFileSync(data("vault.db-wal"), "x");
    expect((await doctor(folder))("database").what).toContain("not closed cleanly");
  });

  test("certificate: it has ended, ends soon, its key is another's, or it is not there", async () => {
    const authority = new Authority("an authority");
    const lay = (wanted: Wanted) => {
      const { certificate, key } = authority.issue("vault", wanted);
      writeFileSync(join(folder, "c.crt"), certificate);
      writeFileSync(keys("c.key"), key, { mode: 0o600 });
    };
    const tls = { tlsCertificate: join(folder, "c.crt"), tlsKey: keys("c.key") };
    const look = async () => (await doctor(folder, tls))("certificate");
    const day = (days: number) => new Date(Date.now() + days * DAY);
    lay({ from: day(-1), to: day(60) });
    expect(await look()).toMatchObject({ result: "ok", what: "it ends in 60 days, and its key fits" });
    lay({ from: day(-1), to: day(5) });
    expect((await look()).result).toBe("warning");
    lay({ from: day(-9), to: day(-4) });
    expect(await look()).toMatchObject({ result: "failed", what: "it has ended 4 days ago" });
    lay({ from: day(2), to: day(9) });
    expect((await look()).what).toContain("valid only from");
    const { key } = authority.issue("other", {});
    writeFileSync(keys("c.key"), key, { mode: 0o600 });
    expect((await look()).what).toContain("is not the key of");
    chmodSync(keys("c.key"), 0o644);
    expect((await look()).what).toContain("open to other users");
    rmSync(join(folder, "c.crt"));
    expect((await look()).what).toContain("is not there");
    expect((await doctor(folder))("certificate").what).toContain("plain HTTP");
  });

  test("memory: less than the vault is told to use", async () => {
    expect((await doctor(folder, { maxMemoryMb: "999999" }))("memory").result).toBe("failed");
  });

  test("address: another program has it, it is none of this machine, or the vault listens elsewhere", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => holder.once("listening", resolve));
    const listen = `127.0.0.1:${String((holder.address() as AddressInfo).port)}`;
    expect((await doctor(folder, { listen }))("address").what).toContain("taken by another program");
    await new Promise((resolve) => holder.close(resolve));
    const away = { listen: "203.0.113.7:7433", insecurePlainHttp: "true" };
    expect((await doctor(folder, away))("address").what).toContain("no address of this machine");
    const vault = await startVault({ folder });
    expect((await doctor(folder, { listen }))("address").result).toBe("warning");
    await vault.close();
  });

  test("vault: it runs and is not ready", async () => {
    const body = JSON.stringify({ status: "unavailable", checks: { store: "not writable: disk full" } });
    const server = createHttpServer((_, response) => response.writeHead(503).end(body)).listen(data("sallyport.sock"));
    await new Promise((resolve) => server.once("listening", resolve));
    const found = (await doctor(folder))("vault");
    expect(found).toMatchObject({ result: "failed" });
    expect(found.what).toContain("store not writable: disk full");
    await new Promise((resolve) => server.close(resolve));
  });
});

describe("`sallyport doctor`", () => {
  test("ends with 0 where nothing failed, 1 where something did, and 20 where a setting is wrong", async () => {
    const folder = fresh();
    const well = await sallyport(["doctor", "--listen", "127.0.0.1:0"], { cwd: folder });
    expect(well).toMatchObject({ code: 0 });
    expect(well.stdout.split("\n")).toHaveLength(CHECKS.length + 2);
    expect(readdirSync(folder)).toEqual([]);

    const server = await startServer(folder);
    const running = await sallyport(["doctor", "--listen", "127.0.0.1:0", "--json"], { cwd: folder });
    expect(running.code).toBe(0);
    expect(JSON.parse(running.stdout)).toMatchObject({ healthy: true });
    server.kill("SIGKILL");
    await server.ended;
    const killed = await sallyport(["doctor", "--listen", "127.0.0.1:0"], { cwd: folder });
    expect([killed.code, killed.stdout]).toEqual([0, expect.stringContaining("not closed cleanly")]);

    chmodSync(join(folder, "keys", "root.key"), 0o644);
    const bad = await sallyport(["doctor", "--listen", "127.0.0.1:0", "--json"], { cwd: folder });
    expect(bad.code).toBe(1);
    expect(
      (JSON.parse(bad.stdout) as { checks: Checked[] }).checks.find(({ name }) => name === "key files")?.result,
    ).toBe("failed");
    expect((await sallyport(["doctor", "--listen", "nonsense"], { cwd: folder })).code).toBe(20);
  });

  test("finds too few descriptors", async () => {
    const folder = fresh();
    const ran = await new Promise<{ code: number | null; out: string }>((resolve) => {
      const command = `ulimit -n 512; exec "${process.execPath}" "${PROGRAM}" doctor --listen 127.0.0.1:0`;
      const child = spawn("sh", ["-c", command], { cwd: folder, env: cleanEnv(), stdio: ["ignore", "pipe", "ignore"] });
      let out = "";
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
      child.on("close", (code) => resolve({ code, out }));
    });
    expect(ran.code).toBe(1);
    expect(ran.out).toMatch(/failed\s+descriptors\s+512 may be open/);
    faulted.add("descriptors");
  });
});

test("every check was seen to find fault, but that of Node, which needs another one", () => {
  const never = CHECKS.map(({ name }) => name).filter((name) => !faulted.has(name));
  expect(never.filter((name) => name !== "node")).toEqual([]);
});
