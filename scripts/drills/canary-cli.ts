import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FORMAT_NAMES } from "#contract";
import { sallyport } from "../../test/harness.ts";
import type { Ran } from "../../test/harness.ts";
import { findIn } from "./canary-forms.ts";
import type { Canary } from "./canary-forms.ts";
import type { Heard } from "./canary-places.ts";
import type { Findings, Size } from "./drill.ts";

interface Desk {
  readonly url: string;
  /** Where the commands run; what they are told to write lies in `written/`. */
  readonly folder: string;
  readonly temporary: string;
}

/**
 * The command line with a secret at every place where one is meant to be, and at some where none is. What it prints is
 * heard, but for where a value was asked for.
 */
export async function commandLine(
  desk: Desk,
  value: Canary,
  password: Canary,
  heard: Heard,
  found: Findings,
  size: Size,
): Promise<number> {
  const written = join(desk.folder, "written");
  await mkdir(written, { recursive: true });
  let count = 0;
  const base = {
    SALLYPORT_ADDRESS: desk.url,
    SALLYPORT_NO_KEYRING: "1",
    XDG_CONFIG_HOME: join(desk.folder, "config"),
    HOME: desk.folder,
    TMPDIR: desk.temporary,
  };
  interface More {
    readonly input?: string | Buffer;
    readonly env?: Record<string, string>;
    readonly cwd?: string;
    /** The exit code; any failure, where it is not said. */
    readonly fails?: true | number;
    /** The value may stand on stdout, because it was asked for. */
    readonly shows?: true;
    /** How it ends is the machine's to say, as that of a diagnosis. */
    readonly endsAnyhow?: true;
  }
  async function run(args: string, more: More = {}): Promise<Ran> {
    count += 1;
    const ran = await sallyport(args.split(" "), {
      cwd: more.cwd ?? desk.folder,
      env: { ...base, ...more.env },
      input: more.input ?? "",
    });
    const asExpected =
      more.fails === undefined ? ran.code === 0 : more.fails === true ? ran.code !== 0 : ran.code === more.fails;
    if (!asExpected && more.endsAnyhow !== true)
      found.fail(`sallyport ${args} ended with ${String(ran.code ?? ran.signal)}: ${ran.stderr.slice(0, 300)}`);
    heard.add(`stderr of sallyport ${args}`, ran.stderr);
    if (more.shows === undefined) heard.add(`stdout of sallyport ${args}`, ran.stdout);
    return ran;
  }
  /** Of what goes wrong a small run does a part. */
  let met = 0;
  async function wrong(args: string, more: More = {}): Promise<void> {
    met += 1;
    if (size === "full" || met % 5 === 0) await run(args, { fails: true, ...more });
  }
  /** Of what only looks, a small run does a part as well. */
  let looked = 0;
  async function look(args: string, more: More = {}): Promise<void> {
    looked += 1;
    if (size === "full" || looked % 3 === 1) await run(args, more);
  }
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(written, name);
    await writeFile(path, text, { mode: 0o600 });
    return path;
  };

  // As it is meant.
  await run("login --org main --login owner --password-stdin", { input: `${password.text}\n` });
  await run("secret set CLI_VALUE", { input: value.text });
  await run(`secret set CLI_FILE --file ${await file("value", value.text)}`);
  await run("--json secret set CLI_VALUE", { input: `${value.text} again` });
  await run("secret set CLI_VALUE", { input: value.text });
  for (const args of [
    "secret show CLI_VALUE",
    "secret list",
    "secret versions CLI_VALUE",
    "secret list --json",
    "status",
  ])
    await look(args);
  const revealed = await run("secret reveal CLI_VALUE --reason drill", { shows: true });
  found.must(revealed.stdout.includes(value.text), "secret reveal did not show the value that was asked for");
  const child = `${process.execPath} -e process.exit(process.env.CLI_VALUE?.length>9?7:8)`;
  await run(`run -- ${child}`, { fails: 7 });
  await run(`token mint default --env dev --count 3 --output ${join(written, "tokens")}`);
  const minted = await run("token mint default --env dev", { shows: true });
  const token = await file("token", minted.stdout.trim());
  await run(`token lookup --token-file ${token}`);
  await run(
    `exchange --token-file ${token} --output ${join(written, "exchanged")} --lease-file ${join(written, "lease")}`,
  );
  await run(`lease show --token-file ${join(written, "lease")}`);
  const shown = await sallyport(["exchange", "--token-fd", "0"], {
    cwd: desk.folder,
    env: base,
    input: (await run("token mint default --env dev", { shows: true })).stdout,
  });
  found.must(
    findIn(Buffer.from(shown.stdout), [value]).length > 0,
    `exchange did not show the values that were asked for: ${String(shown.code)} ${shown.stderr.slice(0, 300)}`,
  );
  heard.add("stderr of exchange", shown.stderr);

  // Files of many, from place to place, and what is asked of them.
  const json = JSON.stringify({ FILE_A: value.text, FILE_B: { value: value.text, tags: ["many"] } });
  const many = await file("many.json", json);
  await run(`secret import ${many} --preview`);
  await run(`secret import ${many} --yes`);
  await run(`secret import ${many} --yes --json`);
  await run(`secret import ${await file("many.yaml", `FILE_C: |\n  ${value.text}\n`)} --yes`);
  await run(`secret import - --format dotenv --yes`, { input: `FILE_D='${value.text}'\n` });
  await run("secret copy FILE_A FILE_B --to prod --yes");
  await run("secret move FILE_C --to prod --yes");
  await run("secret compare dev/default prod/default", { fails: 1 });
  await run("secret compare dev/default prod/default --values --reason drill", { fails: 1 });
  await run("secret generate MADE");
  for (const args of [
    "secret search --contains file_",
    "secret uses CLI_VALUE",
    "secret export",
    "secret export --all",
  ])
    await look(args);
  for (const format of size === "full" ? FORMAT_NAMES : ["json" as const])
    await run(`export --env dev --format ${format} --output ${join(written, `exported.${format}`)}`);
  await run("export --env dev --format kubernetes", { shows: true });
  await run("doctor --json", { env: { SALLYPORT_ADDRESS: "" }, endsAnyhow: true });
  for (const shell of ["bash", "zsh", "fish"]) {
    await look(`complete ${shell} -- secret reveal M`);
    await look(`completion ${shell}`);
  }
  await look("audit list --limit 50");
  await look("audit verify");

  // As it happens.
  await wrong("secret set CLI_VALUE --env nowhere", { input: value.text });
  await wrong("secret set CLI_VALUE --if-version 999", { input: value.text });
  await wrong("secret set CLI_VALUE --create", { input: value.text });
  await wrong("secret set not-a-name", { input: value.text });
  await wrong("secret set CLI_BIG", { input: value.text.repeat(900) });
  await wrong("secret sett CLI_VALUE", { input: value.text });
  await wrong("login --org main --login owner --password-stdin --profile wrong", { input: value.text });
  await wrong("login --set-up --profile wrong", { input: `${value.text}\n${password.text}\n` });
  await wrong(`exchange --token-file ${token}`);
  await wrong(`exchange --token-file ${await file("no-token", value.text)}`);
  await wrong(`whoami --credential-file ${await file("no-credential", value.text)}`);
  await wrong(`run --token-file ${await file("none", `${value.text}\n`)} -- ${child}`, { fails: 125 });
  await wrong("whoami", { env: { SALLYPORT_TOKEN: value.text.replace(/[^\x20-\x7e]/g, "") } });
  await wrong("whoami --address http://127.0.0.1:1", { env: { SALLYPORT_TOKEN: value.text } });
  await wrong("workload create job", { env: { SALLYPORT_NAMESPACE: value.text } });
  await wrong(`workload save job --file ${await file("manifest.json", `{"variables": ${value.text}`)}`);
  const project = join(desk.folder, "project");
  await mkdir(project, { recursive: true });
  await writeFile(join(project, ".sallyport.json"), `{"environment": ${value.text}}`);
  await wrong("secret list", { cwd: project });
  await wrong(`secret set CLI_VALUE --json`, {
    input: value.text,
    env: { SALLYPORT_ENVIRONMENT: "nowhere" },
  });
  const spoilt = { dotenv: value.text, json: `{"A": "${value.text}`, yaml: `A: "${value.text}"\n  B: [` };
  for (const [format, text] of Object.entries(spoilt))
    await wrong(`secret import ${await file(`spoilt.${format}`, text)} --format ${format} --yes`);
  await wrong("secret import - --format json --yes", { input: JSON.stringify({ A: [value.text] }) });
  await wrong("secret import - --format json --yes", { input: JSON.stringify({ A: { value: 1, [value.text]: "x" } }) });
  await wrong("secret import - --format json --yes", { input: JSON.stringify({ [value.text]: "x" }) });
  await wrong("secret import - --format yaml --yes", { input: `A: &a ${value.text}\nB: *a\n` });
  await wrong("secret import - --format dotenv --yes", { input: `A=b\n${value.text}\nC='${value.text}` });
  await wrong("secret import - --format json --yes --env nowhere", { input: json });
  await wrong("secret copy FILE_A --to nowhere --yes");
  const settings = await file("settings.yaml", `listen: ${JSON.stringify(value.text)}\n`);
  for (const command of ["config", "doctor", "up"]) await wrong(`${command} --config ${settings}`);
  await wrong("config", { env: { SALLYPORT_LISTEN: value.text } });
  await wrong(`config --config ${await file("no-settings.yaml", value.text)}`);
  await run("logout");
  return count;
}
