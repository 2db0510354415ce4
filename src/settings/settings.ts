import { dirname, resolve } from "node:path";
import { VaultError, isVaultError } from "#base";
import { clashes, configOf } from "./config.ts";
import type { Config } from "./config.ts";
import { readFileEntries } from "./file.ts";
import type { Entry } from "./file.ts";
import { withoutPassword } from "./kind.ts";
import { meantBy } from "./misspelt.ts";
import { SETTINGS, SETTINGS_FILE, SETTING_NAMES, flagOf, variableOf } from "./table.ts";
import type { Setting, SettingName, Values } from "./table.ts";

/** From where settings may come, the stronger first. */
export interface Sources {
  /** Options that were typed, by the names of the settings; texts. */
  readonly flags: Readonly<Partial<Record<string, string>>>;
  /** The process's environment. An empty variable is none. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The settings file that was typed (`--config`). */
  readonly file?: string;
  /** The working folder: where relative paths start, and where `sallyport.yaml` is looked for. */
  readonly folder: string;
  /** `SALLYPORT_` variables that are no settings of the vault: the command line's own. */
  readonly otherVariables?: readonly string[];
}

/** Where a value came from. */
export type Origin =
  | { readonly from: "option"; readonly option: string }
  | { readonly from: "variable"; readonly variable: string }
  | { readonly from: "file"; readonly file: string; readonly line: number }
  | { readonly from: "default" };

export type SettingValue = string | number | boolean | readonly string[] | null;

/** One setting as it holds. */
export interface Held {
  readonly name: SettingName;
  /** As the vault uses it: paths absolute, defaults filled in. */
  readonly value: SettingValue;
  readonly origin: Origin;
}

/** All settings of a vault. */
export interface Settings {
  readonly config: Config;
  /** In the order of the table. */
  readonly held: readonly Held[];
  /** The settings file, if there is one. */
  readonly file: string | null;
}

interface Fault {
  readonly field: string;
  readonly message: string;
}

interface Told {
  readonly text: string;
  readonly origin: Origin;
}

/** What Kubernetes puts into every container for a service whose name begins with `sallyport`. */
const OF_A_SERVICE = /_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT|PORT_\d+_(?:TCP|UDP|SCTP)(?:_\w+)?)$/;

/**
 * Settings from options, else `SALLYPORT_` variables, else the settings file, else their defaults.
 *
 * What is misspelt is a fault too, because a setting that silently does not hold may be the one that closes a door.
 *
 * @throws {VaultError} `config_invalid`, with every fault, each named as it was said.
 */
export async function readSettings(sources: Sources): Promise<Settings> {
  const named = sources.file ?? given(sources.env[SETTINGS_FILE.variable]);
  const path = resolve(sources.folder, named ?? SETTINGS_FILE.otherwise);
  const entries = await readFileEntries(path, named === undefined);
  const faults = [...unknownKeys(entries ?? [], path), ...unknownVariables(sources)];

  const origins = new Map<SettingName, Origin>();
  const parsed: Partial<Record<SettingName, unknown>> = {};
  for (const name of SETTING_NAMES) {
    const setting: Setting<unknown> = SETTINGS[name];
    const entry = entries?.find(({ key }) => key === name);
    const told = tell(name, sources, entry, path);
    origins.set(name, told?.origin ?? { from: "default" });
    const text = told?.text ?? setting.otherwise;
    if (text === null) parsed[name] = null;
    else {
      const value = setting.kind.parse(text);
      if (value === undefined) faults.push({ field: spoken(name, origins.get(name)), message: setting.kind.form });
      const why = told === null || told.origin.from === "variable" ? null : (setting.kind.secretIn?.(text) ?? null);
      if (why !== null) faults.push({ field: spoken(name, origins.get(name)), message: why });
      const start = told?.origin.from === "file" ? dirname(path) : sources.folder;
      parsed[name] = setting.kind.isPath === true && typeof value === "string" ? resolve(start, value) : value;
    }
  }
  // Each was parsed by its own kind, or is a fault.
  const values = parsed as unknown as Values;
  if (faults.length === 0) {
    for (const { setting, message } of clashes(values)) {
      const origin = origins.get(setting);
      faults.push({ field: spoken(setting, origin), message: message((name) => saidLike(origin, name)) });
    }
  }
  if (faults.length > 0) throw new VaultError("config_invalid", undefined, { detail: { faults } });
  const config = configOf(values);
  const held = SETTING_NAMES.map((name) => ({
    name,
    value: valueOf(name, values, config),
    origin: origins.get(name) ?? { from: "default" },
  }));
  return { config, held, file: entries === null ? null : path };
}

/** What was found wrong with settings when they were used, each named as it was said; any other error as it is. */
export function asGiven(error: unknown, { held }: Pick<Settings, "held">): unknown {
  if (!isVaultError(error, "config_invalid")) return error;
  const faults = (error.detail.faults ?? []).map(({ field, message }) => {
    const setting = held.find(({ name }) => name === field);
    return { field: setting === undefined ? field : spoken(setting.name, setting.origin), message };
  });
  return new VaultError(error.code, error.message, { detail: { ...error.detail, faults }, cause: error.cause });
}

/** An origin in a few words, as in `up --help`. */
export function describeOrigin(origin: Origin): string {
  switch (origin.from) {
    case "option":
      return origin.option;
    case "variable":
      return origin.variable;
    case "file":
      return `${origin.file}:${String(origin.line)}`;
    case "default":
      return "default";
  }
}

function tell(name: SettingName, sources: Sources, entry: Entry | undefined, file: string): Told | null {
  const flag = sources.flags[name];
  if (flag !== undefined) return { text: flag, origin: { from: "option", option: flagOf(name) } };
  const variable = given(sources.env[variableOf(name)]);
  if (variable !== undefined) return { text: variable, origin: { from: "variable", variable: variableOf(name) } };
  if (entry === undefined) return null;
  const mayBeList = (SETTINGS[name] as Setting<unknown>).kind.isList === true;
  // What is no text becomes one that no kind takes.
  const text = entry.text === null || (entry.isList && !mayBeList) ? "\0" : entry.text;
  return { text, origin: { from: "file", file, line: entry.line } };
}

/** How whoever gave it knows it. */
function spoken(name: SettingName, origin: Origin | undefined): string {
  if (origin === undefined || origin.from === "default") return `${flagOf(name)} (${variableOf(name)})`;
  return origin.from === "file" ? `${describeOrigin(origin)} ${name}` : describeOrigin(origin);
}

/** Another setting, in the manner in which this one was given. */
function saidLike({ from }: Origin = { from: "default" }, other: SettingName): string {
  if (from === "file") return other;
  return from === "variable" ? variableOf(other) : flagOf(other);
}

function unknownKeys(entries: readonly Entry[], path: string): Fault[] {
  return entries
    .filter(({ key }) => !Object.hasOwn(SETTINGS, key))
    .map(({ key, line }) => ({
      field: `${path}:${String(line)} ${key.slice(0, 80)}`,
      message: unknown(meantBy(key, SETTING_NAMES)),
    }));
}

function unknownVariables({ env, otherVariables = [] }: Sources): Fault[] {
  const settings = [...SETTING_NAMES.map(variableOf), SETTINGS_FILE.variable];
  const known = new Set([...settings, ...otherVariables]);
  return Object.keys(env)
    .filter((name) => name.startsWith("SALLYPORT_") && !known.has(name) && given(env[name]) !== undefined)
    .filter((name) => !OF_A_SERVICE.test(name))
    .map((name) => ({ field: name.slice(0, 80), message: unknown(meantBy(name, settings)) }));
}

function unknown(meant: string | null): string {
  return `there is no such setting${meant === null ? "" : `; did you mean ${meant}?`}`;
}

function valueOf(name: SettingName, values: Values, config: Config): SettingValue {
  const { host, port } = values.listen;
  const used: Partial<Record<SettingName, SettingValue>> = {
    listen: `${host.includes(":") ? `[${host}]` : host}:${String(port)}`,
    checkpoints: config.checkpointFile,
    maxMemoryMb: config.maxMemoryMb,
    trustedProxies: config.trustedProxies,
    store: values.store.engine === "sqlite" ? "sqlite" : withoutPassword(values.store.url),
    storeMigrate: values.storeMigrate === null ? null : withoutPassword(values.storeMigrate),
  };
  return used[name] ?? (name === "listen" || name === "store" || name === "storeMigrate" ? null : values[name]);
}

function given(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
