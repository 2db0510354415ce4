import { VaultError, isVaultError } from "#base";
import type { Command } from "../command.ts";

/** Settings of the server: option, variable and default in one row. */
const SETTINGS = {
  data: {
    flags: "--data <folder>",
    variable: "SALLYPORT_DATA",
    otherwise: "./data",
    meaning: "where the database is kept",
  },
  keys: {
    flags: "--keys <folder>",
    variable: "SALLYPORT_KEYS",
    otherwise: "./keys",
    meaning: "where the key files are kept",
  },
  listen: {
    flags: "--listen <host:port>",
    variable: "SALLYPORT_LISTEN",
    otherwise: "127.0.0.1:7433",
    meaning: "the address to listen on",
  },
  org: {
    flags: "--org <slug>",
    variable: "SALLYPORT_ORG",
    otherwise: "main",
    meaning: "the org that the first start makes",
  },
  owner: {
    flags: "--owner <login>",
    variable: "SALLYPORT_OWNER",
    otherwise: "owner",
    meaning: "its owner, whom the first start makes",
  },
  logLevel: {
    flags: "--log-level <level>",
    variable: "SALLYPORT_LOG_LEVEL",
    otherwise: "info",
    meaning: "fatal, error, warn, info, debug or trace",
  },
} as const;

export const up: Command = {
  name: "up",
  summary: "Start the vault, and make it at the first start",
  about:
    "The first start makes the root key (keys/root.key), the database, an org and its owner, whose one-time set-up credential " +
    "is shown once. Every other start just starts. SIGTERM lets requests in flight finish.",
  options: [
    ...Object.values(SETTINGS).map(({ flags, variable, otherwise, meaning }) => ({
      flags,
      meaning: `${meaning} (${variable})`,
      otherwise,
    })),
    // Every command has it; here it is about listening.
    {
      flags: "--insecure-plain-http",
      meaning: "listen beyond loopback without TLS, behind a proxy that has it (SALLYPORT_INSECURE_PLAIN_HTTP)",
    },
  ],
  examples: [
    "sallyport up",
    "sallyport up --data /var/lib/sallyport --keys /etc/sallyport/keys --listen 10.0.0.5:7433 --insecure-plain-http",
  ],
  uses: [],
  async run(cli, given) {
    const read = ({ flags, variable, otherwise }: { flags: string; variable: string; otherwise: string }) => {
      const set = cli.env[variable];
      return given.text(flags.replace(/^--([a-z-]+) .*/, "$1")) ?? (set === undefined || set === "" ? otherwise : set);
    };
    const flags = {
      data: read(SETTINGS.data),
      keys: read(SETTINGS.keys),
      listen: read(SETTINGS.listen),
      org: read(SETTINGS.org),
      owner: read(SETTINGS.owner),
      logLevel: read(SETTINGS.logLevel),
      insecurePlainHttp: given.flag("insecure-plain-http")
        ? "true"
        : (cli.env.SALLYPORT_INSECURE_PLAIN_HTTP ?? "false"),
    };
    return cli.doors.up(flags).catch((error: unknown) => {
      throw inWordsOfTheHelp(error);
    });
  },
};

/** Settings that are wrong, named by option and variable, as they were said. */
function inWordsOfTheHelp(error: unknown): unknown {
  if (!isVaultError(error, "config_invalid")) return error;
  const faults = (error.detail.faults ?? []).map(({ field, message }) => ({ field: spoken(field), message }));
  return new VaultError(error.code, error.message, { detail: { ...error.detail, faults }, cause: error });
}

function spoken(setting: string): string {
  const row = Object.entries(SETTINGS).find(([name]) => name === setting)?.[1];
  if (row !== undefined) return `${row.flags.replace(/ .*/, "")} (${row.variable})`;
  const variable = `SALLYPORT_${setting.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
  return setting === "insecurePlainHttp" ? `--insecure-plain-http (${variable})` : variable;
}
