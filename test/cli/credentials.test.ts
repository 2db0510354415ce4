import {
  chmodSync,
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { PASSWORD, startVault } from "../harness.ts";
import type { TestVault } from "../harness.ts";
import { fakeToken, sallyport, surroundings } from "./harness.ts";
import { Tap } from "./tap.ts";

let vault: TestVault;
let ci: string;
let tap: Tap;
let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  vault = await startVault();
  ci = (await vault.service("builds", "ci")).token ?? "";
});
afterAll(() => vault.close());
beforeEach(async () => {
  tap = await Tap.before(vault.url);
  folder = mkdtempSync(join(tmpdir(), "sallyport-cli-"));
  env = surroundings(folder, { SALLYPORT_NO_WARN: "0" });
});
afterEach(async () => {
  await tap.close();
  rmSync(folder, { recursive: true });
});

const bearer = () => tap.seen.at(-1)?.headers.authorization;
const kept = () => join(folder, "config", "sallyport", "credentials", "default");
const login = (more = "") =>
  sallyport(`login --address ${tap.url} --login owner --password-stdin ${more}`, { env, stdin: `${PASSWORD}\n` });

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

  test("a profile's session only to the profile's vault", async () => {
    expect((await login()).code).toBe(0);
    expect((await sallyport("whoami", { env })).code).toBe(0);
    expect(bearer()).toBe(`Bearer ${readFileSync(kept(), "utf8").trim()}`);

    const other = await Tap.before(vault.url);
    expect((await sallyport(`whoami --address ${other.url}`, { env })).code).toBe(3);
    expect(other.seen).toEqual([]);
    await other.close();
  });
});

describe("login", () => {
  test("keeps the session where only its owner can read it, and shows it nowhere", async () => {
    const ran = await login("--org main --json");
    expect(JSON.parse(ran.out)).toMatchObject({ profile: "default", org: "main", login: "owner", keptIn: "file" });
    const session = readFileSync(kept(), "utf8").trim();
    expect(session).toMatch(/^sp_ses_/);
    expect(ran.out + ran.stderr).not.toContain(session);
    expect(statSync(join(folder, "config", "sallyport")).mode & 0o777).toBe(0o700);
    expect(statSync(kept()).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, "config", "sallyport", "credentials"))).toEqual(["default"]);
  });

  test("with a wrong password ends with 3 and keeps nothing", async () => {
    const ran = await sallyport(`login --address ${tap.url} --login owner --password-stdin`, { env, stdin: "wrong" });
    expect(ran.code).toBe(3);
    expect(existsSync(kept())).toBe(false);
  });

  test("with --set-up takes credential and password from two lines of stdin, once", async () => {
    const { setUpToken } = await vault.owner.do("user.create", { body: { login: "ada" } });
    const setUp = () =>
      sallyport(`login --set-up --address ${tap.url}`, { env, stdin: `${setUpToken}\na new pass word\n` });
    expect(await setUp()).toMatchObject({ code: 0 });
    expect(JSON.parse((await sallyport("whoami --json", { env })).out)).toMatchObject({ name: "ada", role: "member" });
    const again = await setUp();
    expect(again.code).toBe(3);
    expect(again.stderr).toContain("\nAsk an admin for a new set-up credential.\n");
    expect(again.stderr).not.toContain("injection");
    await vault.anonymous.do("session.create", { body: { login: "ada", password: "a new pass word" } });
  });

  test("without a terminal the password has to come from stdin, said so", async () => {
    expect((await sallyport(`login --address ${tap.url} --login owner`, { env })).code).toBe(2);
    expect((await sallyport(`login --set-up --address ${tap.url}`, { env, stdin: "no credential\npw\n" })).code).toBe(
      2,
    );
    expect(tap.seen).toEqual([]);
  });

  test("and logout: the session ends at the vault and is forgotten here", async () => {
    await login();
    const session = readFileSync(kept(), "utf8").trim();
    expect((await sallyport("logout", { env })).code).toBe(0);
    expect(existsSync(kept())).toBe(false);
    expect(await vault.anonymous.as(session).code("whoami.get")).toBe("unauthenticated");
    expect((await sallyport("whoami", { env })).code).toBe(3);
    expect((await sallyport("logout", { env })).code).toBe(0);
  });

  test("logout forgets the session here also when the vault is away", async () => {
    await login();
    tap.cut("POST /v1/sign-out");
    const ran = await sallyport("logout", { env });
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain("could not be told");
    expect(existsSync(kept())).toBe(false);
    expect((await sallyport("whoami", { env })).code).toBe(3);
  });
});

describe("a credential", () => {
  const file = (mode: number, content = `${ci}\n`) => {
    const path = join(folder, "token");
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };
  const whoami = (more: string, extra: Record<string, string> = {}) =>
    sallyport(`whoami --address ${tap.url} ${more}`, { env: { ...env, ...extra } });

  test("comes from a 0600 file, before the environment", async () => {
    const ran = await whoami(`--credential-file ${file(0o600)}`, { SALLYPORT_TOKEN: fakeToken("svc") });
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    expect(ran.out).toContain("builds");
  });

  test.each([0o640, 0o604, 0o644, 0o660])("is refused from a file of mode %o", async (mode) => {
    expect((await whoami(`--credential-file ${file(mode)}`)).code).toBe(2);
    expect(tap.seen).toEqual([]);
  });

  test("is taken from a systemd credential that the service's group may read, not one that all may", async () => {
    const path = file(0o440);
    expect((await whoami(`--credential-file ${path}`, { CREDENTIALS_DIRECTORY: folder })).code).toBe(0);
    chmodSync(path, 0o444);
    expect((await whoami(`--credential-file ${path}`, { CREDENTIALS_DIRECTORY: folder })).code).toBe(2);
  });

  test.each(["inj", "lease", "set"])("of the kind %s is not sent as a caller's", async (kind) => {
    const ran = await whoami(`--credential-file ${file(0o600, fakeToken(kind))}`);
    expect(ran.code).toBe(2);
    expect(ran.stderr).not.toContain(fakeToken(kind));
    expect(tap.seen).toEqual([]);
  });

  test("R104: comes from two variables, with a warning that they can be seen", async () => {
    const two = { SALLYPORT_TOKEN_ID: ci.slice(0, 58), SALLYPORT_TOKEN_SECRET: ci.slice(58) };
    const ran = await whoami("", two);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain("warning");
    expect(bearer()).toBe(`Bearer ${ci}`);
    expect((await whoami("", { ...two, SALLYPORT_NO_WARN: "1" })).stderr).toBe("");
  });

  test("in a descriptor that nobody can have meant is not read, and the descriptor stays open", async () => {
    const fd = openSync(folder, "r");
    try {
      const ran = await whoami(`--credential-fd ${String(fd)}`);
      expect(ran.code).toBe(2);
      expect(ran.stderr).toContain(`Descriptor ${String(fd)} is not open, or is nothing that can be read.`);
      expect(fstatSync(fd).isDirectory()).toBe(true);
    } finally {
      closeSync(fd);
    }
    expect((await whoami("--credential-fd 9999")).stderr).toContain("Descriptor 9999 is not open");
  });

  test("in a file that others can read names the option that takes a descriptor in its place", async () => {
    const file = join(folder, "open");
    writeFileSync(file, fakeToken("inj"), { mode: 0o644 });
    const ran = await sallyport(`exchange --token-file ${file}`, { env });
    expect(ran.code).toBe(2);
    expect(ran.stderr).toContain(`--token-fd 3 3<${file}`);
  });

  test("that the vault does not know ends with 3, and is not shown", async () => {
    const ran = await whoami("", { SALLYPORT_TOKEN: fakeToken("svc") });
    expect(ran.code).toBe(3);
    expect(ran.stderr).not.toContain(fakeToken("svc"));
  });
});

describe("the machine's own socket", () => {
  test("is found in a folder above, and nobody needs a credential there; not when others can open it", async () => {
    const below = join(vault.folder, "a", "b");
    mkdirSync(below, { recursive: true });
    const me = () => sallyport("whoami --json", { env, folder: below });
    expect(JSON.parse((await me()).out)).toMatchObject({ type: "machine" });

    const socket = join(vault.folder, "data", "sallyport.sock");
    chmodSync(socket, 0o666);
    const refused = await me();
    expect(refused.code).toBe(3);
    expect(refused.stderr).toContain("no vault runs in this folder");
    chmodSync(socket, 0o600);
    expect((await me()).code).toBe(0);
  });

  test("is the owner's while there is one user; then who is refused or sees nothing there is told to sign in", async () => {
    const other = await startVault();
    const at = (argv: string, more = {}) =>
      sallyport(argv, { folder: other.folder, env: { ...env, SALLYPORT_NO_WARN: "1", ...more } });
    const hint = "You came by the machine's own socket";
    for (const argv of ["secret list", "secret show NOT_THERE"]) expect((await at(argv)).stderr).not.toContain(hint);

    await other.owner.do("user.create", { body: { login: "ada" } });
    for (const [argv, code] of [
      ["user list", 4],
      ["secret show NOT_THERE", 5],
      ["secret list --all", 0],
      ["run -- true", 125],
    ] as const) {
      const ran = await at(argv);
      expect([argv, ran.code, ran.stderr]).toEqual([argv, code, expect.stringContaining(hint)]);
      expect(ran.stderr).toContain("sallyport login\n");
      const json = await at(`--json ${argv}`);
      expect([json.code, json.stderr.includes(hint)]).toEqual([code, false]);
      expect((await at(argv, { SALLYPORT_TOKEN: other.owner.token ?? "" })).stderr).not.toContain(hint);
    }
    await other.close();
  });

  test("can be named, and a credential that is given counts for more", async () => {
    const ran = await sallyport(`whoami --json --socket ${join(vault.folder, "data", "sallyport.sock")}`, {
      env: { ...env, SALLYPORT_TOKEN: ci },
    });
    expect(JSON.parse(ran.out)).toMatchObject({ type: "service", name: "builds" });
  });
});

describe("--output", () => {
  const owner = () => ({ ...env, SALLYPORT_NO_WARN: "1", SALLYPORT_TOKEN: vault.owner.token ?? "" });

  test("gets a credential that is shown once, with mode 0600 and nothing on stdout", async () => {
    const path = join(folder, "out");
    const ran = await sallyport(`user create olaf --address ${tap.url} --output ${path}`, { env: owner() });
    expect([ran.code, ran.out]).toEqual([0, ""]);
    const given = readFileSync(path, "utf8");
    expect(given).toMatch(/^sp_set_\w+\n$/);
    expect(ran.stderr).not.toContain(given.trim());
    expect(ran.stderr).toContain(`olaf runs: sallyport login --set-up --set-up-file ${path}\n`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const set = await sallyport(`login --set-up-file ${path} --address ${tap.url}`, { env, stdin: "olaf's pass word" });
    expect(set.code).toBe(0);
  });

  test("that cannot be written is found out before anything is made", async () => {
    const ran = await sallyport(`user create ole --address ${tap.url} --output ${folder}/no/such/out`, {
      env: owner(),
    });
    expect(ran.code).toBe(2);
    expect(tap.seen).toEqual([]);
    expect(await vault.owner.code("user.get", { params: { user: "ole" } })).toBe("not_found");
  });
});
