import { ENDPOINT, FILE, FOLDER, OWNER, POSTGRES, PROXIES, SLUG, STORE, SWITCH, oneOf, whole } from "./kind.ts";
import type { Kind } from "./kind.ts";

/** Who has to think about a setting; the help and the documents print the table in these groups. */
export type Group =
  "Everybody" | "The first start" | "Beyond this machine" | "Several nodes" | "Under load" | "Watching and stopping";

/** One setting, whose name in the settings file is its key in {@link SETTINGS}. */
export interface Setting<T> {
  readonly kind: Kind<T>;
  /** What holds when it is not given, as a text of its kind; `null` where there is none, or it follows from others. */
  readonly otherwise: string | null;
  /** The default as people read it. */
  readonly otherwiseShown: string;
  readonly group: Group;
  /** With its unit. */
  readonly meaning: string;
}

/**
 * Every setting of a running vault. None is shown with a secret: where one is needed, a setting names its file; the password
 * of a database may stand in a variable, and is left out wherever the setting is shown.
 */
export const SETTINGS = {
  data: always(FOLDER, "./data", "Everybody", "where the database is kept"),
  keys: always(FOLDER, "./keys", "Everybody", "where the key files are kept"),
  listen: always(ENDPOINT, "127.0.0.1:7433", "Everybody", "the address to listen on"),
  checkpoints: maybe(FILE, "<data>/checkpoints.log", "Everybody", "the checkpoint file, best on another disk"),
  logLevel: always(
    oneOf("<level>", ["fatal", "error", "warn", "info", "debug", "trace"]),
    "info",
    "Everybody",
    "the least important lines that are logged: fatal, error, warn, info, debug or trace",
  ),

  org: always(SLUG, "main", "The first start", "the org that it makes"),
  owner: always(OWNER, "owner", "The first start", "the owner of that org"),

  insecurePlainHttp: always(
    SWITCH,
    "false",
    "Beyond this machine",
    "listen beyond loopback without TLS, behind a proxy that has it",
  ),
  trustedProxies: maybe(
    PROXIES,
    "none",
    "Beyond this machine",
    "addresses and ranges of proxies whose X-Forwarded-For is believed, with commas: 10.0.0.5,192.168.7.0/24",
  ),
  tlsCertificate: maybe(
    FILE,
    "none",
    "Beyond this machine",
    "the server's certificate with its chain, PEM; the vault speaks TLS then, with `tlsKey`",
  ),
  tlsKey: maybe(FILE, "none", "Beyond this machine", "the private key of the certificate, PEM, mode 0600"),
  tlsClientAuthority: maybe(
    FILE,
    "none",
    "Beyond this machine",
    "the authorities, PEM, one of which has to have signed a client's certificate",
  ),
  tlsClientAuth: always(
    oneOf("<word>", ["none", "optional", "required"]),
    "none",
    "Beyond this machine",
    "whether clients show a certificate: none, optional or required",
  ),

  store: always(
    STORE,
    "sqlite",
    "Several nodes",
    "sqlite, in the data folder; or the PostgreSQL database that several nodes share: postgres://role@host/database",
  ),
  storePasswordFile: maybe(FILE, "none", "Several nodes", "a file, mode 0600, with the password of that role"),
  storeMigrate: maybe(
    POSTGRES,
    "none",
    "Several nodes",
    "the same database as its owner: each start then brings the schema up to date, which else `sallyport db migrate` does",
  ),
  storeConnections: always(
    whole("<number>", 2, 1_000),
    "12",
    "Several nodes",
    "connections of this node to the database at most; a third of them commits",
  ),

  requestsPerSecond: always(whole("<number>", 1, 1_000_000), "2000", "Under load", "requests of one address a second"),
  requestsPerSecondPerCredential: always(
    whole("<number>", 1, 1_000_000),
    "1000",
    "Under load",
    "requests with one credential a second",
  ),
  maxFailures: always(
    whole("<number>", 1, 1_000_000),
    "20",
    "Under load",
    "refused passwords and set-up credentials that one address may show in ten seconds",
  ),
  maxInFlight: always(whole("<number>", 1, 1_000_000), "1000", "Under load", "operations at work at a time"),
  maxMemoryMb: maybe(
    whole("<megabytes>", 64, 1_000_000),
    "three quarters of what the machine or container has",
    "Under load",
    "resident memory, in MiB, from which on requests are turned away until it falls",
  ),

  metrics: always(
    oneOf("<who>", ["off", "machine", "any"]),
    "machine",
    "Watching and stopping",
    "who may read /metrics: nobody (off), who comes from this machine (machine), or everybody (any)",
  ),
  drainDelaySeconds: always(
    whole("<seconds>", 0, 3_600),
    "0",
    "Watching and stopping",
    "seconds after SIGTERM in which /readyz already says no and requests are still served",
  ),
  drainSeconds: always(
    whole("<seconds>", 0, 3_600),
    "30",
    "Watching and stopping",
    "seconds that requests in flight may take after that",
  ),
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

export type SettingName = keyof typeof SETTINGS;

/** The value of each setting, `null` where it was not given and has no default of its own. */
export type Values = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends Setting<infer T> ? T : never;
};

/** In the order of the table. */
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

/** The one thing that is no setting itself: the file in which settings stand. */
export const SETTINGS_FILE = {
  flag: "--config",
  argument: "<file>",
  variable: "SALLYPORT_CONFIG",
  otherwise: "sallyport.yaml",
  meaning: "a YAML or JSON file with settings",
} as const;

/** `trustedProxies` as an option: `--trusted-proxies`. */
export function flagOf(name: SettingName): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** `trustedProxies` as a variable: `SALLYPORT_TRUSTED_PROXIES`. */
export function variableOf(name: SettingName): string {
  return `SALLYPORT_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

function always<T>(kind: Kind<T>, otherwise: string, group: Group, meaning: string): Setting<T> {
  return { kind, otherwise, otherwiseShown: otherwise, group, meaning };
}

function maybe<T>(kind: Kind<T>, otherwiseShown: string, group: Group, meaning: string): Setting<T | null> {
  return { kind, otherwise: null, otherwiseShown, group, meaning };
}
