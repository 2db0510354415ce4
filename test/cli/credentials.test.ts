import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FakeVault, problem } from "./fake-vault.ts";
import { fakeToken, sallyport } from "./harness.ts";

let vault: FakeVault;
let address: string;
let folder: string;
let env: Record<string, string>;

beforeEach(async () => {
  vault = new FakeVault().on("GET /v1/whoami", {
    body: { type: "user", id: "prn_1", name: "ada", role: "owner", org: "main", instanceAdmin: true, grants: [] },
  });
  address = await vault.listen();
  folder = mkdtempSync(join(tmpdir(), "sallyport-cli-"));
  env = { XDG_CONFIG_HOME: join(folder, "config"), SALLYPORT_NO_KEYRING: "1" };
});
afterEach(async () => {
  await vault.close();
  rmSync(folder, { recursive: true });
});

const SIGNED_IN = {
  token: fakeToken("ses"),
  expiresAt: "2026-01-31T12:00:00.000Z",
  idleSeconds: 1800,
  org: "main",
  login: "ada",
};
const bearer = () => vault.seen.at(-1)?.headers.authorization;

describe("where a credential is sent", () => {
  test.each([
    "http://vault.example.com",
    "http://10.0.0.1:7433",
    "http://127.0.0.1.example.com",
    "ftp://127.0.0.1",
    "nonsense",
    "https://u:p@x.example",
  ])("never to %s", async (bad) => {
    const ran = await sallyport(`whoami --address ${bad}`, { env: { ...env, SALLYPORT_TOKEN: fakeToken("svc") } });
    expect(ran.code).toBe(2);
  });

  test("not after a redirect", async () => {
    const other = new FakeVault();
    const there = await other.listen();
    vault.on("GET /v1/whoami", { status: 302, headers: { Location: `${there}/v1/whoami` } });
    const ran = await sallyport(`whoami --address ${address}`, { env: { ...env, SALLYPORT_TOKEN: fakeToken("svc") } });
    expect(ran.code).toBe(8);
    expect(other.seen).toEqual([]);
    await other.close();
  });

  test("a profile's session only to the profile's vault", async () => {
    vault.on("POST /v1/sign-in", { body: SIGNED_IN });
    const login = await sallyport(`login --address ${address} --login ada --password-stdin`, { env, stdin: "pw\n" });
    expect(login.code).toBe(0);
    expect((await sallyport("whoami", { env })).code).toBe(0);
    expect(bearer()).toBe(`Bearer ${SIGNED_IN.token}`);

    const other = new FakeVault();
    const there = await other.listen();
    const ran = await sallyport(`whoami --address ${there}`, { env });
    expect(ran.code).toBe(3);
    expect(other.seen).toEqual([]);
    await other.close();
  });
});

describe("login", () => {
  test("keeps the session where only its owner can read it, and shows it nowhere", async () => {
    vault.on("POST /v1/sign-in", { body: SIGNED_IN });
    const ran = await sallyport(`login --address ${address} --org main --login ada --password-stdin --json`, {
      env,
      stdin: "pass word\n",
    });
    expect(ran.code).toBe(0);
    expect(vault.seen[0]?.body).toEqual({ org: "main", login: "ada", password: "pass word" });
    expect(ran.out + ran.stderr).not.toContain(SIGNED_IN.token);
    const root = join(folder, "config", "sallyport");
    expect(statSync(root).mode & 0o777).toBe(0o700);
    expect(statSync(join(root, "credentials", "default")).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(root, "credentials"))).toEqual(["default"]);
  });

  test("with --set-up takes credential and password from two lines of stdin", async () => {
    vault.on("POST /v1/set-up", { body: SIGNED_IN });
    const ran = await sallyport(`login --set-up --address ${address}`, {
      env,
      stdin: `${fakeToken("set")}\nnew password\n`,
    });
    expect(ran.code).toBe(0);
    expect(bearer()).toBe(`Bearer ${fakeToken("set")}`);
    expect(vault.seen[0]?.body).toEqual({ password: "new password" });
  });

  test("without a terminal the password has to come from stdin, said so", async () => {
    expect((await sallyport(`login --address ${address} --login ada`, { env })).code).toBe(2);
    expect(vault.seen).toEqual([]);
  });

  test("logout forgets the session here also when the vault is away", async () => {
    vault.on("POST /v1/sign-in", { body: SIGNED_IN }).on("POST /v1/sign-out", "hang up");
    await sallyport(`login --address ${address} --login ada --password-stdin`, { env, stdin: "pw" });
    const ran = await sallyport("logout", { env });
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain("could not be told");
    expect(existsSync(join(folder, "config", "sallyport", "credentials", "default"))).toBe(false);
    expect((await sallyport("whoami", { env })).code).toBe(3);
  });
});

describe("a credential", () => {
  const file = (mode: number, content = `${fakeToken("svc")}\n`) => {
    const path = join(folder, "token");
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };

  test("comes from a 0600 file, before the environment", async () => {
    const ran = await sallyport(`whoami --address ${address} --credential-file ${file(0o600)}`, {
      env: { ...env, SALLYPORT_TOKEN: fakeToken("svc", "4") },
    });
    expect(ran.code).toBe(0);
    expect(ran.stderr).toBe("");
    expect(bearer()).toBe(`Bearer ${fakeToken("svc")}`);
  });

  test.each([0o640, 0o604, 0o644, 0o660])("is refused from a file of mode %o", async (mode) => {
    const ran = await sallyport(`whoami --address ${address} --credential-file ${file(mode)}`, { env });
    expect(ran.code).toBe(2);
    expect(vault.seen).toEqual([]);
  });

  test("is taken from a systemd credential that the service's group may read, not one that all may", async () => {
    const path = file(0o440);
    const here = { env: { ...env, CREDENTIALS_DIRECTORY: folder } };
    expect((await sallyport(`whoami --address ${address} --credential-file ${path}`, here)).code).toBe(0);
    chmodSync(path, 0o444);
    expect((await sallyport(`whoami --address ${address} --credential-file ${path}`, here)).code).toBe(2);
  });

  test.each(["inj", "lease", "set"])("of the kind %s is not sent as a caller's", async (kind) => {
    const ran = await sallyport(`whoami --address ${address} --credential-file ${file(0o600, fakeToken(kind))}`, {
      env,
    });
    expect(ran.code).toBe(2);
    expect(ran.stderr).not.toContain(fakeToken(kind));
    expect(vault.seen).toEqual([]);
  });

  test("R104: comes from two variables, with a warning that they can be seen", async () => {
    const token = fakeToken("svc");
    const two = { SALLYPORT_TOKEN_ID: token.slice(0, 58), SALLYPORT_TOKEN_SECRET: token.slice(58) };
    const ran = await sallyport(`whoami --address ${address}`, { env: { ...env, ...two } });
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain("warning");
    expect(bearer()).toBe(`Bearer ${token}`);
    expect(
      (await sallyport(`whoami --address ${address}`, { env: { ...env, ...two, SALLYPORT_NO_WARN: "1" } })).stderr,
    ).toBe("");
  });
});

describe("the machine's own socket", () => {
  test("is found in a folder above, and no credential is sent over it", async () => {
    mkdirSync(join(folder, "data"));
    mkdirSync(join(folder, "a", "b"), { recursive: true });
    const near = new FakeVault().on("GET /v1/whoami", problem("forbidden", 403));
    const path = await near.listen(join(folder, "data", "sallyport.sock"));
    chmodSync(path, 0o600);
    expect((await sallyport("whoami", { env, folder: join(folder, "a", "b") })).code).toBe(4);
    expect(near.seen[0]?.headers.authorization).toBeUndefined();

    chmodSync(path, 0o666);
    expect((await sallyport("whoami", { env, folder: join(folder, "a", "b") })).code).toBe(3);
    expect(near.seen).toHaveLength(1);
    await near.close();
  });
});

describe("--output", () => {
  test("gets a credential that is shown once, with mode 0600 and nothing on stdout", async () => {
    vault.on("POST /v1/users", {
      status: 201,
      body: { user: { login: "olaf" }, setUpToken: fakeToken("set"), expiresAt: SIGNED_IN.expiresAt },
    });
    const path = join(folder, "out");
    const ran = await sallyport(`user create olaf --address ${address} --output ${path}`, {
      env: { ...env, SALLYPORT_TOKEN: fakeToken("svc") },
    });
    expect(ran.code).toBe(0);
    expect(ran.out).toBe("");
    expect(readFileSync(path, "utf8")).toBe(`${fakeToken("set")}\n`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test("that cannot be written is found out before anything is made", async () => {
    const ran = await sallyport(`user create olaf --address ${address} --output ${folder}/no/such/out`, {
      env: { ...env, SALLYPORT_TOKEN: fakeToken("svc") },
    });
    expect(ran.code).toBe(2);
    expect(vault.seen).toEqual([]);
  });
});
