import { realpathSync } from "node:fs";
import { NAME } from "#base";
import type { Cli } from "../cli.ts";
import type { Command, Noun } from "../command.ts";
import { usage } from "../error.ts";
import { ENVIRONMENT, NAMESPACE } from "../options.ts";
import { outOfReach } from "../unit-reach.ts";
import { runnerUnit, serverUnit, socketUnit } from "../units.ts";

const ABOUT = "Linux only: it prints a unit of systemd (247 or later) and changes nothing.";

const server: Command = {
  name: "server",
  summary: "The unit of the vault",
  about: `${ABOUT} It belongs to the unit of \`sallyport systemd socket\`, is told by the vault when it is ready and alive, and closes to it what a vault does not need.`,
  examples: ["sallyport systemd server > sallyport.service"],
  uses: [],
  async run(cli) {
    warnOfReach(cli, program());
    print(cli, serverUnit({ program: program() }));
  },
};

const socket: Command = {
  name: "socket",
  summary: "The unit of the vault's address, which stays open while the vault restarts",
  about: ABOUT,
  options: [{ flags: "--listen <host:port>", meaning: "the address", otherwise: "127.0.0.1:7433" }],
  examples: [
    "sallyport systemd socket > sallyport.socket",
    "sallyport systemd socket --listen 0.0.0.0:7433 > sallyport.socket",
  ],
  uses: [],
  async run(cli, given) {
    const listen = given.text("listen") ?? "127.0.0.1:7433";
    if (!/^(?:\[[0-9a-fA-F:.]+\]|[0-9.]+):\d{1,5}$/.test(listen))
      throw usage(`--listen: “${listen}” is not an address and a port like 0.0.0.0:7433 or [::]:7433.`);
    print(cli, socketUnit(listen));
  },
};

const runner: Command = {
  name: "runner",
  summary: "The unit of a program that gets its variables from the vault at each start",
  about: `${ABOUT} The program is launched by \`sallyport run\` with a service user's token, which systemd reads from a file of root's (LoadCredential=).`,
  arguments: [["[command...]", "the program, by its whole path, with its arguments"]],
  options: [
    { flags: "-w, --workload <workload>", meaning: "namespace/workload, or workload", required: true },
    {
      flags: "--token-path <file>",
      meaning: "where the service user's token lies",
      otherwise: "/etc/sallyport/NAME.token",
    },
    ENVIRONMENT,
    NAMESPACE,
  ],
  examples: [
    "sallyport systemd runner --address https://vault.example.com --workload data-pipelines/etl --env prod -- /srv/etl > etl.service",
  ],
  uses: [],
  passThrough: true,
  async run(cli, given) {
    const command = given.rest(0);
    if (command[0]?.startsWith("/") !== true) throw usage("Name the program by its whole path, after --.");
    const { namespace, workload } = cli.workload(given, given.text("workload") ?? "");
    const environment = cli.environment(given);
    const address = given.text("address");
    if (address === undefined) throw usage("Say where the vault is: --address https://…");
    if (!NAME.test(environment)) throw usage(`“${environment}” is not the name of an environment.`);
    const credentialFile = given.text("token-path") ?? `/etc/sallyport/${workload}.token`;
    const words = [address, credentialFile, ...command];
    // A line of its own would be another setting of the unit.
    if (words.some((word) => /\p{Cc}/u.test(word))) throw usage("A unit holds no control characters.");
    warnOfReach(cli, [...program(), command[0]]);
    print(
      cli,
      runnerUnit({
        program: program(),
        workload: `${namespace}/${workload}`,
        environment,
        address,
        credentialFile,
        command,
      }),
    );
  },
};

export const systemd: Noun = {
  name: "systemd",
  summary: "Units for systemd, on Linux",
  commands: [server, socket, runner],
};

function print(cli: Cli, unit: string): void {
  if (cli.out.json) cli.out.value({ unit });
  else cli.out.bytes(Buffer.from(unit));
}

/** The unit may be meant for another machine, so it is printed all the same. */
function warnOfReach(cli: Cli, paths: readonly string[]): void {
  for (const path of paths) {
    const why = outOfReach(path);
    if (why !== null)
      cli.out.warn(
        `The service could not start: ${why}. Install it for everybody, as in /opt or /usr/local, and print the unit again.`,
      );
  }
}

/** As this process was started, by whole paths: a unit knows no PATH of a person. */
function program(): string[] {
  return [process.execPath, realpathSync(process.argv[1] ?? "")];
}
