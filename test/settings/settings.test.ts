import { inspect } from "node:util";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { VaultError, isVaultError } from "#base";
import { SETTINGS, SETTING_NAMES, asGiven, describeOrigin, flagOf, readSettings, variableOf } from "#settings";
import type { Setting, Settings, Sources } from "#settings";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { testUnless } from "../unless.ts";

const NO_OTHER_USER = process.geteuid?.() === 0 ? null : "only root can give a file to another user";

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "sallyport-settings-"))));
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const read = (sources: Partial<Sources> = {}) => readSettings({ flags: {}, env: {}, folder, ...sources });
const put = (text: string | Buffer, name = "sallyport.yaml") => {
  writeFileSync(join(folder, name), text, { mode: 0o644 });
  return join(folder, name);
};
const origin = ({ held }: Settings, name: string) => {
  const one = held.find((row) => row.name === name);
  return one === undefined ? undefined : describeOrigin(one.origin);
};

/** Each fault as `field: message`; throws when there is none. */
async function faults(sources: Partial<Sources>): Promise<string[]> {
  try {
    await read(sources);
  } catch (error) {
    if (!isVaultError(error, "config_invalid")) throw error;
    return (error.detail.faults ?? []).map(({ field, message }) => `${field}: ${message}`);
  }
  throw new Error("no fault was found");
}

/** A right value of each setting that is not its default, as a text. */
const RIGHT: Readonly<Record<string, string>> = {
  data: "/a",
  keys: "/b",
  listen: "[::1]:9",
  checkpoints: "/c",
  logLevel: "debug",
  org: "acme",
  owner: "ada",
  insecurePlainHttp: "true",
  trustedProxies: "10.0.0.5,fd00::/8",
  tlsCertificate: "/d",
  tlsKey: "/e",
  tlsClientAuthority: "/f",
  tlsClientAuth: "required",
  store: "postgres://app@db1:5432,db2/vault?sslmode=verify-full",
  storePasswordFile: "/g",
  storeMigrate: "postgresql://owner@[::1]/vault",
  storeConnections: "30",
  requestsPerSecond: "7",
  requestsPerSecondPerCredential: "8",
  maxFailures: "9",
  maxInFlight: "10",
  maxMemoryMb: "512",
  metrics: "any",
  drainDelaySeconds: "11",
  drainSeconds: "12",
};
/** What a setting cannot stand without, or not beside. */
const BESIDE: Readonly<Record<string, Record<string, string>>> = {
  storePasswordFile: { store: "postgres://app@db/vault" },
  storeMigrate: { store: "postgres://app@db/vault" },
  tlsCertificate: { tlsKey: "/k" },
  tlsKey: { tlsCertificate: "/k" },
  tlsClientAuthority: { tlsCertificate: "/k", tlsKey: "/k", tlsClientAuth: "optional" },
  tlsClientAuth: { tlsCertificate: "/k", tlsKey: "/k", tlsClientAuthority: "/k" },
};

describe("each setting", () => {
  test.each(SETTING_NAMES)(
    "`%s` comes from its option, else its variable, else the file, else its default",
    async (name) => {
      const flags = BESIDE[name] ?? {};
      const right = RIGHT[name] ?? "?";
      const held = (settings: Settings) => String(settings.held.find((row) => row.name === name)?.value);
      const shown = SETTINGS[name].otherwise;
      const bare = await read();
      expect(origin(bare, name)).toBe("default");
      if (shown !== null && !shown.startsWith("./")) expect(held(bare)).toBe(shown);

      const path = put(`# mine\n${name}: ${JSON.stringify(right)}\n`);
      const fromFile = await read({ flags });
      expect([held(fromFile), origin(fromFile, name)]).toEqual([right, `${path}:2`]);

      const env = { [variableOf(name)]: right };
      put(`${name}: "non,sense"\n`);
      const fromVariable = await read({ flags, env });
      expect([held(fromVariable), origin(fromVariable, name)]).toEqual([right, variableOf(name)]);

      const fromFlag = await read({ flags: { ...flags, [name]: right }, env: { [variableOf(name)]: "non,sense" } });
      expect([held(fromFlag), origin(fromFlag, name)]).toEqual([right, flagOf(name)]);
    },
  );
});

describe("a wrong setting stops the start", () => {
  const WRONG: Readonly<Record<string, readonly string[]>> = {
    data: [""],
    keys: ["", "a\0b"],
    listen: ["", "7433", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", "::1:80", "[1.2.3.4]:80", "[::1]", "a b:1"],
    checkpoints: [""],
    logLevel: ["", "loud", "INFO", "silent"],
    org: ["", "Main", "a b", "-a", "x".repeat(64)],
    owner: ["", "Ann", "a@b@c"],
    insecurePlainHttp: ["", "yes", "TRUE", "on"],
    trustedProxies: [
      "everybody",
      "10.0.0.0/33",
      "fe80::/129",
      "10.0.0.0/",
      "10.0.0.0/8/8",
      "fe80::1%eth0",
      "10.0.0.1;::1",
    ],
    tlsCertificate: [""],
    tlsKey: [""],
    tlsClientAuthority: [""],
    tlsClientAuth: ["", "yes", "require"],
    store: ["", "sqlite:", "postgres", "postgres://", "mysql://a@b/c", "postgres://a@b/c d"],
    storePasswordFile: [""],
    storeMigrate: ["", "sqlite", "owner@db/vault"],
    storeConnections: ["", "1", "1001", "many"],
    requestsPerSecond: ["", "0", "-1", "1.5", "1e3", "1000001", "٣"],
    requestsPerSecondPerCredential: ["0"],
    maxFailures: ["0"],
    maxInFlight: ["0", "many"],
    maxMemoryMb: ["0", "63", "512M"],
    metrics: ["", "on", "all"],
    drainDelaySeconds: ["-1", "3601", "5s"],
    drainSeconds: ["-1", "3601"],
  };

  test.each(SETTING_NAMES)("`%s` of another form", async (name) => {
    const texts = WRONG[name] ?? [];
    expect(texts.length).toBeGreaterThan(0);
    const { form }: Setting<unknown>["kind"] = SETTINGS[name].kind;
    for (const text of texts)
      expect(await faults({ flags: { [name]: text } }), text).toEqual([`${flagOf(name)}: ${form}`]);
  });

  test("and all faults are named at once, each as it was said", async () => {
    const path = put("listen: nonsense\ndrainSeconds: [1]\n");
    const found = await faults({ flags: { org: "BAD" }, env: { SALLYPORT_METRICS: "on", SALLYPORT_OWNR: "x" } });
    expect(found.map((fault) => fault.split(": ")[0])).toEqual([
      "SALLYPORT_OWNR",
      `${path}:1 listen`,
      "--org",
      "SALLYPORT_METRICS",
      `${path}:2 drainSeconds`,
    ]);
  });

  test("a value that is wrong is not repeated", async () => {
    put("listen: hunter2\nhunter3: hunter2\n");
    const found = await faults({
      flags: { org: "HUNTER2" },
      env: { SALLYPORT_METRICS: "hunter2", SALLYPORT_X: "hunter2" },
    });
    expect(found).toHaveLength(5);
    expect(found.join().toLowerCase()).not.toContain("hunter2");
  });

  test.each<[string, Record<string, string>, string]>([
    ["plain HTTP beyond loopback", { listen: "0.0.0.0:1" }, "--listen: plain HTTP only"],
    [
      "a certificate without its key",
      { tlsCertificate: "/c" },
      "--tls-certificate: a certificate needs its private key",
    ],
    ["a key without its certificate", { tlsKey: "/k" }, "--tls-key: a private key needs its certificate"],
    [
      "TLS and plain HTTP",
      { tlsCertificate: "/c", tlsKey: "/k", insecurePlainHttp: "true" },
      "--insecure-plain-http: TLS or",
    ],
    [
      "an authority that nobody is asked for",
      { tlsCertificate: "/c", tlsKey: "/k", tlsClientAuthority: "/a" },
      "--tls-client-authority: nobody would be asked",
    ],
    [
      "clients' certificates without an authority",
      { tlsCertificate: "/c", tlsKey: "/k", tlsClientAuth: "required" },
      "--tls-client-auth: clients' certificates need the authority",
    ],
    [
      "clients' certificates without TLS",
      { tlsClientAuthority: "/a", tlsClientAuth: "optional" },
      "--tls-client-auth: clients show certificates only over TLS",
    ],
  ])("%s", async (_, flags, fault) => {
    const found = await faults({ flags });
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(fault);
  });

  test("settings that do not go together name each other as they were given: option, variable or name in the file", async () => {
    const option = await faults({ flags: { tlsClientAuth: "required" } });
    expect(option).toEqual([
      "--tls-client-auth: clients' certificates need the authority that signed them: --tls-client-authority",
      "--tls-client-auth: clients show certificates only over TLS: give --tls-certificate and --tls-key",
    ]);
    const variable = await faults({ env: { SALLYPORT_TLS_KEY: "/k" } });
    expect(variable).toEqual(["SALLYPORT_TLS_KEY: a private key needs its certificate: SALLYPORT_TLS_CERTIFICATE"]);
    const path = put("tlsCertificate: /c\n");
    expect(await faults({})).toEqual([`${path}:1 tlsCertificate: a certificate needs its private key: tlsKey`]);
  });

  test("what is found wrong with a setting when it is used is named as it was given, too", async () => {
    const { held } = await read({ flags: { tlsKey: "/k", tlsCertificate: "/c" }, env: { SALLYPORT_DATA: "/d" } });
    const found = ["tlsKey", "data", "keys", "elsewhere"].map((field) => ({ field, message: "is wrong" }));
    const error = asGiven(new VaultError("config_invalid", undefined, { detail: { faults: found } }), { held });
    expect(isVaultError(error, "config_invalid") ? error.detail.faults?.map(({ field }) => field) : null).toEqual([
      "--tls-key",
      "SALLYPORT_DATA",
      "--keys (SALLYPORT_KEYS)",
      "elsewhere",
    ]);
    const other = new VaultError("key_file_unsafe");
    expect(asGiven(other, { held })).toBe(other);
  });

  test("and what is right beside another is taken", async () => {
    const tls = { tlsCertificate: "c.pem", tlsKey: "k.pem" };
    const { config } = await read({
      flags: { ...tls, listen: "0.0.0.0:1", tlsClientAuthority: "a.pem", tlsClientAuth: "optional" },
    });
    expect(config.tls).toEqual({
      certificateFile: join(folder, "c.pem"),
      keyFile: join(folder, "k.pem"),
      clientAuthorityFile: join(folder, "a.pem"),
      clientAuth: "optional",
    });
    expect((await read()).config.tls).toBeNull();
    expect((await read({ flags: { listen: "0.0.0.0:1", insecurePlainHttp: "1" } })).config.host).toBe("0.0.0.0");
  });
});

describe("variables", () => {
  test("one that is misspelt, or of nobody, is a fault; the likely one is named", async () => {
    expect(
      await faults({ env: { SALLYPORT_DRAIN_SECOND: "1", SALLYPORT_TLSKEY: "/k", SALLYPORT_COLOUR: "red" } }),
    ).toEqual([
      "SALLYPORT_DRAIN_SECOND: there is no such setting; did you mean SALLYPORT_DRAIN_SECONDS?",
      "SALLYPORT_TLSKEY: there is no such setting; did you mean SALLYPORT_TLS_KEY?",
      "SALLYPORT_COLOUR: there is no such setting",
    ]);
  });

  test("empty ones, the command line's own, and those that Kubernetes makes of a service's name are none", async () => {
    const env = {
      SALLYPORT_LISTEN: "",
      SALLYPORT_NONSENSE: "",
      SALLYPORT_TOKEN: "x",
      SALLYPORT_SERVICE_HOST: "10.0.0.1",
      SALLYPORT_SERVICE_PORT: "7433",
      SALLYPORT_SERVICE_PORT_HTTP: "7433",
      SALLYPORT_PORT: "tcp://10.0.0.1:7433",
      SALLYPORT_PORT_7433_TCP: "tcp://10.0.0.1:7433",
      SALLYPORT_PORT_7433_TCP_ADDR: "10.0.0.1",
      SALLYPORT_METRICS_SERVICE_HOST: "10.0.0.2",
    };
    const { held } = await read({ env, otherVariables: ["SALLYPORT_TOKEN"] });
    expect(held.map(({ origin: one }) => one.from)).toEqual(SETTING_NAMES.map(() => "default"));
    expect(await faults({ env })).toHaveLength(1);
  });
});

describe("a database's password", () => {
  const PASSWORD = "sw0rdf!sh";
  const url = `postgres://app:${PASSWORD}@db/vault?sslmode=disable`;

  test("is taken from a variable, and shown nowhere", async () => {
    const settings = await read({ env: { SALLYPORT_STORE: url, SALLYPORT_STORE_MIGRATE: url } });
    for (const name of ["store", "storeMigrate"] as const) {
      const held = settings.held.find((one) => one.name === name);
      expect(held?.value).toBe("postgres://app@db/vault?sslmode=disable");
    }
    expect(inspect(settings, { depth: 9 }) + JSON.stringify(settings)).not.toContain(PASSWORD);
    expect(settings.config.store).toMatchObject({ engine: "postgres" });
  });

  test("is not shown of an address that is none either, because something in it is not escaped", async () => {
    const wrong = ["/", "?", "#", "@", ":", "/@", "?x=", "@/", "%"].map((sign) => `a${sign}${PASSWORD}${sign}b`);
    const urls = wrong.flatMap((word) => [
      `postgres://app:${word}@db/vault`,
      `postgres://:${word}@db/vault?sslmode=disable`,
    ]);
    for (const one of [
      ...urls,
      `postgres://app@db/vault?password=${PASSWORD}`,
      `postgres://app@db/vault?sslmode=disable&password=${PASSWORD}`,
    ]) {
      const settings = await read({ env: { SALLYPORT_STORE: one, SALLYPORT_STORE_MIGRATE: one } });
      expect(JSON.stringify(settings.held)).not.toContain(PASSWORD);
      await expect(read({ flags: { store: one } })).rejects.toMatchObject({
        detail: { faults: [{ message: expect.stringContaining("holds a password") }] },
      });
    }
    const whole = "postgres://app@db:5432,[::1]:6432/vault?sslmode=verify-full&sslrootcert=/etc/ca.pem";
    const { held } = await read({ flags: { store: whole } });
    expect(held.find(({ name }) => name === "store")?.value).toBe(whole);
  });

  test("is refused in an option and in a file, by name and without it", async () => {
    for (const name of ["store", "storeMigrate"] as const) {
      const inOption = await read({ flags: { ...BESIDE[name], [name]: url } }).catch((error: unknown) => error);
      put(`${name}: "${url}"\n${name === "store" ? "" : "store: postgres://app@db/vault\n"}`);
      const inFile = await read().catch((error: unknown) => error);
      for (const error of [inOption, inFile]) {
        expect(error).toMatchObject({ code: "config_invalid", detail: { faults: [{ message: /holds a password/ }] } });
        expect(inspect(error, { depth: 9 })).not.toContain(PASSWORD);
      }
    }
  });
});

describe("the settings file", () => {
  test("is YAML or JSON, with numbers, booleans and lists as they are written there", async () => {
    const asYaml =
      "# comment\ninsecurePlainHttp: true\ndrainSeconds: 5\ntrustedProxies:\n  - 10.0.0.5\n  - fd00::/8\norg: no\n";
    const asJson = `{\n\t"insecurePlainHttp": true,\n\t"drainSeconds": 5,\n\t"trustedProxies": ["10.0.0.5", "fd00::/8"],\n\t"org": "no"\n}`;
    for (const path of [put(asYaml), put(asJson, "s.json")]) {
      const { config, file } = await read({ file: path });
      expect(file).toBe(path);
      expect(config).toMatchObject({
        insecurePlainHttp: true,
        drainSeconds: 5,
        trustedProxies: ["10.0.0.5", "fd00::/8"],
        org: "no",
      });
    }
    for (const empty of ["", "# nothing\n", "---\n", "{}"]) {
      put(empty);
      expect((await read()).held.every(({ origin: one }) => one.from === "default")).toBe(true);
    }
  });

  test("is named by --config, else SALLYPORT_CONFIG, else found in the working folder", async () => {
    put("org: found");
    const named = put("org: named", "named.yaml");
    put("org: typed", "typed.yaml");
    const env = { SALLYPORT_CONFIG: named };
    expect((await read()).config.org).toBe("found");
    expect((await read({ env })).config.org).toBe("named");
    expect((await read({ env, file: "typed.yaml" })).config.org).toBe("typed");
    expect((await read({ env: { SALLYPORT_CONFIG: "" } })).config.org).toBe("found");
  });

  test("starts relative paths in its own folder, everything else in the working folder", async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), "sallyport-settings-"));
    try {
      writeFileSync(join(elsewhere, "s.yaml"), "data: d\n");
      const { config } = await read({ file: join(elsewhere, "s.yaml"), env: { SALLYPORT_KEYS: "k" } });
      expect(config).toMatchObject({
        dataFolder: join(elsewhere, "d"),
        checkpointFile: join(elsewhere, "d", "checkpoints.log"),
        keysFolder: join(folder, "k"),
      });
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  test.each<[string, string, string]>([
    ["an unknown key", "drain-seconds: 5\n", ":1 drain-seconds: there is no such setting; did you mean drainSeconds?"],
    ["a key of nobody", "x:\n  y: 1\n", ":1 x: there is no such setting"],
    ["a prototype's key", "__proto__: 1\n", ":1 __proto__: there is no such setting"],
    ["a key twice", "org: a\norg: b\n", ":2: this key stands here a second time"],
    ["a map where a value belongs", "org:\n  name: a\n", ":1 org: lower-case"],
    ["nothing where a value belongs", "org:\n", ":1 org: lower-case"],
    ["a list where one value belongs", "org: [a]\n", ":1 org: lower-case"],
    ["a list in a list", "trustedProxies: [[10.0.0.1]]\n", ":1 trustedProxies: addresses"],
    ["a comma in a list's item", 'trustedProxies: ["10.0.0.1,10.0.0.2"]\n', ":1 trustedProxies: addresses"],
    ["an alias", "org: &a x\nowner: *a\n", ":2 owner: lower-case"],
    ["a list", "- a\n", ": a map of settings is expected"],
    ["a word", "hello\n", ": a map of settings is expected"],
    ["two documents", "org: a\n---\norg: b\n", "this is not YAML or JSON"],
    ["no YAML", "org: [a\nowner: b", "this is not YAML or JSON"],
    ["a tag", "org: !!js/function a\n", "this is not YAML or JSON"],
  ])("is refused for %s", async (_, text, fault) => {
    const path = put(text);
    const found = await faults({});
    expect(found.every((one) => one.startsWith(path))).toBe(true);
    expect(found.join("\n")).toContain(fault);
  });

  test("is refused where it is not there, no file, not text, too large, or others may write it", async () => {
    expect(await faults({ file: "nowhere.yaml" })).toEqual([`${join(folder, "nowhere.yaml")}: there is no such file`]);
    expect((await faults({ file: folder }))[0]).toContain("a file is expected");
    const path = put(Buffer.from([0x6f, 0x72, 0x67, 0x3a, 0x20, 0xff]));
    expect(await faults({})).toEqual([`${path}: it is not UTF-8`]);
    put("#".repeat(300_000));
    expect(await faults({})).toEqual([`${path}: it is too large to be one of settings`]);
    put("org: a\n");
    for (const mode of [0o646, 0o664, 0o666]) {
      chmodSync(path, mode);
      const fault = `${path}: others than its owner may write it: chmod go-w '${path}'`;
      expect(await faults({})).toEqual([fault]);
      // Named or found: whoever writes it chooses where secrets go.
      expect(await faults({ file: path })).toEqual([fault]);
    }
    for (const mode of [0o400, 0o600, 0o644, 0o755]) {
      chmodSync(path, mode);
      expect((await read()).config.org).toBe("a");
    }
  });

  testUnless(NO_OTHER_USER)("of another user is refused where it was found, and taken where it was named", async () => {
    const path = put("org: a\n");
    chownSync(path, 65_534, 65_534);
    const [fault] = await faults({});
    expect(fault).toContain(`${path}: it is another user's (65534)`);
    expect(fault).toContain("chown");
    expect((await read({ file: path })).config.org).toBe("a");
  });
});

test("the memory limit follows from what the machine or container has, and can be set", async () => {
  const { maxMemoryMb } = (await read()).config;
  expect(maxMemoryMb).toBeGreaterThanOrEqual(192);
  expect(maxMemoryMb * 1024 * 1024).toBeLessThan(totalmem());
  expect((await read({ flags: { maxMemoryMb: "777" } })).config.maxMemoryMb).toBe(777);
});
