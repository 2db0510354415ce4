import { SETTINGS, SETTINGS_FILE, SETTING_NAMES, flagOf, readSettings, variableOf } from "#settings";
import type { Setting, SettingName, Settings } from "#settings";
import type { Cli } from "./cli.ts";
import type { Option } from "./command.ts";
import type { Given } from "./given.ts";
import { CLI_VARIABLES } from "./variables.ts";

const FILE_OPTION: Option = {
  flags: `${SETTINGS_FILE.flag} ${SETTINGS_FILE.argument}`,
  meaning: `${SETTINGS_FILE.meaning} (${SETTINGS_FILE.variable})`,
  otherwise: `${SETTINGS_FILE.otherwise}, if it is there`,
};

/** The vault's settings as options of a command. */
export const SETTING_OPTIONS: readonly Option[] = [
  FILE_OPTION,
  ...SETTING_NAMES.map((name) => ({ ...optionOf(name), group: `${SETTINGS[name].group}:` })),
];

/** Some of them, for a command that is about nothing else. */
export function settingOptions(...names: readonly SettingName[]): readonly Option[] {
  return [FILE_OPTION, ...names.map(optionOf)];
}

function optionOf(name: SettingName): Option {
  const { kind, meaning, otherwiseShown }: Setting<unknown> = SETTINGS[name];
  return {
    flags: kind.argument === null ? flagOf(name) : `${flagOf(name)} ${kind.argument}`,
    meaning: `${meaning} (${variableOf(name)})`,
    ...(kind.argument === null ? {} : { otherwise: otherwiseShown }),
  };
}

/**
 * What a vault started with this command line would be told.
 *
 * @throws {VaultError} `config_invalid`, with every fault.
 */
export function givenSettings(cli: Cli, given: Given, env: Cli["env"] = cli.env): Promise<Settings> {
  const flags = SETTING_NAMES.flatMap((name) => {
    const option = flagOf(name).slice(2);
    const text = given.flag(option) ? "true" : given.text(option);
    return text === undefined ? [] : [[name, text] as const];
  });
  const file = given.text(SETTINGS_FILE.flag.slice(2));
  return readSettings({
    flags: Object.fromEntries(flags),
    env,
    ...(file === undefined ? {} : { file }),
    folder: cli.folder,
    otherVariables: CLI_VARIABLES,
  });
}
