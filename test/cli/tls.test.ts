import { writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Authority } from "../certificates.ts";
import { ownerSetUp } from "../harness.ts";
import type { ServerProcess } from "../harness.ts";
import { fakeToken } from "./harness.ts";
import { Folder } from "./process.ts";

const authority = new Authority();
const stranger = new Authority("Another authority");
const HOSTS = ["127.0.0.1", "localhost"];

describe("Over TLS with client certificates, `sallyport up` and the commands", () => {
  const folder = new Folder();
  let server: ServerProcess;
  const file = (name: string, text?: string, mode = 0o600) => {
    const path = join(folder.path, name);
    if (text !== undefined) writeFileSync(path, text, { mode });
    return path;
  };
  const issue = (name: string, from: Authority, hosts: readonly string[] = []) => {
    const { certificate, key } = from.issue(name, { hosts });
    return { certificate: file(`${name}.crt`, certificate, 0o644), key: file(`${name}.key`, key) };
  };
  const vault = issue("vault", authority, HOSTS);
  const client = issue("client", authority);
  const strange = issue("strange", stranger);
  const ca = ["--ca-file", file("ca.crt", authority.certificate, 0o644)];
  const shown = ({ certificate, key }: typeof client) => ["--client-cert", certificate, "--client-key", key];

  beforeAll(async () => {
    const tls = ["--tls-certificate", vault.certificate, "--tls-key", vault.key];
    const clients = ["--tls-client-authority", file("ca.crt"), "--tls-client-auth", "required"];
    server = await folder.up(["--listen", "0.0.0.0:0", ...tls, ...clients]);
  });
  afterAll(() => folder.remove());

  const ask = (...options: string[]) => {
    const address = `https://127.0.0.1:${new URL(server.url).port}`;
    return folder.run(["whoami", "--address", address, "--credential-file", file("token"), ...options]);
  };

  test("work together beyond loopback, without plain HTTP", async () => {
    expect(server.url).toMatch(/^https:\/\/0\.0\.0\.0:/);
    const port = new URL(server.url).port;
    const setUp = file("set-up", await ownerSetUp(folder.path));
    const login = ["login", "--set-up-file", setUp, "--address", `https://localhost:${port}`, ...ca, ...shown(client)];
    const password = "correct horse battery staple\n";
    const ran = await folder.run(login, { input: password + password });
    expect(ran, ran.stderr).toMatchObject({ code: 0 });
    const who = ["whoami", "--address", `https://localhost:${port}`, ...ca, ...shown(client)];
    expect(await folder.run(who)).toMatchObject({ code: 0, stdout: expect.stringContaining("owner") });
  });

  test("say of each failure of TLS what it is", async () => {
    file("token", fakeToken("svc"));
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [shown(client), /authority that this machine does not know.*--ca-file/s],
      [ca, /wants a client certificate.*--client-cert/s],
      [[...ca, ...shown(strange)], /refused the client certificate/],
      [[...ca, "--client-cert", client.certificate, "--client-key", strange.key], /is not the key of its certificate/],
      [["--ca-file", strange.certificate, ...shown(client)], /another authority than the one that was named/],
    ];
    for (const [options, words] of cases) {
      const ran = await ask(...options);
      if (ran.stderr.includes("no token of a vault")) throw new Error(ran.stderr);
      expect(ran.stderr).toMatch(words);
      expect(ran.code).toBe(8);
    }
    expect(await ask(...ca, "--client-cert", client.certificate)).toMatchObject({ code: 2 });
    expect(await ask("--ca-file", file("nowhere"))).toMatchObject({ code: 2 });
    const empty = await ask("--ca-file", file("empty.crt", "nothing"));
    expect(empty).toMatchObject({ code: 2, stderr: expect.stringContaining("holds no certificate in PEM") });
  });

  test.each([
    ["another name", { hosts: ["vault.example.test"] }, /for another name/],
    ["an expired certificate", { hosts: HOSTS, to: new Date(Date.now() - 86_400_000) }, /has expired/],
    ["one that is not valid yet", { hosts: HOSTS, from: new Date(Date.now() + 86_400_000) }, /not valid yet/],
  ])("say so of %s", async (_what, wanted, words) => {
    const { certificate: cert, key } = authority.issue("other", wanted);
    const other = createServer({ cert, key });
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const address = `https://127.0.0.1:${String((other.address() as AddressInfo).port)}`;
    const ran = await folder.run(["whoami", "--address", address, "--credential-file", file("token"), ...ca]);
    other.close();
    expect(ran).toMatchObject({ code: 8, stderr: expect.stringMatching(words) });
  });

  test("refuse to start with a wrong certificate, and leave nothing behind", async () => {
    const wrong = ["--tls-certificate", vault.certificate, "--tls-key", strange.key, "--data", file("new-data")];
    const ran = await folder.run(["up", "--listen", "127.0.0.1:0", ...wrong]);
    expect(ran).toMatchObject({ code: 20, stderr: expect.stringContaining("not the key of") });
  });

  test("read the certificate again at SIGHUP, and go on with the old one where the new one is wrong", async () => {
    server.kill("SIGHUP");
    await expect.poll(() => server.output(), { timeout: 60_000 }).toContain("TLS certificate unchanged");
    writeFileSync(vault.key, "nothing");
    server.kill("SIGHUP");
    await expect.poll(() => server.output(), { timeout: 60_000 }).toContain("tls_reload_refused");
    expect((await ask(...ca, ...shown(client))).stderr).not.toContain("TLS");
  });
});
