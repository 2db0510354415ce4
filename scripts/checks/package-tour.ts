/**
 * The packed file as a stranger uses it: `npx ./sallyport-*.tgz up` in an empty folder, then the first ten minutes. Run by
 * the Node that is to be tried, needs npm:
 *
 *     node --import tsx scripts/checks/package-tour.ts sallyport-0.1.0.tgz
 *
 * Prints what it sees and ends with 1 at the first thing that is not so.
 */
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";

const SECRET = "postgres://app:correct-horse@db/app";
/** A clean install compiles SQLite on Node 20. */
const START_MS = 300_000;

const folder = mkdtempSync(join(tmpdir(), "sallyport-package-"));
const tarball = `./${basename(process.argv[2] ?? "")}`;
copyFileSync(resolve(process.argv[2] ?? ""), join(folder, tarball));
// npm asks before it runs the scripts of packages; a stranger says yes.
writeFileSync(join(folder, "package.json"), '{ "private": true, "allowScripts": { "better-sqlite3": true } }\n');

/**
 * A stranger has set nothing: what tests are told in such variables, the vault would refuse as settings that it does not know.
 * Nor has a stranger signed in anywhere: a profile that this machine's user keeps would lead to another vault.
 */
const env = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("SALLYPORT_"))),
  XDG_CONFIG_HOME: join(folder, "config"),
};

const vault = spawn("npx", ["--yes", tarball, "up", "--listen", "127.0.0.1:0"], {
  cwd: folder,
  env,
  stdio: ["ignore", "pipe", "pipe"],
  detached: true,
});
const group = vault.pid ?? 0;
try {
  const said = await listening(vault);
  must("it starts, and says where it listens", /listens on http:\/\/127\.0\.0\.1:\d+/.test(said));
  must("the set-up credential is in no output that is not a terminal", !said.includes("sp_set_"));

  const where = /listens on (http:\S+)/.exec(said)?.[1] ?? "";
  for (const path of ["/healthz", "/readyz", "/v1/openapi.json", "/docs"]) {
    const answer = await fetch(where + path);
    must(`${path} answers 200`, answer.status === 200);
  }
  must("a secret is set", run(["secret", "set", "DB_URL"], SECRET).status === 0);
  const child = run(["run", "--", process.execPath, "-e", "process.stdout.write(process.env.DB_URL)"]);
  must("a program is started with it", child.status === 0 && child.stdout === SECRET);
  must("`secret list` shows the name", run(["secret", "list"]).stdout.includes("DB_URL"));
  must("`audit verify` finds no fault", run(["audit", "verify"]).status === 0);
  must("`doctor` finds nothing that fails", run(["doctor"]).status === 0);
  must("a wrong word ends with 2", run(["secrte"]).status === 2);
  must("the client library is there, as a program imports it", library());
  const app = readmeProgram();
  must(
    `the README's program has its variable (${app.stdout.trimEnd()}${app.stderr})`,
    app.status === 0 && app.stdout === "default/default in dev uses db\n",
  );
  const last = run(["injection", "list", "--env", "dev", "--json"]);
  must("and its lease was ended by it", /"exitCode": ?0/.test(last.stdout));

  const files = readdirSync(join(folder, "data"));
  must(
    "the value is in no file",
    !files.some((name) => name !== "sallyport.sock" && holds(join(folder, "data", name))),
  );
  process.kill(-group, "SIGTERM");
  const [code, signal] = await new Promise<[number | null, string | null]>((done) => {
    vault.once("exit", (...how) => {
      done(how);
    });
  });
  // npx itself may die of the signal that the whole group gets.
  must(`it ends when it is told to (${String(code ?? signal)})`, code === 0 || code === 143 || signal === "SIGTERM");
  console.log(`package on Node ${process.version}: all of it`);
} finally {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // It has ended.
  }
  rmSync(folder, { recursive: true, force: true });
}

function run(args: readonly string[], input = "") {
  return spawnSync("npx", ["--yes", tarball, ...args], { cwd: folder, env, input, encoding: "utf8" });
}

/** Installed from the same file, without a script: the library needs no other package. */
function library(): boolean {
  const program = 'import { Sallyport } from "sallyport/client"; process.stdout.write(typeof Sallyport.launch)';
  spawnSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", tarball], { cwd: folder });
  return (
    spawnSync(process.execPath, ["--input-type=module", "-e", program], { cwd: folder }).stdout.toString() ===
    "function"
  );
}

/** The lines that README.md shows, as they are in the package, in the folder of the vault. */
function readmeProgram() {
  const readme = readFileSync(join(folder, "node_modules", "sallyport", "README.md"), "utf8");
  const program = /```js\n(\/\/ app\.mjs\n[\s\S]*?)```/.exec(readme)?.[1] ?? "";
  writeFileSync(join(folder, "app.mjs"), program);
  return spawnSync(process.execPath, ["app.mjs"], { cwd: folder, env, encoding: "utf8" });
}

function holds(file: string): boolean {
  return readFileSync(file).includes(SECRET);
}

function must(what: string, isSo: boolean): void {
  console.log(`${isSo ? "ok  " : "NOT "} ${what}`);
  if (!isSo) throw new Error(what);
}

function listening(child: typeof vault): Promise<string> {
  let text = "";
  return new Promise<string>((done, fail) => {
    const timer = setTimeout(() => {
      fail(new Error(`nothing listens:\n${text}`));
    }, START_MS);
    const take = (part: Buffer) => {
      text += String(part);
      if (text.includes("listens on")) {
        clearTimeout(timer);
        done(text);
      }
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.once("exit", (code) => {
      fail(new Error(`it ended with ${String(code)}:\n${text}`));
    });
  });
}
