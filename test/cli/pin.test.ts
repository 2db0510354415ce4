import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { startVault } from "../harness.ts";
import type { Client, TestVault } from "../harness.ts";
import { sallyport, surroundings } from "./harness.ts";
import type { Around } from "./harness.ts";
import { Tap } from "./tap.ts";

let vault: TestVault;
let owner: Client;
let folder: string;
let around: Around;
let params: { namespace: string; workload: string };
let counted = 0;

beforeAll(async () => {
  vault = await startVault();
  ({ owner } = vault);
  folder = mkdtempSync(join(tmpdir(), "sallyport-cli-"));
  around = { env: surroundings(folder, { SALLYPORT_ADDRESS: vault.url, SALLYPORT_TOKEN: owner.token ?? "" }), folder };
});
afterAll(async () => {
  await vault.close();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  const workload = `w-${String((counted += 1))}`;
  params = { namespace: "default", workload };
  await owner.do("workload.create", { params: { namespace: "default" }, body: { name: workload } });
});

const VARIABLES = {
  DB_URL: { secret: "DB_URL" },
  COPY: { secret: "DB_URL", required: false },
  STRIPE: { secret: "payments/STRIPE_KEY@2" },
  LOG_LEVEL: { value: "DB_URL" },
  AUTH: { template: "Bearer ${API_KEY} $${API_KEY} ${dev/default/DB_URL} ${DB_URL}" },
  A_KEY: { secret: "one/KEY" },
  B_KEY: { secret: "two/KEY" },
};
const save = (body: Record<string, unknown> = { variables: VARIABLES }) =>
  owner.do("manifest.save", { params, body: body as never });
const latest = async () => {
  const { latestVersion } = await owner.do("workload.get", { params });
  const { variables, note } = await owner.do("manifest.get", { params: { ...params, version: String(latestVersion) } });
  return { version: latestVersion, variables, note };
};
const run = (argv: string) => sallyport(argv.replace(" W ", ` ${params.workload} `), around);

describe("workload pin", () => {
  test("saves a version in which every reference to a secret is pinned, and shows what changed", async () => {
    await save();
    const ran = await run("workload pin W DB_URL@3");
    expect(ran.code).toBe(0);
    expect(ran.out.split("\n").sort()).toEqual([
      "",
      "Manifest version 2 was saved.",
      '~ AUTH  template "Bearer ${API_KEY} $${API_KEY} ${dev/default/DB_URL} ${DB_URL}" → template "Bearer ${API_KEY} $${API_KEY} ${dev/default/DB_URL} ${DB_URL@3}"',
      "~ COPY  secret DB_URL (optional) → secret DB_URL@3 (optional)",
      "~ DB_URL  secret DB_URL → secret DB_URL@3",
    ]);
    expect(ran.stderr).toContain("deployed");
    const now = await latest();
    expect(now).toMatchObject({ version: 2, note: "pin DB_URL@3" });
    expect(now.variables).toEqual({
      ...(await owner.do("manifest.get", { params: { ...params, version: "1" } })).variables,
      DB_URL: { secret: "DB_URL@3" },
      COPY: { secret: "DB_URL@3", required: false },
      AUTH: { template: "Bearer ${API_KEY} $${API_KEY} ${dev/default/DB_URL} ${DB_URL@3}" },
    });
  });

  test("several at once, by variable, by name with or without its scope; unpin takes it back", async () => {
    await save();
    expect(
      (await run("workload pin W STRIPE_KEY@5 API_KEY@1 one/KEY@4 B_KEY@6 dev/default/DB_URL@2 --note why")).code,
    ).toBe(0);
    const pinned = await latest();
    expect(pinned).toMatchObject({
      version: 2,
      note: "why",
      variables: {
        STRIPE: { secret: "payments/STRIPE_KEY@5" },
        AUTH: { template: "Bearer ${API_KEY@1} $${API_KEY} ${dev/default/DB_URL@2} ${DB_URL}" },
        A_KEY: { secret: "one/KEY@4" },
        B_KEY: { secret: "two/KEY@6" },
      },
    });
    const ran = await run("workload unpin W STRIPE");
    expect(ran.out).toBe(
      "Manifest version 3 was saved.\n~ STRIPE  secret payments/STRIPE_KEY@5 → secret payments/STRIPE_KEY\n",
    );
    expect((await latest()).note).toBe("unpin STRIPE");
  });

  test("a version that is not there where the workload is deployed is warned of", async () => {
    for (const value of ["a", "b"])
      await owner.do("secret.write", {
        params: { environment: "dev", namespace: "default", secret: "V" },
        body: { value },
      });
    await owner.do("secret.write", {
      params: { environment: "prod", namespace: "default", secret: "V" },
      body: { value: "a" },
    });
    await save({ variables: { V: { secret: "V" } } });
    for (const environment of ["dev", "prod"]) expect((await run(`deploy W --env ${environment}`)).code).toBe(0);
    const warned = async (version: number) =>
      (await run(`workload pin W V@${String(version)}`)).stderr.match(/^warning: (\S+ has no version \d+ of V)/gm);
    expect(await warned(1)).toBeNull();
    expect(await warned(2)).toEqual(["warning: prod/default has no version 2 of V"]);
    expect(await warned(9)).toEqual(["dev", "prod"].map((one) => `warning: ${one}/default has no version 9 of V`));
  });

  test("what is so already makes no version", async () => {
    await save();
    for (const argv of ["workload pin W STRIPE_KEY@2", "workload unpin W DB_URL"]) {
      const ran = await run(argv);
      expect([argv, ran.code, ran.out]).toEqual([
        argv,
        0,
        "That is so already: manifest version 1 was left as it is.\n",
      ]);
    }
    expect((await latest()).version).toBe(1);
    expect(JSON.parse((await run("workload unpin W DB_URL --json")).out)).toMatchObject({ version: 1 });
    expect(JSON.parse((await run("workload pin W DB_URL@2 --json")).out)).toMatchObject({ version: 2 });
  });

  test.each([
    ["workload pin W LOG_LEVEL@1", "LOG_LEVEL is a text that stands in the manifest, and no secret"],
    ["workload pin W AUTH@1", "AUTH is a template: name the secret in it that is meant. It names: API_KEY, "],
    [
      "workload pin W NOT@1",
      "The manifest has no secret “NOT”. It names: API_KEY, DB_URL, dev/default/DB_URL, one/KEY, payments/STRIPE_KEY, two/KEY.",
    ],
    ["workload pin W KEY@1", "“KEY” may be one/KEY or two/KEY: say which."],
    ["workload pin W DB_URL", "“DB_URL” names no version: write DB_URL@3."],
    ["workload pin W DB_URL@latest", "not a number"],
    ["workload pin W DB_URL@0", "not a number"],
    ["workload pin W @3", "names no version"],
    ["workload unpin W DB_URL@3", "without its version"],
    ["workload pin W", "secrets"],
  ])("`%s` is refused, and says why", async (argv, said) => {
    await save();
    const ran = await run(argv);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.stderr).toContain(said);
    expect((await latest()).version).toBe(1);
  });

  test("a manifest that names nothing, and no manifest, are refused", async () => {
    const none = await run("workload pin W DB_URL@3");
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining("no manifest yet")]);
    await save({ all: true });
    const all = await run("workload pin W DB_URL@3");
    expect([all.code, all.stderr]).toEqual([2, expect.stringContaining("every secret of the launch's scope")]);
  });

  test("who may not list its secrets does not save a manifest without them", async () => {
    await save();
    const viewer = await vault.user(`viewer-${params.workload}`);
    await owner.do("grant.create", {
      body: { principal: `viewer-${params.workload}`, role: "viewer", namespace: "default" },
    });
    expect((await viewer.do("manifest.get", { params: { ...params, version: "1" } })).maskedVariables).toBe(6);
    const env = { ...around.env, SALLYPORT_TOKEN: viewer.token ?? "" };
    const ran = await sallyport(`workload pin ${params.workload} DB_URL@1`, { ...around, env });
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.stderr).toContain("6 of its variables hold secrets whose names you may not list");
    expect((await latest()).version).toBe(1);
  });

  test("what somebody else saves meanwhile is not undone: the vault is told which version was seen", async () => {
    await save();
    const tap = await Tap.before(vault.url);
    const env = { ...around.env, SALLYPORT_ADDRESS: tap.url };
    expect((await sallyport(`workload pin ${params.workload} DB_URL@3`, { ...around, env })).code).toBe(0);
    expect(tap.asked("POST").map(({ headers }) => headers["if-match"])).toEqual(['"1"']);
    await tap.close();
  });
});
