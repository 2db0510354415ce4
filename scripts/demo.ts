/**
 * The main job of the vault, from the first start to the proof: `npm run demo`.
 *
 * A real server process on a temporary folder, driven by its command line and its API as five people would. What stands
 * after a `$` is run by a shell exactly as it is printed, and held against what should come of it: the demo exits with 0
 * only if all of it is so. No value, password or token stands in a command line or in what is printed.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NotAsItShouldBe } from "./demo/failure.ts";
import { Stage } from "./demo/stage.ts";
import { Teller } from "./demo/teller.ts";

process.umask(0o077);
const print = (line: string) => void process.stdout.write(`${line}\n`);
try {
  const stage = new Stage();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      stage.clear();
      process.exit(130);
    });
  }
  try {
    await story(stage);
  } finally {
    stage.clear();
  }
} catch (error) {
  process.exitCode = 1;
  const unexpected = error instanceof Error ? error.stack : error;
  process.stderr.write(
    `\nThe demo stopped.\n${error instanceof NotAsItShouldBe ? error.message : String(unexpected)}\n`,
  );
}

async function story(stage: Stage): Promise<void> {
  const started = performance.now();
  const teller = new Teller(stage, print);
  const does = teller.does.bind(teller);
  print("Sallyport: the main job. Five people, one vault in a temporary folder, nothing left behind.");
  print("  owner  sets the vault up      bea  builds the workload      otto  operates it");
  print("  etl    is the machine it runs on                            ann   audits");

  teller.step("The vault starts for the first time", "it makes its keys, its database, an org and the org's owner");
  const up = "sallyport up --listen 127.0.0.1:0";
  print(`  owner$ ${up}`);
  const { url, shown } = await stage.start(up);
  teller.result(up, { exitCode: 0, shown }, { says: [/First start/, /owner-set-up\.token/] });

  teller.step("The owner chooses a password", "with the one-time credential that only the first start gives");
  await does(
    "owner",
    `sallyport login --address ${url} --set-up-file ../vault/keys/owner-set-up.token < owner.password`,
    {
      says: ["as owner"],
    },
  );

  teller.step("The owner makes a namespace and invites people", "files with mode 0600 carry what is shown once");
  await does("owner", "sallyport ns create data-pipelines");
  for (const [login, role] of [
    ["bea", "member"],
    ["otto", "guest"],
    ["ann", "guest"],
  ] as const) {
    await does("owner", `sallyport user create ${login} --role ${role} --output ${login}.set-up`, { lines: 1 });
  }
  await does("owner", "sallyport service-user create etl-host --kind runner --output etl-host.token", { lines: 1 });

  teller.step("The owner says who is what, where", "a grant is a role on a place; nobody has more than that");
  await does("owner", "sallyport grant create bea builder --env prod -n data-pipelines", { says: ["bea is builder"] });
  await does("owner", "sallyport grant create otto operator --env prod -n data-pipelines", {
    says: ["otto is operator"],
  });
  await does("owner", "sallyport grant create ann auditor --everywhere", { says: ["ann is auditor"] });

  teller.step(
    "The owner writes two secrets",
    "a value comes from stdin or a file: arguments can be read by other processes",
  );
  for (const name of ["DB_URL", "API_KEY"])
    await does("owner", `sallyport secret set ${name} --env prod -n data-pipelines < ${name}.value`, {
      says: ["it is at version 1"],
    });

  teller.step("The builder signs in and looks around", "names are enough to build with; values are not for builders");
  await does("bea", `sallyport login --address ${url} --set-up-file bea.set-up < bea.password`, { lines: 1 });
  await does("bea", "sallyport secret list --env prod -n data-pipelines", { says: ["API_KEY", "DB_URL"] });
  await does("bea", 'sallyport secret reveal DB_URL --env prod -n data-pipelines --reason "I am curious"', {
    exit: 4,
    says: ["Not allowed", "secret.reveal on prod/data-pipelines"],
  });

  teller.step("The builder registers a workload and deploys it", "its manifest names secrets, and so holds none");
  await does("bea", "sallyport workload create data-pipelines/etl");
  await does(
    "bea",
    "sallyport workload save data-pipelines/etl --secret DB_URL --value LOG_LEVEL=info --template 'AUTH=Bearer ${API_KEY}'",
    { says: ["version 1 was saved"] },
  );
  await does("bea", "sallyport deploy data-pipelines/etl --env prod", { says: ["deployed to prod at version 1"] });

  teller.step("The owner lets one machine take delivery", "of this workload, in this environment, and nothing else");
  await does("owner", "sallyport grant create etl-host runner --env prod -w data-pipelines/etl", {
    says: ["etl-host is runner"],
  });

  teller.step("The operator signs in", "operators launch; they see neither names nor values");
  await does("otto", `sallyport login --address ${url} --set-up-file otto.set-up < otto.password`, { lines: 1 });
  await does("otto", "sallyport secret list --env prod -n data-pipelines", {
    exit: 4,
    says: ["secret.list on prod/data-pipelines"],
    never: ["DB_URL", "API_KEY"],
  });

  teller.step("The operator mints an injection token", "good once; bound, because an operator may not take delivery");
  await does("otto", "sallyport token mint data-pipelines/etl --env prod --output launch.token", { says: ["Bound:"] });
  await does("otto", "ls -l launch.token | cut -c1-10", { says: ["-rw-------"] });

  teller.step(
    "The operator tries it alone, and is refused",
    "a bound token is worth nothing without the machine it is for",
  );
  await does("otto", "sallyport run --token-file launch.token -- node -e 'console.log(process.env)'", {
    exit: 125,
    says: ["a runner's credential is needed too"],
    never: ["LOG_LEVEL"],
  });

  teller.step(
    "The machine starts the program",
    "it shows the token and its own credential, and gets exactly its variables",
  );
  const run = `sallyport run --address ${url} --token-file launch.token --runner-file etl-host.token`;
  const names = `-- node -e 'console.log(Object.keys(process.env).sort().join(" "))'`;
  await does("etl", `${run} ${names}`, {
    says: [/\bAUTH\b.*\bDB_URL\b.*\bLOG_LEVEL\b/],
    never: ["SALLYPORT", "API_KEY"],
  });

  teller.step("The same token again, and again, is refused", "used is used: by the command line, and by the API");
  await does("etl", `${run} ${names}`, {
    exit: 125,
    says: ["unknown, used, expired or revoked"],
    never: ["LOG_LEVEL"],
  });
  await replayed(teller, url, join(stage.folder, "desk"));

  teller.step("The auditor looks", "both attempts are on record, with who and where");
  await does("ann", `sallyport login --address ${url} --set-up-file ann.set-up < ann.password`, { lines: 1 });
  await does("ann", "sallyport audit list --action token.replayed", {
    says: [/token\.replayed(.|\n)*token\.replayed/, "data-pipelines/etl"],
  });
  await does("ann", "sallyport audit list --result refused --limit 9", {
    says: ["secret.reveal", "secret.list", "runner_required"],
  });
  await does("ann", "sallyport audit verify", { says: ["The audit log is intact"] });

  teller.step("The vault is told to stop", "requests in flight would be answered first");
  print("  (SIGTERM)");
  teller.result("SIGTERM", await stage.stop(), { says: ["draining"], lines: 0 });
  print("    It has stopped, and nothing secret stands in its log.");

  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  print("");
  print(`All ${String(teller.steps)} steps are as they should be (${seconds} s):`);
  print("  - the builder used two secrets by name and was refused a value;");
  print("  - the operator launched the workload and could not take delivery;");
  print("  - the machine got its variables once, and the replays were refused and recorded;");
  print("  - the audit log holds all of it and verifies, and no value was printed anywhere.");
}

/** The replay once more, by the API itself. */
async function replayed(teller: Teller, url: string, desk: string): Promise<void> {
  print("  etl: POST /v1/exchange, with both tokens in its headers");
  const tokenIn = (name: string) => readFileSync(join(desk, name), "utf8").trim();
  const response = await fetch(`${url}/v1/exchange`, {
    method: "POST",
    headers: { authorization: `Bearer ${tokenIn("launch.token")}`, "sallyport-runner": tokenIn("etl-host.token") },
  });
  const body = await response.text();
  teller.result(
    "POST /v1/exchange",
    { exitCode: 0, shown: `HTTP ${String(response.status)} ${body}` },
    { says: ["HTTP 401", '"code":"token_invalid"'] },
  );
}
