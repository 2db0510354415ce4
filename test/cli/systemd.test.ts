import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { outOfReach } from "../../src/cli/unit-reach.ts";
import { Folder } from "./process.ts";
import { testUnless } from "../unless.ts";

const hasAnalyze = spawnSync("systemd-analyze", ["--version"]).status === 0;

let folder: Folder;
beforeAll(() => void (folder = new Folder()));
afterAll(() => folder.remove());

const RUNNER = [
  "systemd",
  "runner",
  "--address",
  "https://vault.example.com",
  "--workload",
  "pipes/etl",
  "--env",
  "prod",
];

async function unit(...args: string[]): Promise<string> {
  const ran = await folder.run(args);
  expect(ran.code, ran.stderr).toBe(0);
  // Where this checkout lies in a folder that a unit does not see, that is said, and nothing else.
  const said = ran.stderr.split("\n").filter((line) => line !== "");
  expect(said.every((line) => line.startsWith("warning: The service could not start: "))).toBe(true);
  return ran.stdout;
}

test("The units say what they have to", async () => {
  const server = await unit("systemd", "server");
  for (const line of ["Type=notify", "NotifyAccess=all", "NoNewPrivileges=yes", "ProtectSystem=strict", "LimitCORE=0"])
    expect(server).toContain(`\n${line}\n`);
  expect(await unit("systemd", "socket", "--listen", "[::]:443")).toContain("\nListenStream=[::]:443\n");
  const runner = await unit(...RUNNER, "--", "/srv/etl", "100%", "$HOME", 'a "b"');
  expect(runner).toContain("\nLoadCredential=vault:/etc/sallyport/etl.token\n");
  expect(runner).toContain('--credential-file %d/vault -- /srv/etl 100%% $$HOME "a \\"b\\""\n');
});

test.each([
  [["systemd", "socket", "--listen", "nonsense"]],
  [["systemd", "socket", "--listen", "1.2.3.4:1\nExecStart=/bin/true"]],
  [[...RUNNER, "--", "etl"]],
  [RUNNER],
  [[...RUNNER, "--", "/srv/etl", "a\nUser=root"]],
  [["systemd", "runner", "--workload", "pipes/etl", "--", "/srv/etl"]],
])("%j is refused", async (args) => {
  expect(await folder.run(args)).toMatchObject({ code: 2, stdout: "" });
});

testUnless(hasAnalyze ? null : "there is no systemd-analyze")(
  "systemd takes the units, and finds the server closed",
  async () => {
    const units = {
      "sallyport.service": await unit("systemd", "server"),
      "sallyport.socket": await unit("systemd", "socket"),
      "etl.service": await unit(...RUNNER, "--", "/bin/true", "--all"),
    };
    const paths = Object.entries(units).map(([name, text]) => {
      writeFileSync(join(folder.path, name), text);
      return join(folder.path, name);
    });
    const verify = (names: readonly string[]) => {
      const { status, stderr } = spawnSync("systemd-analyze", ["verify", ...names], {
        encoding: "utf8",
        env: { ...process.env, SYSTEMD_UNIT_PATH: `${folder.path}:` },
      });
      // It also verifies what is installed on this machine.
      const said = stderr.split("\n").filter((line) => /sallyport|etl\.service/.test(line));
      return { status, said };
    };
    expect(verify(paths)).toEqual({ status: 0, said: [] });
    const broken = join(folder.path, "broken-sallyport.service");
    writeFileSync(
      broken,
      units["sallyport.service"].replace("Type=notify", "Type=nonsense").replace("ExecStart=", "Exec="),
    );
    expect(verify([broken]).said).not.toEqual([]);

    const path = join(folder.path, "sallyport.service");
    const { stdout } = spawnSync("systemd-analyze", ["security", "--offline=yes", "--threshold=30", path], {
      encoding: "utf8",
    });
    const level = Number(/Overall exposure level for \S+ ([\d.]+)/.exec(stdout.replaceAll(":", ""))?.[1] ?? "10");
    console.info(`exposure level: ${String(level)}`);
    expect(level).toBeLessThan(2.5);
  },
);

describe("a program that the service could not start", () => {
  const open = () => 0o755;

  test.each([
    ["/home/ann/node/bin/node", "ProtectHome=yes"],
    ["/root/sallyport/dist/main.js", "ProtectHome=yes"],
    ["/run/user/1000/etl", "ProtectHome=yes"],
    ["/tmp/etl", "PrivateTmp=yes"],
    ["/var/tmp/a/etl", "PrivateTmp=yes"],
  ])("%s is hidden by %s", (path, by) => {
    expect(outOfReach(path, open)).toContain(by);
  });

  test.each(["/usr/bin/node", "/opt/home/etl", "/srv/tmp/etl", "/homes/etl", "/tmpfs/etl"])("%s is not", (path) => {
    expect(outOfReach(path, open)).toBeNull();
    expect(outOfReach(path, () => null)).toBeNull();
  });

  test("it, or a folder above it, is closed to others", () => {
    const closed = (path: string) => (one: string) => (one === path ? 0o700 : 0o755);
    expect(outOfReach("/opt/a/etl", closed("/opt/a"))).toBe("/opt/a is closed to other users (mode 700)");
    expect(outOfReach("/opt/a/etl", closed("/opt/a/etl"))).toBe("/opt/a/etl is closed to other users (mode 700)");
    expect(outOfReach("/opt/a/etl", closed("/opt/b"))).toBeNull();
  });

  test("is warned of, and the unit is printed all the same", async () => {
    const ran = await folder.run([...RUNNER, "--", "/tmp/etl"]);
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stderr).toContain(
      "warning: The service could not start: /tmp/etl lies where the unit, by PrivateTmp=yes, sees nothing.",
    );
    expect(ran.stdout).toContain(" -- /tmp/etl\n");
    expect((await folder.run([...RUNNER, "--", "/bin/true"])).stderr).not.toContain("/bin/true");
  });
});
