import { CATALOG } from "#contract";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PASSWORD, startVault } from "../harness.ts";
import type { TestVault } from "../harness.ts";
import { NOUNS } from "../../src/cli/nouns.ts";
import { sallyport, surroundings } from "./harness.ts";
import type { Ran } from "./harness.ts";
import { Tap } from "./tap.ts";

let vault: TestVault;
let tap: Tap;
let folder: string;
beforeAll(async () => {
  vault = await startVault();
  tap = await Tap.before(vault.url);
  folder = mkdtempSync(join(tmpdir(), "sallyport-cli-"));
});
afterAll(async () => {
  await tap.close();
  await vault.close();
  rmSync(folder, { recursive: true });
});

/**
 * A day with a vault, in which every command is used. `{F}` is a folder, `{inj}`, `{grt}`, `{crd}` and `{ses}` are the ids
 * that were seen last; what follows `<` is stdin.
 */
const DAY = `
status
config
completion bash
whoami
org show
org update --reveal admins --viewer-audit scope
org list
org create acme --owner ada --output {F}/acme
role list

env list
env create agent-7 --mode private
env show agent-7
env update agent-7 --local-run on
env disable agent-7
env enable agent-7
env delete agent-7 --yes
ns create payments
ns create data-pipelines
ns list
ns delete payments --yes

secret set DB_URL --tag database < one
secret set DB_URL --if-version 1 < two
secret set STRIPE_KEY -n data-pipelines --env prod --create < three
secret list
secret list --all --prefix STRIPE_
secret show DB_URL
secret reveal DB_URL --reason incident-4711
secret update DB_URL --description main --rotate-by 90d
secret versions DB_URL
secret rollback DB_URL 1
secret policy DB_URL --allow-namespace data-pipelines
secret destroy DB_URL 2 --yes
secret delete DB_URL --yes
secret restore DB_URL
secret generate SESSION_KEY --kind passphrase --length 9
secret import {F}/secrets.yaml --yes
secret import {F}/secrets.yaml --preview
secret export
secret search --contains db --rotate-within 180d
secret uses DB_URL
secret copy DB_URL --to dev/data-pipelines --yes
secret move DB_URL -n data-pipelines --to dev/default --as MOVED --yes
secret copy STRIPE_KEY --env prod -n data-pipelines --to dev --yes
secret compare dev prod -n data-pipelines --values --reason release

workload create data-pipelines/etl
workload list --all
workload list -n data-pipelines
workload update data-pipelines/etl --description nightly
workload save data-pipelines/etl --secret STRIPE_KEY --value LOG_LEVEL=info
workload save data-pipelines/etl --secret STRIPE_KEY --value LOG_LEVEL=debug
workload versions data-pipelines/etl
workload manifest data-pipelines/etl 1
workload diff data-pipelines/etl 2
workload pin data-pipelines/etl STRIPE_KEY@1
workload unpin data-pipelines/etl STRIPE_KEY
deploy data-pipelines/etl --env prod
workload show data-pipelines/etl

token mint data-pipelines/etl --env prod --output {F}/token
token lookup --token-file {F}/token
exchange --token-file {F}/token --format dotenv --output {F}/.env --lease-file {F}/lease
lease show --token-file {F}/lease
lease renew --token-file {F}/lease
lease end --token-file {F}/lease --exit-code 0
token mint data-pipelines/etl --env prod --output {F}/token
injection list --env prod --limit 10
injection show {inj}
injection revoke {inj}
run --workload data-pipelines/etl --env prod -- true
export --workload data-pipelines/etl --env prod --format kubernetes --kubernetes-name etl --output {F}/secret.yaml
export --workload data-pipelines/etl --env prod --format toml --output {F}/secret.yaml --force

user create ada --role admin --output {F}/ada
user list
user show ada
user invite ada --output {F}/ada
user update ada --role member
user disable ada
user enable ada
service-user create etl-runner --kind runner --output {F}/runner
service-user list
service-user update etl-runner --description db-1
service-user new-token etl-runner --expires 90d --output {F}/runner
service-user show etl-runner
service-user end-token etl-runner {crd}
service-user disable etl-runner
service-user enable etl-runner
grant create etl-runner runner --env prod --workload data-pipelines/etl
grant list --principal etl-runner
grant delete {grt}
service-user delete etl-runner --yes
user delete ada --yes

audit list --limit 20
audit list --instance --limit 20
audit verify
audit verify --instance
audit checkpoints --limit 5
audit checkpoints --instance

workload undeploy data-pipelines/etl --env prod
workload disable data-pipelines/etl
workload enable data-pipelines/etl
workload delete data-pipelines/etl --yes
`;

test("Every command works against a real vault, for people and as JSON, and together they use every operation", async () => {
  const { token } = vault.owner;
  const known = surroundings(folder, { SALLYPORT_ADDRESS: tap.url, SALLYPORT_TOKEN: token ?? "" });
  writeFileSync(join(folder, "secrets.yaml"), "API_KEY: c4nary\nDB_URL: { description: of the app }\n", {
    mode: 0o600,
  });
  const seen = new Map<string, string>();
  const used = new Set<string>();
  const type = async (line: string, env: Record<string, string>, stdin?: string): Promise<Ran> => {
    const argv = line.replaceAll("{F}", folder).replace(/\{(\w+)\}/g, (_, prefix: string) => seen.get(prefix) ?? "?");
    const ran = await sallyport(argv, { env, folder, ...(stdin === undefined ? {} : { stdin }) });
    expect([argv, ran.code, ran.stderr]).toEqual([argv, 0, ran.stderr]);
    expect(ran.out + ran.stderr).not.toContain("c4nary");
    // The first of a list is the newest.
    for (const [id, prefix] of [...ran.out.matchAll(/\b([a-z]{3})_[0-9a-hjkmnp-tv-z]{26}\b/g)].reverse())
      seen.set(prefix ?? "", id);
    const [noun = "", verb = ""] = line.split(" ");
    used.add(noun).add(`${noun} ${verb}`);
    return ran;
  };

  for (const line of DAY.split("\n").filter((one) => one !== "")) {
    const [typed = "", stdin] = line.split(" < ");
    if (
      / (list|show|versions|checkpoints|verify|manifest|diff|lookup|search|uses|export|compare)\b|^(status|whoami)/.test(
        typed,
      )
    ) {
      const ran = await type(`${typed} --json`, known, stdin);
      expect(JSON.parse(ran.out)).toEqual(expect.anything());
    }
    await type(typed, known, stdin);
  }

  // What is about a session takes one.
  const signedIn = surroundings(folder);
  await type(`login --address ${tap.url} --org main --login owner --password-stdin`, signedIn, PASSWORD);
  await type("session list", signedIn);
  const sessions = JSON.parse((await type("session list --json", signedIn)).out) as { id: string; current: boolean }[];
  seen.set("ses", sessions.find((one) => !one.current)?.id ?? "?");
  await type("session end {ses}", signedIn);
  await type("password", signedIn, `${PASSWORD}\nanother pass phrase\n`);
  const { setUpToken } = await vault.anonymous
    .as(
      (
        await vault.anonymous.do("session.create", {
          body: { org: "main", login: "owner", password: "another pass phrase" },
        })
      ).token,
    )
    .do("user.create", { body: { login: "eve" } });
  await type("logout", signedIn);
  await type(`status --address ${tap.url}`, signedIn);
  await type("config", known);
  await type("doctor --listen 127.0.0.1:0", known);
  await type("db roles", known);
  await type("db status", known);
  await type("completion bash", known);
  writeFileSync(join(folder, "eve"), setUpToken, { mode: 0o600 });
  await type(`login --address ${tap.url} --set-up-file ${folder}/eve`, signedIn, "eve's pass phrase");

  const all = new Set<string>();
  for (const [name, row] of Object.entries(NOUNS)) {
    const loaded = await row.load();
    if ("commands" in loaded) for (const { name: verb } of loaded.commands) all.add(`${name} ${verb}`);
    else all.add(name);
  }
  expect([...all].filter((command) => !used.has(command))).toEqual([
    "up",
    // They ask no vault: systemd.test.ts tries them.
    "systemd server",
    "systemd socket",
    "systemd runner",
    // It changes a database: db.test.ts tries it.
    "db migrate",
    // For a vault that is stopped: migrate.test.ts.
    "migrate",
  ]);

  const succeeded = tap.seen.filter(({ status }) => status < 400).map(({ asked }) => asked.split("?")[0] ?? "");
  const unused = Object.entries(CATALOG).filter(([, { method, path }]) => {
    const one = new RegExp(`^${method} ${path.replace(/\{\w+\}/g, "[^/]+").replaceAll(".", "\\.")}$`);
    return !succeeded.some((asked) => one.test(asked));
  });
  expect(unused.map(([id]) => id)).toEqual(["health.live", "metrics.get", "openapi.get"]);
});
