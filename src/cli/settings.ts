import { SETTINGS, SETTINGS_FILE, SETTING_NAMES, flagOf, readSettings, variableOf } from "#settings";
import type { Setting, Settings } from "#settings";
import type { Cli } from "./cli.ts";
import type { Option } from "./command.ts";
import type { Given } from "./given.ts";
import { CLI_VARIABLES } from "./variables.ts";

/** The vault's settings as options of a command. */
export const SETTING_OPTIONS: readonly Option[] = [
  {
    flags: `${SETTINGS_FILE.flag} ${SETTINGS_FILE.argument}`,
    meaning: `${SETTINGS_FILE.meaning} (${SETTINGS_FILE.variable})`,
    otherwise: `${SETTINGS_FILE.otherwise}, if it is there`,
  },
  ...SETTING_NAMES.map((name) => {
    const { kind, meaning, otherwiseShown, group }: Setting<unknown> = SETTINGS[name];
    return {
      flags: kind.argument === null ? flagOf(name) : `${flagOf(name)} ${kind.argument}`,
      meaning: `${meaning} (${variableOf(name)})`,
      ...(kind.argument === null ? {} : { otherwise: otherwiseShown }),
      group: `${group}:`,
    };
  }),
];

/**
 * What a vault started with this command line would be told.
 *
 * @throws {VaultError} `config_invalid`, with every fault.
 */
export function givenSettings(cli: Cli, given: Given): Promise<Settings> {
  const flags = SETTING_NAMES.flatMap((name) => {
    const option = flagOf(name).slice(2);
    const text = given.flag(option) ? "true" : given.text(option);
    return text === undefined ? [] : [[name, text] as const];
  });
  const file = given.text(SETTINGS_FILE.flag.slice(2));
  return readSettings({
    flags: Object.fromEntries(flags),
    env: cli.env,
    ...(file === undefined ? {} : { file }),
    folder: cli.folder,
    otherVariables: CLI_VARIABLES,
  });
}
