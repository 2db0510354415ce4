import { SETTINGS, describeOrigin, flagOf, variableOf } from "#settings";
import type { Held, Setting, SettingValue } from "#settings";
import type { Command } from "../command.ts";
import { SETTING_OPTIONS, givenSettings } from "../settings.ts";

export const config: Command = {
  name: "config",
  summary: "The settings that `up` would start with, and where each came from",
  about:
    "It takes the options of `up`, reads the same variables and the same file, and starts nothing. Settings that are wrong " +
    "are named, all of them, with exit code 20. No setting is a secret.",
  options: [{ flags: "--check", meaning: "only say whether they are right" }, ...SETTING_OPTIONS],
  examples: [
    "sallyport config",
    "sallyport config --check --config /etc/sallyport/sallyport.yaml",
    "sallyport config --json",
  ],
  uses: [],
  async run(cli, given) {
    const { out } = cli;
    const { held, file } = await givenSettings(cli, given);
    if (given.flag("check")) {
      if (out.json) out.value({ valid: true, file });
      else out.line(`The settings are right${file === null ? "" : ` (${file})`}.`);
      return 0;
    }
    if (out.json) out.value({ file, settings: held.map(asJson) });
    else {
      out.table(held, { setting: ({ name }) => name, value: ({ value }) => shown(value), from: origin });
      out.note(file === null ? "No settings file is used." : `Settings file: ${file}`);
    }
    return 0;
  },
};

function origin({ origin: from }: Held): string {
  return describeOrigin(from);
}

function shown(value: SettingValue): string {
  if (value === null) return "none";
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.join(",");
  return String(value);
}

function asJson({ name, value, origin: from }: Held) {
  const { meaning, group, otherwiseShown }: Setting<unknown> = SETTINGS[name];
  return {
    name,
    value,
    origin: from,
    option: flagOf(name),
    variable: variableOf(name),
    default: otherwiseShown,
    group,
    meaning,
  };
}
