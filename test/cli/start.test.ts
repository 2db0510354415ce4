import { systemClock } from "#base";
import { createIdSource, createRootKeyFile } from "#crypto";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startServer } from "../harness.ts";
import type { Settings } from "#settings";
import { createVault } from "../../src/vault.ts";
import { sallyportArgs, surroundings } from "./harness.ts";
import { Folder } from "./process.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";
import { testUnless } from "../unless.ts";

const Driver = loadDriver();

interface Refused {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `sallyport up` in this process, which ends as soon as it would listen: quicker than one of its own, where it is refused. */
async function upIn(folder: Folder, args: readonly string[], env: Record<string, string> = {}): Promise<Refused> {
  const up = async ({ config }: Settings): Promise<number> => {
    const vault = await createVault(config, "1.2.3", { info: ignore, warn: ignore, error: ignore });
    await vault.close();
    return 0;
  };
  const around = { folder: folder.path, env: surroundings(folder.path, env), up };
  const { code, out, stderr } = await sallyportArgs(["up", ...args], around);
  return { code, stdout: out, stderr };
}
const ignore = (): void => undefined;

/** What a start that failed has to be: its own exit code, the reason on stderr, nothing on stdout, no trace of the program. */
function expectRefusal(ran: Refused, code: number, ...why: readonly string[]): void {
  expect(ran).toMatchObject({ code, stdout: "" });
  for (const part of why) expect(ran.stderr).toContain(part);
  expect(ran.stderr).not.toMatch(/\n\s+at |undefined|\[object/);
}

describe("A vault that was started before refuses to start, with a code for each cause, when", () => {
  let folder: Folder;
  beforeAll(async () => {
    folder = new Folder();
    await stop(await folder.up());
  });
  afterAll(() => folder.remove());

  const file = (...path: string[]) => join(folder.path, ...path);
  const stop = async (server: Awaited<ReturnType<Folder["up"]>>) => {
    server.kill("SIGTERM");
    expect((await server.ended).code).toBe(0);
  };
  const up = (...args: string[]) => upIn(folder, ["--listen", "127.0.0.1:0", ...args]);

  test("21: a key file can be read by others", async () => {
    chmodSync(file("keys", "root.key"), 0o640);
    expectRefusal(await up(), 21, "root.key", "chmod 600");
    chmodSync(file("keys", "root.key"), 0o600);
  });

  test("22: the key is another vault's, as a process that ends", async () => {
    await createRootKeyFile(file("other-keys", "root.key"), createIdSource(systemClock));
    const ran = await folder.run(["up", "--listen", "127.0.0.1:0", "--keys", file("other-keys")]);
    expectRefusal(ran, 22, "root.key", "Put back the key file");
  });

  test("23: the key is missing; no new one is made", async () => {
    expectRefusal(await up("--keys", file("nowhere")), 23, "root.key", "Restore the key file");
    expect(existsSync(file("nowhere", "root.key"))).toBe(false);
  });

  test("25: the database is a text file, which stays as it is", async () => {
    mkdirSync(file("other"), { mode: 0o700 });
    writeFileSync(file("other", "vault.db"), "dear diary\n");
    expectRefusal(await up("--data", file("other")), 25, "not a database");
    expect(readdirSync(file("other")).filter((name) => !name.startsWith("lock"))).toEqual(["vault.db"]);
  });

  test("25: a newer version wrote the database", async () => {
    mkdirSync(file("newer"), { mode: 0o700 });
    copyFileSync(file("data", "vault.db"), file("newer", "vault.db"));
    const db = new Driver(file("newer", "vault.db"));
    db.prepare("INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-later', '2099-01-01')").run();
    db.close();
    expectRefusal(await up("--data", file("newer")), 25, "9999-later");
  });

  test("24: another vault uses the folder, which goes on; 26: the database is put back to an earlier state", async () => {
    copyFileSync(file("data", "vault.db"), file("earlier.db"));
    const server = await folder.up();
    expectRefusal(await up(), 24, file("data"));
    expect(await folder.run(["secret", "set", "X"], { input: "v" })).toMatchObject({ code: 0 });
    await stop(server);

    copyFileSync(file("data", "vault.db"), file("latest.db"));
    copyFileSync(file("earlier.db"), file("data", "vault.db"));
    expectRefusal(await up(), 26, "older than its last checkpoint");
    copyFileSync(file("latest.db"), file("data", "vault.db"));
  });

  test("27: another program has the address", async () => {
    const holder = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => holder.once("listening", resolve));
    const listen = `127.0.0.1:${String((holder.address() as AddressInfo).port)}`;
    expectRefusal(await upIn(folder, ["--listen", listen]), 27, `${listen} is taken by another process`, "--listen");
    await new Promise((resolve) => holder.close(resolve));
  });

  test("28: the data folder cannot be opened", async () => {
    writeFileSync(file("a-file"), "");
    expectRefusal(await up("--data", file("a-file")), 28, file("a-file"), "sallyport doctor");
  });

  testUnless(process.platform === "linux" ? null : "only Linux has /proc")(
    "20, 28: a folder that no system call can make, at once and not never",
    async () => {
      expectRefusal(await up("--data", "/proc/nothing/here"), 28, "/proc/nothing/here");
      const other = new Folder();
      try {
        expectRefusal(
          await upIn(other, ["--listen", "127.0.0.1:0", "--keys", "/proc/nothing/here"]),
          20,
          "--keys",
          "cannot be made",
        );
      } finally {
        await other.remove();
      }
    },
  );

  test("none of these: it starts, and nothing was lost", async () => {
    const server = await folder.up();
    expect(await folder.run(["run", "--", "sh", "-c", "echo $X"])).toMatchObject({ code: 0, stdout: "v\n" });
    await stop(server);
  });
});

describe("In an empty folder `up` refuses with 20", () => {
  let folder: Folder;
  beforeAll(() => void (folder = new Folder()));
  afterAll(() => folder.remove());

  test("settings that are wrong, naming every one as it was said", async () => {
    const ran = await folder.run(["up", "--listen", "nonsense", "--org", "BAD", "--log-level", "loud"], {
      env: { SALLYPORT_TRUSTED_PROXIES: "everybody", SALLYPORT_DRAIN_SECONDS: "-1" },
    });
    expectRefusal(ran, 20, "--listen", "--org", "--log-level", "SALLYPORT_TRUSTED_PROXIES", "SALLYPORT_DRAIN_SECONDS");
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test("plain HTTP beyond this machine, unless it is said to be meant", async () => {
    expectRefusal(await upIn(folder, ["--listen", "0.0.0.0:0"]), 20, "--listen", "plain HTTP");
    const server = await folder.up(["--listen", "0.0.0.0:0", "--insecure-plain-http"]);
    expect(server.url).toContain("0.0.0.0");
  });
});

testUnless(process.geteuid?.() === 0 ? null : "only root can give a folder away")(
  "a data folder of another user is taken, and told of in the log",
  async () => {
    const other = mkdtempSync(join(tmpdir(), "sallyport-others-"));
    for (const [uid, isTold] of [
      [0, false],
      [65_534, true],
    ] as const) {
      mkdirSync(join(other, "data"), { recursive: true, mode: 0o700 });
      chownSync(join(other, "data"), uid, uid);
      const server = await startServer(other);
      await expect.poll(() => server.output()).toContain('"msg":"listening"');
      server.kill("SIGTERM");
      await server.ended;
      expect(server.output().includes('"owner":65534')).toBe(isTold);
    }
    rmSync(other, { recursive: true });
  },
);
