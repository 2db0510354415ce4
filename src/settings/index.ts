/**
 * settings: what a vault was told, in one table.
 *
 * A row of the table (`table.ts`) is all there is to know about a setting: its kind, its default, its meaning and for whom
 * it is. Its option and its variable are read from its name. The help, `sallyport config`, the documents and the parser
 * print and use that table, so that they cannot differ.
 *
 * It promises that a wrong or misspelt setting stops the start, with every fault at once, and that all of them may
 * be printed: a password in one is left out. It opens no file but the settings file; whether the others are there is for whoever uses them.
 */
export { SETTINGS, SETTINGS_FILE, SETTING_NAMES, flagOf, variableOf } from "./table.ts";
export type { Group, Setting, SettingName } from "./table.ts";
export { asGiven, describeOrigin, readSettings } from "./settings.ts";
export type { Held, Origin, SettingValue, Settings, Sources } from "./settings.ts";
export type { Config, TlsFiles } from "./config.ts";
export { withoutPassword } from "./kind.ts";
export type { StorePlace } from "./kind.ts";
