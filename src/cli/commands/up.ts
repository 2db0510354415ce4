import { VaultError, isVaultError } from "#base";
import { SETTING_NAMES, flagOf, variableOf } from "#settings";
import type { Command } from "../command.ts";
import { CliError } from "../error.ts";
import { SETTING_OPTIONS, givenSettings } from "../settings.ts";

export const up: Command = {
  name: "up",
  summary: "Start the vault, and make it at the first start",
  about:
    "The first start makes the root key (keys/root.key), the database, an org and its owner, whose one-time set-up credential " +
    "is shown once. Every other start just starts. SIGTERM lets requests in flight finish.\n\n" +
    "Each setting is its option, else its variable, else its line in the settings file (trustedProxies for " +
    "--trusted-proxies), else its default. `sallyport config` shows which holds.",
  options: SETTING_OPTIONS,
  examples: [
    "sallyport up",
    "sallyport up --config /etc/sallyport/sallyport.yaml",
    "sallyport up --data /var/lib/sallyport --keys /etc/sallyport/keys --listen 10.0.0.5:7433 --insecure-plain-http",
  ],
  uses: [],
  async run(cli, given) {
    return cli.doors.up(await givenSettings(cli, given)).catch((error: unknown) => {
      throw inWordsOfTheHelp(error);
    });
  },
};

/** What turned out to be wrong only when it was used, as it can be said here. */
function inWordsOfTheHelp(error: unknown): unknown {
  if (isVaultError(error, "store_unavailable"))
    return new CliError("store_unavailable", error.message, {
      remedy: "Nothing was started. See what is wrong there: `sallyport doctor`, with the same options.",
    });
  if (!isVaultError(error, "config_invalid")) return error;
  const faults = (error.detail.faults ?? []).map(({ field, message }) => {
    const name = SETTING_NAMES.find((one) => one === field);
    return { field: name === undefined ? field : `${flagOf(name)} (${variableOf(name)})`, message };
  });
  return new VaultError(error.code, error.message, { detail: { ...error.detail, faults }, cause: error });
}
