import type { Command } from "../command.ts";
import { SETTING_OPTIONS, givenSettings } from "../settings.ts";

export const doctor: Command = {
  name: "doctor",
  summary: "Check this machine, the files and the settings for the vault, running or not",
  about:
    "For the person at the vault's machine, as the vault's user and with its settings: clock, key files, folders, disk, file " +
    "system, database, descriptors, memory, address. It changes nothing and holds up no running vault. Exit code 1 where a " +
    "check failed, 0 where there are warnings at most, 20 where a setting is wrong.",
  options: SETTING_OPTIONS,
  examples: ["sallyport doctor", "sallyport doctor --config /etc/sallyport/sallyport.yaml", "sallyport doctor --json"],
  uses: [],
  async run(cli, given) {
    const { out } = cli;
    const { config } = await givenSettings(cli, given);
    const { examine } = await import("#ops");
    const checked = await examine(config);
    const hasFailed = checked.some(({ result }) => result === "failed");
    if (out.json) out.value({ healthy: !hasFailed, checks: checked });
    else {
      out.table(checked, { result: ({ result }) => result, check: ({ name }) => name, found: ({ what }) => what });
      for (const { name, result, remedy } of checked)
        if (remedy !== undefined) out.note(`${result}: ${name}: ${remedy}`);
    }
    return hasFailed ? 1 : 0;
  },
};
