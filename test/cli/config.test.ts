import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SETTING_NAMES } from "#settings";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sallyport } from "./harness.ts";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "sallyport-config-"))));
afterEach(() => {
  rmSync(folder, { recursive: true });
});
const put = (text: string) => {
  writeFileSync(join(folder, "sallyport.yaml"), text);
};

test("`config` prints every setting with its value and where it came from", async () => {
  put("org: acme\n");
  const around = { folder, env: { SALLYPORT_DRAIN_SECONDS: "5" } };
  const { code, out, stderr } = await sallyport("config --metrics off --insecure-plain-http", around);
  expect(code).toBe(0);
  expect(stderr).toBe(`Settings file: ${join(folder, "sallyport.yaml")}\n`);
  const rows = out
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.split(/ {2,}/));
  expect(rows.map(([name]) => name)).toEqual(SETTING_NAMES);
  expect(rows).toContainEqual(["org", "acme", `${join(folder, "sallyport.yaml")}:1`]);
  expect(rows).toContainEqual(["drainSeconds", "5", "SALLYPORT_DRAIN_SECONDS"]);
  expect(rows).toContainEqual(["metrics", "off", "--metrics"]);
  expect(rows).toContainEqual(["insecurePlainHttp", "true", "--insecure-plain-http"]);
  expect(rows).toContainEqual(["trustedProxies", "none", "default"]);
  expect(rows).toContainEqual(["checkpoints", join(folder, "data", "checkpoints.log"), "default"]);
});

test("`config --json` prints the same for programs, with what is to be known of each", async () => {
  put("trustedProxies: [10.0.0.1]\n");
  const { out } = await sallyport("config --json", { folder });
  const printed = JSON.parse(out) as { file: string; settings: { name: string }[] };
  expect(printed.file).toBe(join(folder, "sallyport.yaml"));
  expect(printed.settings.map(({ name }) => name)).toEqual(SETTING_NAMES);
  expect(printed.settings.find(({ name }) => name === "trustedProxies")).toMatchObject({
    value: ["10.0.0.1"],
    origin: { from: "file", file: printed.file, line: 1 },
    option: "--trusted-proxies",
    variable: "SALLYPORT_TRUSTED_PROXIES",
    default: "none",
    group: "Beyond this machine",
  });
});

test("`config --check` only says whether they are right, and `up` takes and refuses the same", async () => {
  const checked = await sallyport("config --check", { folder });
  expect(checked).toMatchObject({ code: 0, out: "The settings are right.\n", stderr: "" });
  expect((await sallyport("config --check --json", { folder })).out).toContain('"valid": true');
  put("org: acme\n");
  expect((await sallyport("up", { folder })).up[0]?.config.org).toBe("acme");

  put("orgg: acme\nlisten: 0.0.0.0:1\n");
  const env = { SALLYPORT_METRIC: "off" };
  for (const argv of ["config", "config --check", "up"]) {
    const ran = await sallyport(argv, { folder, env });
    expect(ran).toMatchObject({ code: 20, out: "", up: [] });
    expect(ran.stderr).toContain("sallyport.yaml:1 orgg: there is no such setting; did you mean org?");
    expect(ran.stderr).toContain("SALLYPORT_METRIC: there is no such setting; did you mean SALLYPORT_METRICS?");
  }
  const asJson = await sallyport("config --check --json", { folder, env });
  expect(JSON.parse(asJson.stderr)).toMatchObject({ code: "config_invalid", faults: [{}, {}] });
});
