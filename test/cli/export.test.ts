import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { openPrivateFile } from "../../src/cli/file.ts";
import { END, EXCHANGE, MINT, setUpBuildHost } from "./build-host.ts";
import { fakeToken, sallyportArgs, surroundings } from "./harness.ts";

const VALUE = "p'a\"ss $(id)";
const host = setUpBuildHost({ X: VALUE });

const run = (argv: readonly string[], env: Record<string, string> = {}, terminal?: number) =>
  sallyportArgs(["export", ...argv], {
    folder: host.folder.path,
    env: surroundings(host.folder.path, {
      SALLYPORT_ADDRESS: host.tap.url,
      SALLYPORT_TOKEN: host.ci.token ?? "",
      ...env,
    }),
    ...(terminal === undefined ? {} : { terminal }),
  });
const mode = (file: string) => statSync(file).mode & 0o777;
const asked = () => host.tap.seen.map(({ asked: one, status }) => [one.split("?")[0], status]);

describe("sallyport export", () => {
  test("mints, exchanges, writes the variables, and ends the lease at once", async () => {
    const ran = await run(["--format", "yaml"]);
    expect([ran.code, parse(ran.out), ran.stderr]).toEqual([0, { X: VALUE }, ""]);
    expect(asked()).toEqual([
      [MINT, 201],
      [EXCHANGE, 200],
      [END, 200],
    ]);
    expect(host.tap.seen[1]?.headers["idempotency-key"]).toMatch(/^[0-9a-f]{32}$/);
    expect(host.tap.seen[2]?.body).toEqual({ exitCode: 0 });
    const [launch] = (await host.vault.owner.do("injection.list", { query: {} })).items;
    expect(launch).toMatchObject({ state: "exchanged", lease: { state: "ended", exitCode: 0 } });
  });

  test("as JSON without the lease, which has ended", async () => {
    const ran = await run(["--format", "json"]);
    const said = JSON.parse(ran.out) as object;
    expect(said).toMatchObject({ environment: "dev", variables: { X: { value: VALUE, encoding: "utf8" } } });
    expect(said).not.toHaveProperty("lease");
    expect(ran.out).not.toContain("sp_");
    expect(host.tap.asked(END)[0]?.status).toBe(200);
  });

  test("as a Secret with the name and namespace that are said", async () => {
    const ran = await run(["--format", "kubernetes", "--kubernetes-name", "a.b", "--kubernetes-namespace", "jobs"]);
    expect(parse(ran.out)).toMatchObject({
      metadata: { name: "a.b", namespace: "jobs" },
      data: { X: Buffer.from(VALUE).toString("base64") },
    });
    const wrong = await run(["--format", "kubernetes", "--kubernetes-namespace", "A_B"]);
    expect([wrong.code, wrong.out]).toEqual([7, ""]);
    expect(wrong.stderr).toContain("--kubernetes-namespace: a Kubernetes namespace");
    const other = await run(["--format", "toml", "--kubernetes-name", "a"]);
    expect([other.code, other.stderr]).toEqual([2, "sallyport: --kubernetes-name takes --format kubernetes.\n"]);
  });

  test("into a file that only its owner can read, and over one only when told to", async () => {
    const file = join(host.folder.path, "x.env");
    const first = await run(["--format", "systemd", "--output", file]);
    expect([first.code, first.out, mode(file)]).toEqual([0, "", 0o600]);
    const written = readFileSync(file, "utf8");
    expect(written).toBe(`X='p'"'"'a"ss $(id)'\n`);

    const before = host.tap.seen.length;
    const again = await run(["--format", "toml", "--output", file]);
    expect([again.code, host.tap.seen.length]).toEqual([6, before]);
    expect(again.stderr).toContain("--force");
    expect(readFileSync(file, "utf8")).toBe(written);
    expect((await run(["--format", "toml", "--output", file, "--force"])).code).toBe(0);
    expect([readFileSync(file, "utf8"), mode(file)]).toEqual(['X = "p\'a\\"ss $(id)"\n', 0o600]);
    expect(readdirSync(host.folder.path)).toEqual(["x.env"]);
  });

  test("not through a link, into no folder that is not there, and over no folder; nothing is minted for it", async () => {
    const [link, aim] = [join(host.folder.path, "link"), join(host.folder.path, "aim")];
    writeFileSync(aim, "kept");
    symlinkSync(aim, link);
    expect((await run(["--format", "toml", "--output", link])).code).toBe(6);
    expect((await run(["--format", "toml", "--output", join(host.folder.path, "nowhere", "x")])).code).toBe(2);
    expect(host.tap.seen).toEqual([]);
    mkdirSync(join(host.folder.path, "there"));
    const over = await run(["--format", "toml", "--force", "--output", join(host.folder.path, "there")]);
    expect([over.code, over.out]).toEqual([2, ""]);
    expect(host.tap.asked(END)[0]?.body).toEqual({ exitCode: 1 });
    expect((await run(["--format", "toml", "--force", "--output", link])).code).toBe(0);
    expect(readFileSync(aim, "utf8")).toBe("kept");
    expect(readdirSync(host.folder.path).sort()).toEqual(["aim", "link", "there"]);
  });

  test("a file that somebody makes meanwhile keeps its content", () => {
    const path = join(host.folder.path, "raced");
    const file = openPrivateFile(path, true);
    writeFileSync(path, "theirs");
    expect(() => file.commit("ours")).toThrow("is there already");
    file.discard();
    expect(readFileSync(path, "utf8")).toBe("theirs");
    expect(readdirSync(host.folder.path)).toEqual(["raced"]);
  });

  test("warns where the values are shown on a terminal", async () => {
    const shown = await run(["--format", "toml"], {}, 80);
    expect(shown.code).toBe(0);
    expect(shown.stderr).toContain("warning: The values are shown on a terminal");
  });

  test("a value that the format cannot carry is named and not shown, and the token does not lie about", async () => {
    const file = join(host.folder.path, "x.env");
    const ran = await run(["--format", "dotenv", "--output", file]);
    expect([ran.code, ran.out, existsSync(file)]).toEqual([7, "", false]);
    expect(ran.stderr).toContain("  X: its value holds a single quote together with one of");
    expect(ran.stderr).not.toContain("p'a");
    expect(asked().map(([one, status]) => [String(one).split("/").at(-1), status])).toEqual([
      ["tokens", 201],
      ["exchange", 422],
      ["revoke", 200],
    ]);
    expect(readdirSync(host.folder.path)).toEqual([]);
  });

  test("takes an injection token as `run` does, alone, and a bound one with its runner's (R70, R72)", async () => {
    const params = { namespace: "default", workload: "default" };
    const { items } = await host.ci.do("token.mint", { params, body: { environment: "dev" } });
    const token = { SALLYPORT_TOKEN: items[0]?.token ?? "" };
    expect(parse((await run(["--format", "yaml"], token)).out)).toEqual({ X: VALUE });
    expect(host.tap.asked(MINT)).toEqual([]);
    const both = await run(["--format", "yaml", "--workload", "etl"], { SALLYPORT_TOKEN: fakeToken("inj") });
    expect([both.code, both.out]).toEqual([2, ""]);
    const used = await run(["--format", "yaml"], token);
    expect([used.code, used.out]).toEqual([3, ""]);
    expect(used.stderr).toContain("Ask whoever minted it");

    await host.vault.owner.do("grant.create", { body: { principal: "builds", role: "operator", environment: "prod" } });
    await host.vault.owner.do("deployment.set", { params: { ...params, environment: "prod" }, body: {} });
    const bound = await run(["--env", "prod", "--format", "yaml"]);
    expect([bound.code, bound.out]).toEqual([3, ""]);
    expect(bound.stderr).toContain("--runner-file");
    const runner = await host.vault.service("runner-1", "runner");
    const at = { environment: "prod", namespace: "default", workload: "default" };
    await host.vault.owner.do("grant.create", { body: { principal: "runner-1", role: "runner", ...at } });
    const file = join(host.folder.path, "runner");
    writeFileSync(file, runner.token ?? "", { mode: 0o600 });
    expect(await run(["--env", "prod", "--format", "yaml", "--runner-file", file])).toMatchObject({
      code: 0,
      out: "{}\n",
    });
  });

  test("a lease that cannot be ended changes nothing, an exchange that was lost twice writes nothing", async () => {
    host.tap.cut(END);
    expect(await run(["--format", "yaml"])).toMatchObject({ code: 0 });
    host.tap.cut(EXCHANGE, 2);
    const ran = await run(["--format", "json", "--output", join(host.folder.path, "x.json")]);
    expect([ran.code, ran.out, readdirSync(host.folder.path)]).toEqual([8, "", []]);
  });

  test.each([[[]], [["--format", "xml"]], [["--format"]]])("`%j` says what is missing", async (argv) => {
    const ran = await run(argv);
    expect([ran.code, ran.out]).toEqual([2, ""]);
    expect(ran.stderr).toContain("--format");
    expect(host.tap.seen).toEqual([]);
  });
});
