#!/usr/bin/env node
import { readFileSync, statSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isatty } from "node:tty";
import { runCli } from "#cli";
import type { Settings } from "#settings";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/**
 * Runs the vault until SIGTERM or SIGINT, drains, and returns 0. A second signal ends it at once. SIGHUP reads the
 * certificate's files again; where it says that the terminal is gone, it ends the vault like SIGTERM.
 */
async function up(settings: Settings): Promise<number> {
  const { config, held, file } = settings;
  // Whatever the server makes is its user's alone. Not for other commands: a child of `run` keeps the umask it was given.
  process.umask(0o077);
  const [{ pino }, { createVault }, { Supervisor, inheritedSockets }, { asGiven, describeOrigin }] = await Promise.all([
    import("pino"),
    import("./vault.ts"),
    import("#supervisor"),
    import("#settings"),
  ]);
  const log = pino(
    { level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
  // From now on, so that who reads that it listens can end it: an early signal ends it after its start.
  const inTerminal = isatty(0);
  let reload = async (): Promise<void> => {};
  const signalled = new Promise<string>((resolve) => {
    // It is also what is sent when the terminal is closed, and then nobody is left who could end it.
    process.on("SIGHUP", () => {
      if (inTerminal && !isatty(0)) resolve("SIGHUP");
      else void reload();
    });
    for (const name of ["SIGTERM", "SIGINT"] as const) {
      process.once(name, () => {
        resolve(name);
        process.once(name, () => process.exit(130));
      });
    }
  });
  const supervisor = Supervisor.find(process.env, process.pid, log);
  const sockets = inheritedSockets(process.env, process.pid);
  const vault = await createVault(config, version, log, sockets.length === 0 ? {} : { sockets }).catch(
    (error: unknown) => {
      throw asGiven(error, settings);
    },
  );
  if (vault.founded !== null) await tellOwner(config.keysFolder, vault.founded);
  process.stdout.write(`Sallyport ${version} listens on ${vault.urls.join(" and ")}\n`);
  log.info(
    {
      version,
      node: process.versions.node,
      store: vault.store,
      addresses: vault.urls,
      socket: vault.socketPath,
      data: config.dataFolder,
      settingsFile: file,
      settings: Object.fromEntries(
        held
          .filter(({ origin }) => origin.from !== "default")
          .map(({ name, origin }) => [name, describeOrigin(origin)]),
      ),
    },
    "listening",
  );
  const serving = `Serving ${vault.urls.join(" and ")}`;
  reload = async () => {
    await supervisor.tell("RELOADING=1");
    const done = await vault.reloadCertificate();
    if (done === null)
      log.info({ signal: "SIGHUP" }, "nothing to reload: there is no TLS, and settings need a restart");
    await supervisor.tell(
      "READY=1",
      done === false ? `${serving}; the new certificate was refused, see the log` : serving,
    );
  };
  await supervisor.tell("READY=1", serving);
  supervisor.watch(() => vault.healthy());
  if (process.versions.node.startsWith("20.")) log.warn({}, "Node 20 is past its end of life: Node 24 is recommended");
  const owner = statSync(config.dataFolder, { throwIfNoEntry: false })?.uid;
  const me = process.geteuid?.();
  if (owner !== undefined && me !== undefined && owner !== me)
    log.warn(
      { owner, user: me },
      "the data folder belongs to another user, to whom what is made there now may be closed",
    );
  const signal = await signalled;
  log.info({ signal }, "draining");
  const told = supervisor.tell("STOPPING=1", "Answering what is in flight");
  await vault.close();
  supervisor.close();
  await told;
  return 0;
}

/** The set-up credential goes to the terminal, or to a 0600 file where there is none: never into a log. */
async function tellOwner(
  keysFolder: string,
  founded: NonNullable<Awaited<ReturnType<typeof import("./vault.ts").createVault>>["founded"]>,
): Promise<void> {
  const { org, owner, setUpToken, expiresAt } = founded;
  process.stdout.write(`First start: the org "${org.slug}" and its owner "${owner}" were made.\n`);
  if (process.stdout.isTTY) {
    process.stdout.write(
      `The owner's set-up credential, shown this once, good until ${expiresAt.toISOString()}:\n\n  ${setUpToken.reveal()}\n\n`,
    );
  } else {
    const file = join(keysFolder, "owner-set-up.token");
    await writeFile(file, `${setUpToken.reveal()}\n`, { mode: 0o600, flag: "w" });
    process.stdout.write(`The owner's set-up credential, good once until ${expiresAt.toISOString()}, is in ${file}\n`);
  }
  process.stdout.write(
    `With it the owner chooses a password: sallyport login --set-up\nAlone on this machine you need neither: sallyport secret set NAME\n`,
  );
}

process.exitCode = await runCli(process.argv.slice(2), {
  up,
  version,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
});
