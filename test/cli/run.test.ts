import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Client as CliClient, connect, loadLaunching } from "#client";
import { PROGRAM } from "../harness.ts";
import { DEV, END, EXCHANGE, MINT, setUpBuildHost } from "./build-host.ts";
import { fakeToken } from "./harness.ts";
import { script } from "./process.ts";

// What one person alone sees of `run` stands in person-alone.test.ts: here are tokens, runners, and a line that breaks.

const host = setUpBuildHost({ DB_URL: "postgres://x", SHARED: "vault" });

const token = () => ({ SALLYPORT_TOKEN: host.ci.token ?? "" });
const run = (argv: readonly string[], env: Record<string, string> = token()) =>
  host.folder.run(["run", ...argv], { env: { SALLYPORT_ADDRESS: host.tap.url, SALLYPORT_NO_WARN: "0", ...env } });
const mint = async (params = { namespace: "default", workload: "default" }, environment = "dev") =>
  (await host.ci.do("token.mint", { params, body: { environment } })).items[0] ?? { token: "", injectionId: "" };

/** A workload of its own, with these secrets, in dev. */
async function workload(name: string, secrets: Record<string, Buffer>): Promise<void> {
  const params = { namespace: "default", workload: name };
  await host.vault.owner.do("workload.create", { params: { namespace: "default" }, body: { name } });
  for (const [secret, value] of Object.entries(secrets))
    await host.vault.owner.do("secret.write", {
      params: { ...DEV, namespace: "default", secret },
      body: { value: value.toString("base64"), encoding: "base64" },
    });
  const variables = Object.fromEntries(Object.keys(secrets).map((secret) => [secret, { secret }]));
  await host.vault.owner.do("manifest.save", { params, body: { variables } });
  await host.vault.owner.do("deployment.set", { params: { ...params, environment: "dev" }, body: {} });
}

describe("sallyport run", () => {
  test("gives the child its variables, which win, and no credential of the vault", async () => {
    const { code, stdout, stderr } = await run(["--", ...script("console.log(JSON.stringify(process.env))")], {
      ...token(),
      OTHER: "kept",
      SHARED: "own",
      MY_TOKEN: fakeToken("svc"),
      AUTH: `Bearer ${fakeToken("lease")}`,
    });
    expect(code).toBe(0);
    const child = JSON.parse(stdout) as Record<string, string>;
    expect(child).toMatchObject({ DB_URL: "postgres://x", SHARED: "vault", OTHER: "kept" });
    expect(Object.keys(child).filter((name) => name.startsWith("SALLYPORT_"))).toEqual([]);
    expect(child).not.toHaveProperty("MY_TOKEN");
    expect(child).not.toHaveProperty("AUTH");
    expect(stderr).toContain("warning");
    expect(stderr).not.toContain("sp_");
  });

  test("mints and exchanges as who is calling, with 128 bits of Idempotency-Key, and ends the lease with the exit code", async () => {
    expect((await run(["--", ...script("process.exit(7)")])).code).toBe(7);
    expect(host.tap.seen.map(({ asked, status }) => [asked, status])).toEqual([
      [MINT, 201],
      [EXCHANGE, 200],
      [END, 200],
    ]);
    const [minted, exchanged, ended] = host.tap.seen;
    expect(minted?.headers.authorization).toBe(`Bearer ${host.ci.token ?? ""}`);
    expect(exchanged?.headers.authorization).toMatch(/^Bearer sp_inj_/);
    expect(exchanged?.headers["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
    expect(ended?.headers.authorization).toMatch(/^Bearer sp_lease_/);
    expect(ended?.body).toEqual({ exitCode: 7 });
  });

  test("with an injection token it only exchanges, without a warning (R70)", async () => {
    const { code, stderr } = await run(["--", "true"], { SALLYPORT_TOKEN: (await mint()).token });
    expect([code, stderr]).toEqual([0, ""]);
    expect(host.tap.asked(MINT)).toEqual([]);
  });

  test("repeats an exchange whose answer was lost, once, with the same key; the record tells", async () => {
    const { token: one, injectionId } = await mint();
    host.tap.cut(EXCHANGE);
    const ran = await run(["--", "sh", "-c", "echo $DB_URL"], { SALLYPORT_TOKEN: one });
    expect(ran).toMatchObject({ code: 0, stdout: "postgres://x\n" });
    const keys = host.tap.asked(EXCHANGE).map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(2);
    expect(keys[0]).toBe(keys[1]);
    const { items } = await host.vault.owner.do("audit.list", { query: { target: injectionId } });
    expect(items.map(({ action }) => action)).toContain("exchange.repeated");
  });

  test("a lease that cannot be ended changes nothing", async () => {
    host.tap.cut(END);
    expect((await run(["--", ...script("process.exit(3)")])).code).toBe(3);
  });

  test("launches with a bound token and its runner's file, for who may not take delivery (R72)", async () => {
    await host.vault.owner.do("grant.create", { body: { principal: "builds", role: "operator", environment: "prod" } });
    const runner = await host.vault.service("runner-1", "runner");
    await host.vault.owner.do("grant.create", {
      body: { principal: "runner-1", role: "runner", environment: "prod", namespace: "default", workload: "default" },
    });
    await host.vault.owner.do("deployment.set", {
      params: { namespace: "default", workload: "default", environment: "prod" },
      body: {},
    });
    const refused = await run(["--env", "prod", "--", "true"]);
    expect(refused.code).toBe(125);
    expect(refused.stderr).toContain("--runner-file");
    // The token that was minted for nothing does not lie about.
    expect(host.tap.seen.map(({ asked, status }) => [asked.split("/").at(-1), status])).toEqual([
      ["tokens", 201],
      ["revoke", 200],
    ]);

    const file = join(host.folder.path, "runner");
    writeFileSync(file, `${runner.token ?? ""}\n`, { mode: 0o600 });
    expect((await run(["--env", "prod", "--runner-file", file, "--", "true"])).code).toBe(0);
    chmodSync(file, 0o644);
    expect((await run(["--env", "prod", "--runner-file", file, "--", "true"])).code).toBe(125);
  });

  test("its lease is renewed while the child runs, and a vault that is away does not end it", async () => {
    const { exchangeToken, keepLease } = await loadLaunching();
    const client = new CliClient(
      connect({ kind: "url", url: new URL(host.tap.url) }),
      () => Promise.resolve(null),
      "1.2.3",
    );
    const { lease } = await exchangeToken(client, (await mint()).token, null);
    const warnings: string[] = [];
    const keeper = keepLease(client, { ...lease, lastsMs: 10 }, (text) => void warnings.push(text));
    await expect.poll(() => host.tap.asked("POST /v1/leases/self/renew")[0]?.status, { timeout: 5_000 }).toBe(200);
    await keeper.end(0);
    client.close();
    expect(host.tap.asked(END)[0]?.status).toBe(200);
    expect(warnings).toEqual([]);
  });
});

describe("sallyport run starts nothing, and ends with 125, when", () => {
  const started = () => join(host.folder.path, "started");
  const expectNothing = async (argv: readonly string[], env?: Record<string, string>) => {
    const ended = await run([...argv, "--", "touch", started()], env);
    expect(ended.code).toBe(125);
    expect(existsSync(started())).toBe(false);
    return ended;
  };

  test("the vault refuses: no such workload, not deployed there, nothing to exchange", async () => {
    expect((await expectNothing(["--workload", "nothing"])).stderr).toContain("no such thing");
    expect((await expectNothing([], { SALLYPORT_TOKEN: fakeToken("inj") })).stderr).toContain("unknown");
    expect((await expectNothing([], { SALLYPORT_TOKEN: fakeToken("svc") })).stderr).toContain("No valid credential");
  });

  test("a required secret went away after the deployment; it is named (R65)", async () => {
    await workload("needy", { NEEDED: Buffer.from("v") });
    await host.vault.owner.do("secret.delete", { params: { ...DEV, secret: "NEEDED" } });
    expect((await expectNothing(["--workload", "needy"])).stderr).toContain("NEEDED");
  });

  test("the answer of the exchange was lost twice", async () => {
    host.tap.cut(EXCHANGE, 2);
    await expectNothing([]);
    expect(host.tap.asked(EXCHANGE)).toHaveLength(2);
  });

  test("the vault is away, or nobody is signed in", async () => {
    await expectNothing([], { ...token(), SALLYPORT_ADDRESS: "http://127.0.0.1:1" });
    expect((await expectNothing([], {})).stderr).toContain("sallyport login");
    expect(host.tap.seen).toEqual([]);
  });

  test("a value cannot stand in an environment; it is named, not shown, and the lease is ended", async () => {
    await workload("binary", { NUL: Buffer.from("a\0b-shown"), BYTES: Buffer.from([0xff, 0xfe, 0xff]) });
    const { stderr } = await expectNothing(["--workload", "binary"]);
    expect(stderr).toMatch(/ {2}NUL: .*/);
    expect(stderr).toMatch(/ {2}BYTES: .*/);
    expect(stderr).not.toContain("b-shown");
    expect(host.tap.asked(END)[0]).toMatchObject({ status: 200, body: { exitCode: 125 } });
  });

  test("an injection token and a workload are both given", async () => {
    await expectNothing(["--workload", "etl"], { SALLYPORT_TOKEN: fakeToken("inj") });
    expect(host.tap.seen).toEqual([]);
  });

  test("no command is given", async () => {
    expect((await run([])).code).toBe(125);
    expect((await host.folder.start([process.execPath, PROGRAM, "run", "--nonsense", "--", "true"]).ended).code).toBe(
      125,
    );
  });
});
