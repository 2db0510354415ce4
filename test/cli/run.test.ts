import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeVault, problem } from "./fake-vault.ts";
import { fakeToken } from "./harness.ts";

let vault: FakeVault;
let folder: string;
let env: Record<string, string>;

const LEASE = fakeToken("lease");
const TOKEN = fakeToken("inj");
const soon = (ms = 3_600_000) => new Date(Date.now() + ms).toISOString();
const delivery = (variables: Record<string, string>, base64: Record<string, string> = {}) => ({
  body: {
    injectionId: "inj_1",
    workload: "default/default",
    environment: "dev",
    manifestVersion: 1,
    variables: {
      ...Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, { value, encoding: "utf8" }])),
      ...Object.fromEntries(Object.entries(base64).map(([name, value]) => [name, { value, encoding: "base64" }])),
    },
    lease: { token: LEASE, expiresAt: soon() },
  },
});
const minted = (bound: boolean) => ({
  status: 201,
  body: {
    items: [{ token: TOKEN, injectionId: "inj_1" }],
    environment: "dev",
    workload: "default/default",
    manifestVersion: 1,
    bound,
    expiresAt: soon(),
  },
});
const lease = { id: "lea_1", state: "ended", createdAt: soon(0), expiresAt: soon(), endedAt: null, exitCode: null };
const MINT = "POST /v1/namespaces/default/workloads/default/tokens";

beforeEach(async () => {
  vault = new FakeVault()
    .on(MINT, minted(false))
    .on("POST /v1/exchange", delivery({ DB_URL: "postgres://x", SHARED: "vault" }))
    .on("POST /v1/leases/self/end", { body: lease })
    .on("POST /v1/leases/self/renew", { body: lease });
  folder = mkdtempSync(join(tmpdir(), "sallyport-run-"));
  env = { PATH: process.env.PATH ?? "", HOME: folder, SALLYPORT_ADDRESS: await vault.listen() };
});
afterEach(async () => {
  await vault.close();
  rmSync(folder, { recursive: true });
});

interface Launched {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; out: string; err: string }>;
}

function launch(
  argv: readonly string[],
  more: Record<string, string> = { SALLYPORT_TOKEN: fakeToken("svc") },
): Launched {
  const entry = join(import.meta.dirname, "entry.ts");
  const child = spawn(process.execPath, ["--conditions=source", "--import", "tsx", entry, "run", ...argv], {
    env: { ...env, ...more },
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (part: Buffer) => (out += part.toString()));
  child.stderr.on("data", (part: Buffer) => (err += part.toString()));
  return { child, ended: new Promise((resolve) => child.on("close", (code) => resolve({ code, out, err }))) };
}
const run = (argv: readonly string[], more?: Record<string, string>) => launch(argv, more).ended;
const node = (code: string, ...args: string[]) => ["--", process.execPath, "-e", code, ...args];
const asked = (path: string) => vault.seen.filter((seen) => seen.path === path);

describe("sallyport run", () => {
  test("gives the child its variables, which win, and no credential of the vault", async () => {
    const { code, out, err } = await run(node("console.log(JSON.stringify(process.env))"), {
      SALLYPORT_TOKEN: fakeToken("svc"),
      OTHER: "kept",
      SHARED: "own",
      MY_TOKEN: fakeToken("svc"),
      AUTH: `Bearer ${fakeToken("lease")}`,
    });
    expect(code).toBe(0);
    const child = JSON.parse(out);
    expect(child).toMatchObject({ DB_URL: "postgres://x", SHARED: "vault", OTHER: "kept" });
    expect(Object.keys(child).filter((name) => name.startsWith("SALLYPORT_"))).toEqual([]);
    expect(child).not.toHaveProperty("MY_TOKEN");
    expect(child).not.toHaveProperty("AUTH");
    expect(err).toContain("warning");
    expect(err).not.toContain("sp_");
  });

  test("passes its arguments untouched, without a shell", async () => {
    const args = ["--env", "x", "--", "$HOME", "a b", "", "'\"", "*", "--json", "--help"];
    const { out } = await run(node("console.log(JSON.stringify(process.argv.slice(1)))", "--", ...args));
    expect(JSON.parse(out)).toEqual(args);
  });

  test("mints and exchanges as who is calling, with 128 bits of Idempotency-Key, and ends the lease with the exit code", async () => {
    expect((await run(node("process.exit(7)"))).code).toBe(7);
    expect(asked(MINT.slice(5))[0]?.headers.authorization).toBe(`Bearer ${fakeToken("svc")}`);
    expect(asked("/v1/exchange")[0]?.headers.authorization).toBe(`Bearer ${TOKEN}`);
    expect(asked("/v1/exchange")[0]?.headers["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
    expect(asked("/v1/leases/self/end")[0]?.body).toEqual({ exitCode: 7 });
    expect(asked("/v1/leases/self/end")[0]?.headers.authorization).toBe(`Bearer ${LEASE}`);
  });

  test("with an injection token it only exchanges, without a warning", async () => {
    const { code, err } = await run(["--", "true"], { SALLYPORT_TOKEN: TOKEN });
    expect([code, err]).toEqual([0, ""]);
    expect(asked(MINT.slice(5))).toEqual([]);
  });

  test("repeats an exchange whose answer was lost, once, with the same key", async () => {
    let times = 0;
    vault.on("POST /v1/exchange", () => (++times === 1 ? "hang up" : delivery({})));
    expect((await run(["--", "true"])).code).toBe(0);
    const keys = asked("/v1/exchange").map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
  });

  test("a lease that cannot be ended changes nothing", async () => {
    vault.on("POST /v1/leases/self/end", "hang up");
    expect((await run(node("process.exit(3)"))).code).toBe(3);
  });

  test.each<[string, string[], number]>([
    ["a command that does not exist", ["--", "no-such-command-here"], 127],
    ["a file that cannot be executed", ["--", "/etc/passwd"], 126],
    ["a folder", ["--", "/tmp"], 126],
  ])("%s ends with its code", async (_, argv, code) => {
    expect((await run(argv)).code).toBe(code);
    expect(asked("/v1/leases/self/end")[0]?.body).toEqual({ exitCode: code });
  });

  test("ends with 128+N when a signal ended the child", async () => {
    expect((await run(node("process.kill(process.pid, 'SIGKILL')"))).code).toBe(137);
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"] as const)(
    "passes %s on, once",
    async (signal) => {
      const { child, ended } = launch(
        node(
          `let n = 0; process.on("${signal}", () => { n += 1; setTimeout(() => process.exit(40 + n), 200); }); console.log("ready"); setInterval(() => {}, 1000);`,
        ),
      );
      child.stdout?.once("data", () => child.kill(signal));
      expect((await ended).code).toBe(41);
    },
  );
});

describe("sallyport run starts nothing, and ends with 125, when", () => {
  const marker = () => join(folder, "started");
  const touch = () => node(`require("fs").writeFileSync(${JSON.stringify(marker())}, "")`);
  const expectNothing = async (argv: readonly string[], more?: Record<string, string>) => {
    const ended = await run(argv, more);
    expect(ended.code).toBe(125);
    expect(() => writeFileSync(marker(), "", { flag: "wx" })).not.toThrow();
    return ended;
  };

  test("the vault refuses", async () => {
    vault.on(
      "POST /v1/exchange",
      problem("launch_refused", 422, { variables: [{ variable: "DB_URL", reason: "no such secret" }] }),
    );
    expect((await expectNothing(touch())).err).toContain("DB_URL: no such secret");
  });

  test("the vault is away", async () => {
    await expectNothing(touch(), { SALLYPORT_TOKEN: fakeToken("svc"), SALLYPORT_ADDRESS: "http://127.0.0.1:1" });
  });

  test("nobody is signed in", async () => {
    await expectNothing(touch(), {});
  });

  test("a value cannot stand in an environment; it is named, not shown, and the lease is ended", async () => {
    vault.on("POST /v1/exchange", delivery({ A: "a\0b" }, { B: "/////w==" }));
    const { err } = await expectNothing(touch());
    expect(err).toMatch(/ {2}A: .*\n {2}B: /);
    expect(asked("/v1/leases/self/end")[0]?.body).toEqual({ exitCode: 125 });
  });

  test("the token is bound and no runner's credential is there; the token is revoked", async () => {
    vault.on(MINT, minted(true)).on("POST /v1/injections/inj_1/revoke", { body: {} });
    expect((await expectNothing(touch())).err).toContain("--runner-file");
    expect(asked("/v1/injections/inj_1/revoke")).toHaveLength(1);
    expect(asked("/v1/exchange")).toEqual([]);
  });

  test("an injection token and a workload are both given", async () => {
    await expectNothing(["--workload", "etl", ...touch()], { SALLYPORT_TOKEN: TOKEN });
    expect(vault.seen).toEqual([]);
  });
});
