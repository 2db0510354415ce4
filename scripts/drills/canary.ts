import { spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, ownerSetUp, startServer } from "../../test/harness.ts";
import { abuse } from "./canary-abuse.ts";
import { commandLine } from "./canary-cli.ts";
import { canaryOf, findIn, newCanary } from "./canary-forms.ts";
import type { Canary } from "./canary-forms.ts";
import { Heard, ProcessWatch, searchFolder, searchTables } from "./canary-places.ts";
import { tour } from "./canary-tour.ts";
import type { Secrets } from "./canary-tour.ts";
import { Findings } from "./drill.ts";
import type { Drill } from "./drill.ts";
import { loadDriver } from "../../src/storage/sqlite/open.ts";

const Driver = loadDriver();

/** The one file that is meant to hold a credential: the owner's, from the first start. */
const SET_UP_FILE = "owner-set-up.token";

export const canary: Drill = {
  name: "canary",
  what: "requests and commands that carry secrets, to every operation, right and wrong: afterwards no secret stands where it must not",
  async run(size) {
    const found = new Findings();
    const home = await mkdtemp(join(tmpdir(), "sallyport-drill-"));
    const [folder, desk, temporary] = [join(home, "vault"), join(home, "desk"), join(home, "tmp")];
    for (const one of [folder, desk, temporary]) await mkdir(one);
    const stray = newCanary("what was sent to wrong places");
    const fromCli = newCanary("a value of the command line");
    const secrets: Secrets = {
      value: newCanary("a value"),
      binary: newCanary("a binary value"),
      template: newCanary("a value of a template"),
      password: newCanary("a password"),
      issued: [],
    };
    const values = [stray, fromCli, secrets.value, secrets.binary, secrets.template, secrets.password];
    const all = (): Canary[] => [...values, ...secrets.issued];
    const heard = new Heard();
    const processes = new ProcessWatch(all);
    const options = { args: ["--log-level", "trace"], env: { TMPDIR: temporary } };
    let server = await startServer(folder, options);
    try {
      const anonymous = new Client(server.url, null);
      const left = await tour(anonymous, await ownerSetUp(folder), secrets, heard);
      if (left.length > 0) found.fail(`operations that the tour left out: ${left.join(", ")}`);
      const login = { org: "main", login: "owner", password: secrets.password.text };
      const session = (await anonymous.do("session.create", { body: login })).token;
      const sent = await abuse(server.url, session, stray, heard, size);
      const commands = await commandLine(
        { url: server.url, folder: desk, temporary },
        fromCli,
        secrets.password,
        heard,
        found,
        size,
      );

      const early = [...searchFolder(join(folder, "data"), all()), ...searchFolder(temporary, all())];
      for (const one of early) found.fail(`while it ran: ${one}`);
      server.kill("SIGTERM");
      heard.add("what the server printed", (await server.ended).stderr);
      heard.add("what the server printed", server.output());
      server = await startServer(folder, options);
      server.kill("SIGTERM");
      heard.add("what the server printed at its second start", (await server.ended).stderr);

      const titles = processes.stop();
      const places: [string, string[]][] = [
        ["answers and output", heard.search(all())],
        ["files of the vault", searchFolder(folder, all(), [SET_UP_FILE])],
        ["temporary files", searchFolder(temporary, all())],
        ["the command line's own files", searchFolder(join(desk, "config"), values)],
        ["rows and events", searchTables(join(folder, "data", "vault.db"), all())],
        ["processes", titles],
      ];
      for (const [place, hits] of places) for (const hit of hits) found.fail(`${place}: ${hit}`);
      await canFail(found, home, join(folder, "data", "vault.db"), all());
      const requests = heard.length;
      return found.report(
        { sent, commands, "texts searched": requests, secrets: all().length, "looks at processes": processes.looks },
        sent + commands,
      );
    } finally {
      processes.stop();
      server.kill("SIGKILL");
      await rm(home, { recursive: true, force: true });
    }
  },
};

/** The search is worth something only if it finds what is there: each form, planted in each kind of place. */
async function canFail(found: Findings, home: string, database: string, all: readonly Canary[]): Promise<void> {
  const sample = canaryOf("planted", 'planted0123456789"é/\\', "planted0123456789");
  const folder = join(home, "planted");
  await mkdir(folder);
  for (const one of [sample, ...all]) {
    for (const [form, bytes] of one.forms) {
      if (findIn(Buffer.concat([Buffer.from("x y"), bytes, Buffer.from("z")]), [one]).length === 0)
        found.fail(`the search misses ${one.name}, ${form}`);
    }
  }
  const wrapped = [0, 1, 2].map((shift) => Buffer.from("abc".slice(0, shift) + sample.text).toString("base64"));
  for (const text of wrapped)
    if (findIn(Buffer.from(text), [sample]).length === 0) found.fail("the search misses a secret within base64");
  await writeFile(join(folder, "file.log"), `one line\n${sample.text}\n`);
  if (searchFolder(folder, [sample]).length !== 1) found.fail("the search misses a planted file");
  const heard = new Heard();
  heard.add("a body", JSON.stringify({ title: sample.text }));
  if (heard.search([sample]).length !== 1) found.fail("the search misses a planted answer");
  const copy = join(folder, "copy.db");
  await copyFile(database, copy);
  const db = new Driver(copy);
  db.prepare("UPDATE audit_events SET private = ? WHERE rowid = (SELECT max(rowid) FROM audit_events)").run(
    JSON.stringify({ reason: sample.text }),
  );
  db.close();
  if (!searchTables(copy, [sample]).some((one) => one.endsWith("audit_events.private")))
    found.fail("the search misses a planted event");
  const watch = new ProcessWatch(() => [sample], 10);
  const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 600)", sample.text], { stdio: "ignore" });
  await new Promise((resolve) => child.once("exit", resolve));
  if (process.platform === "linux" && watch.stop().length === 0) found.fail("the search misses a planted argument");
  watch.stop();
}
