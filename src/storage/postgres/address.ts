import { readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { createSecureContext } from "node:tls";
import type { ConnectionOptions, SecureContextOptions } from "node:tls";
import { Redacted, VaultError, isLoopback } from "#base";

/** Where a database is, as whom, and how it is known to be the right one. */
export interface PostgresAddress {
  /** Tried in this order; the first that takes writes is the one. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly database: string;
  readonly user: string;
  /** `null`: none is given, and a server that asks for one is refused. */
  readonly password: Redacted<string> | null;
  /** `null`: unencrypted. */
  readonly tls: ConnectionOptions | null;
}

const PORT = 5432;
const FILES = ["sslrootcert", "sslcert", "sslkey"] as const;
const KNOWN: readonly string[] = ["sslmode", ...FILES];
/** Modes that verify nothing, or fall back: whoever stands between could answer in the server's place. */
const UNSAFE = ["allow", "prefer", "require"];

/**
 * Reads a connection URL (PostgreSQL, section 34.1.1.2): `postgres://user@host:port,host:port/database?sslmode=…`. TLS is
 * verified (`verify-full`) unless the server is on this machine, or the URL says `disable`.
 *
 * @throws {VaultError} `config_invalid`, which says nothing of the URL but what is wrong with it.
 */
export function readAddress(url: string): PostgresAddress {
  const parts = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)\/([^/?#]*)(?:\?([^#]*))?$/.exec(url);
  if (parts === null) throw wrong("is not of the form postgres://user@host:port/database");
  const [, login = "", places = "", database = "", query = ""] = parts;
  const [user = "", ...rest] = login.split(":");
  const options = new URLSearchParams(query);
  const names = [...options.keys()];
  if (names.some((name) => !KNOWN.includes(name))) throw wrong(`has an option that is not one of ${KNOWN.join(", ")}`);
  if (new Set(names).size < names.length) throw wrong("says an option twice");
  if (user === "") throw wrong("names no role: postgres://user@host/database");
  if (database === "") throw wrong("names no database");
  const hosts = places.split(",").map(readHost);
  return {
    hosts,
    database: decode(database),
    user: decode(user),
    password: rest.length === 0 ? null : new Redacted(decode(rest.join(":"))),
    tls: readTls(options, hosts),
  };
}

/** As it may be shown: without the password, and without what the options say. */
export function describeAddress({ hosts, database, user }: PostgresAddress): string {
  const places = hosts.map(({ host, port }) => `${shownHost(host)}:${String(port)}`);
  return `postgres://${encodeURIComponent(user)}@${places.join(",")}/${encodeURIComponent(database)}`;
}

/** An IPv6 address in brackets, a folder of sockets escaped. */
function shownHost(host: string): string {
  return host.includes(":") ? `[${host}]` : encodeURIComponent(host);
}

function readHost(place: string): PostgresAddress["hosts"][number] {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*))(?::(\d+))?$/i.exec(place) ?? [];
  const host = bracketed ?? decode(plain ?? "");
  // A password with one of these that is not escaped would be taken for a host, and looked up on the network.
  if (place.includes("@")) throw wrong("has an @ too many: in a name or a password it is written %40");
  if (host === "") throw wrong("names no host, or no port");
  if (bracketed === undefined ? !/^(?:\/.*|[a-z0-9._-]+)$/i.test(host) : !isIPv6(host))
    throw wrong("has a host that is none");
  const number = port === undefined ? PORT : Number(port);
  if (number < 1 || number > 65_535) throw wrong("has a port that is none");
  return { host, port: number };
}

function readTls(options: URLSearchParams, hosts: PostgresAddress["hosts"]): ConnectionOptions | null {
  const isHere = hosts.every(({ host }) => host.startsWith("/") || isLoopback(host));
  const files = FILES.filter((name) => options.has(name));
  // Whoever names an authority wants it asked, on this machine too.
  const mode = options.get("sslmode") ?? (isHere && files.length === 0 ? "disable" : "verify-full");
  if (UNSAFE.includes(mode))
    throw wrong("asks for TLS that is not verified: sslmode is verify-full, verify-ca or disable");
  if (!["verify-full", "verify-ca", "disable"].includes(mode))
    throw wrong("has an sslmode that is none: verify-full, verify-ca or disable");
  if (mode === "disable") {
    if (files.length > 0) throw wrong("names certificates and disables TLS");
    return null;
  }
  const root = options.get("sslrootcert") ?? "system";
  // Anybody gets a certificate of some name from a public authority.
  if (mode === "verify-ca" && root === "system")
    throw wrong("asks for verify-ca without an authority of its own: sslrootcert");
  if (options.has("sslcert") !== options.has("sslkey"))
    throw wrong("names one of sslcert and sslkey, which belong together");
  const ca = root === "system" ? undefined : readPem("sslrootcert", root);
  // Node takes an authority that it cannot read for none at all.
  if (ca !== undefined) usable({ cert: ca }, "the file of sslrootcert holds no certificate in PEM");
  const cert = options.get("sslcert");
  const key = options.get("sslkey");
  const shown = cert === null || key === null ? {} : { cert: readPem("sslcert", cert), key: readPem("sslkey", key) };
  usable(shown, "the files of sslcert and sslkey are no certificate and its key, unencrypted, in PEM");
  return {
    minVersion: "TLSv1.2",
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...shown,
    // The chain alone is asked about, as libpq does it.
    ...(mode === "verify-ca" ? { checkServerIdentity: () => undefined } : {}),
  };
}

function usable(context: SecureContextOptions, message: string): void {
  try {
    createSecureContext(context);
  } catch (cause) {
    throw faulty(message, cause);
  }
}

function readPem(name: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw faulty(`the file of ${name} cannot be read`, cause);
  }
}

function decode(text: string): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    throw wrong("has a % that begins no escape");
  }
  // In the protocol, NUL ends a text and the next one begins.
  if (decoded.includes("\0")) throw wrong("has a NUL");
  return decoded;
}

function wrong(message: string): VaultError {
  return faulty(message);
}

function faulty(message: string, cause?: unknown): VaultError {
  const detail = { faults: [{ field: "store", message }] };
  return new VaultError("config_invalid", undefined, cause === undefined ? { detail } : { detail, cause });
}
