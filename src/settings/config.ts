import { totalmem } from "node:os";
import { join } from "node:path";
import { isLoopback } from "#base";
import type { Redacted } from "#base";
import type { StorePlace } from "./kind.ts";
import type { SettingName, Values } from "./table.ts";

/** The settings of a running vault, ready to be used. Frozen; holds no secret in the open. Paths are absolute. */
export interface Config {
  readonly dataFolder: string;
  readonly keysFolder: string;
  /** Where signed checkpoints go: best on another disk than the data. */
  readonly checkpointFile: string;
  readonly store: StorePlace;
  /** Holds the password of the store's role, where its address does not. */
  readonly storePasswordFile: string | null;
  /** The store's address as the owner of its tables. */
  readonly storeMigrate: Redacted<string> | null;
  readonly storeConnections: number;
  readonly host: string;
  readonly port: number;
  readonly insecurePlainHttp: boolean;
  /** TLS in this process, or `null` for plain HTTP. */
  readonly tls: TlsFiles | null;
  /** For the first start only. */
  readonly org: string;
  readonly owner: string;
  readonly logLevel: Values["logLevel"];
  /** Addresses and ranges of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  /** Requests of one source in a second. */
  readonly requestsPerSecond: number;
  /** Requests with one credential in a second. */
  readonly requestsPerSecondPerCredential: number;
  /** How many wrong passwords and set-up credentials one source may show in ten seconds. */
  readonly failuresPerTenSeconds: number;
  /** Operations at work at the same time. */
  readonly maxInFlight: number;
  /** Resident memory in MiB from which on requests are turned away. */
  readonly maxMemoryMb: number;
  /** Who may read `/metrics`. */
  readonly metrics: Values["metrics"];
  /** After SIGTERM: how long requests are still taken while readiness already says no. */
  readonly drainDelaySeconds: number;
  /** How long requests in flight may take after that. */
  readonly drainSeconds: number;
}

/** PEM files. */
export interface TlsFiles {
  /** The chain, the server's own certificate first. */
  readonly certificateFile: string;
  /** Its private key, not encrypted, mode 0600. */
  readonly keyFile: string;
  /** The authorities of clients' certificates. Given exactly where `clientAuth` is not `none`. */
  readonly clientAuthorityFile: string | null;
  /** Clients are never asked for a certificate; one is checked where it is shown; or there is no connection without. */
  readonly clientAuth: Values["tlsClientAuth"];
}

/** A setting that is right by itself and wrong beside another. */
export interface Clash {
  readonly setting: SettingName;
  /** What is wrong; `say` names a setting in the words of whoever reads it. */
  readonly message: (say: (name: SettingName) => string) => string;
}

export function configOf(values: Values): Config {
  const { tlsCertificate, tlsKey } = values;
  return Object.freeze({
    dataFolder: values.data,
    keysFolder: values.keys,
    checkpointFile: values.checkpoints ?? join(values.data, "checkpoints.log"),
    store: values.store,
    storePasswordFile: values.storePasswordFile,
    storeMigrate: values.storeMigrate,
    storeConnections: values.storeConnections,
    host: values.listen.host,
    port: values.listen.port,
    insecurePlainHttp: values.insecurePlainHttp,
    tls:
      tlsCertificate === null || tlsKey === null
        ? null
        : Object.freeze({
            certificateFile: tlsCertificate,
            keyFile: tlsKey,
            clientAuthorityFile: values.tlsClientAuthority,
            clientAuth: values.tlsClientAuth,
          }),
    org: values.org,
    owner: values.owner,
    logLevel: values.logLevel,
    trustedProxies: values.trustedProxies ?? [],
    requestsPerSecond: values.requestsPerSecond,
    requestsPerSecondPerCredential: values.requestsPerSecondPerCredential,
    failuresPerTenSeconds: values.maxFailures,
    maxInFlight: values.maxInFlight,
    maxMemoryMb: values.maxMemoryMb ?? memoryShareMb(),
    metrics: values.metrics,
    drainDelaySeconds: values.drainDelaySeconds,
    drainSeconds: values.drainSeconds,
  });
}

/** What is wrong between settings. Whoever leaves a door half closed did not mean to. */
export function clashes(values: Values): readonly Clash[] {
  const { listen, insecurePlainHttp, tlsCertificate, tlsKey, tlsClientAuthority, tlsClientAuth } = values;
  const { store, storePasswordFile, storeMigrate } = values;
  const found: Clash[] = [];
  const clash = (setting: SettingName, message: Clash["message"]) => void found.push({ setting, message });
  const ofRoles = { storePasswordFile, storeMigrate };
  for (const setting of ["storePasswordFile", "storeMigrate"] as const) {
    if (ofRoles[setting] !== null && store.engine === "sqlite")
      clash(setting, (say) => `SQLite has no roles: give the database's address in ${say("store")}`);
  }
  const hasTls = tlsCertificate !== null || tlsKey !== null;
  if (!isLoopback(listen.host) && !insecurePlainHttp && !hasTls) {
    clash(
      "listen",
      (say) =>
        `plain HTTP only on a loopback address; give a certificate (${say("tlsCertificate")}, ${say("tlsKey")}), or behind a ` +
        `proxy that speaks TLS say ${say("insecurePlainHttp")}`,
    );
  }
  if (tlsCertificate !== null && tlsKey === null)
    clash("tlsCertificate", (say) => `a certificate needs its private key: ${say("tlsKey")}`);
  if (tlsKey !== null && tlsCertificate === null)
    clash("tlsKey", (say) => `a private key needs its certificate: ${say("tlsCertificate")}`);
  if (hasTls && insecurePlainHttp) clash("insecurePlainHttp", () => "TLS or plain HTTP: not both");
  if (tlsClientAuthority !== null && tlsClientAuth === "none")
    clash(
      "tlsClientAuthority",
      (say) => `nobody would be asked for a certificate: set ${say("tlsClientAuth")} to optional or required`,
    );
  if (tlsClientAuth !== "none" && tlsClientAuthority === null)
    clash(
      "tlsClientAuth",
      (say) => `clients' certificates need the authority that signed them: ${say("tlsClientAuthority")}`,
    );
  if (tlsClientAuth !== "none" && !hasTls)
    clash(
      "tlsClientAuth",
      (say) => `clients show certificates only over TLS: give ${say("tlsCertificate")} and ${say("tlsKey")}`,
    );
  return found;
}

/** A vault at rest takes about half of this; below it everything would be turned away. */
const LEAST_MEMORY_MB = 192;

/** Three quarters of what the system and its control group let the process have, in MiB. V8's own heap is watched apart. */
function memoryShareMb(): number {
  const MIB = 1024 * 1024;
  const total = totalmem();
  // 0 or an absurdly large number where there is no limit.
  const group = process.constrainedMemory();
  const allowed = group > 0 && group < total ? group : total;
  return Math.max(LEAST_MEMORY_MB, Math.floor((allowed * 0.75) / MIB));
}
