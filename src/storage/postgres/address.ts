import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { Redacted, VaultError, isLoopback } from "#base";

/** Where a database is, as whom, and how it is known to be the right one. */
export interface PostgresAddress {
  /** Tried in this order; the first that takes writes is the one. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly database: string;
  readonly user: string;
  /** `null`: from the password file of libpq, or none is asked for. */
  readonly password: Redacted<string> | null;
  /** `null`: unencrypted. */
  readonly tls: ConnectionOptions | null;
}

const PORT = 5432;
const KNOWN = ["sslmode", "sslrootcert", "sslcert", "sslkey"];
/** Modes that verify nothing, or fall back: whoever stands between could answer in the server's place. */
const UNSAFE = ["allow", "prefer", "require"];

/**
 * Reads a connection URL (PostgreSQL, section 34.1.1.2): `postgres://user@host:port,host:port/database?sslmode=…`. TLS is
 * verified (`verify-full`) unless the server is on this machine, or the URL says `disable`.
 *
 * @throws {VaultError} `config_invalid`, which says nothing of the URL but what is wrong with it.
 */
export function readAddress(url: string): PostgresAddress {
  const parts = /^postgres(?:ql)?:\/\/(?:([^@/?#]*)@)?([^/?#]*)\/([^?#]*)(?:\?([^#]*))?$/.exec(url);
  if (parts === null) throw wrong("is not of the form postgres://user@host:port/database");
  const [, login = "", places = "", database = "", query = ""] = parts;
  const [user = "", ...rest] = login.split(":");
  const options = new URLSearchParams(query);
  const unknown = [...options.keys()].find((name) => !KNOWN.includes(name));
  if (unknown !== undefined) throw wrong(`has an option that is not one of ${KNOWN.join(", ")}`);
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
  const places = hosts.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${String(port)}`);
  return `postgres://${encodeURIComponent(user)}@${places.join(",")}/${encodeURIComponent(database)}`;
}

function readHost(place: string): PostgresAddress["hosts"][number] {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*))(?::(\d+))?$/i.exec(place) ?? [];
  const host = bracketed ?? decode(plain ?? "");
  if (host === "") throw wrong("names no host");
  const number = port === undefined ? PORT : Number(port);
  if (number < 1 || number > 65_535) throw wrong("has a port that is none");
  return { host, port: number };
}

function readTls(options: URLSearchParams, hosts: PostgresAddress["hosts"]): ConnectionOptions | null {
  const isHere = hosts.every(({ host }) => host.startsWith("/") || isLoopback(host));
  const mode = options.get("sslmode") ?? (isHere ? "disable" : "verify-full");
  if (UNSAFE.includes(mode))
    throw wrong("asks for TLS that is not verified: sslmode is verify-full, verify-ca or disable");
  if (!["verify-full", "verify-ca", "disable"].includes(mode))
    throw wrong("has an sslmode that is none: verify-full, verify-ca or disable");
  if (mode === "disable") return null;
  const [ca, cert, key] = ["sslrootcert", "sslcert", "sslkey"].map((name) => {
    const path = options.get(name);
    return path === null || path === "system" ? undefined : readPem(name, path);
  });
  return {
    minVersion: "TLSv1.2",
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    // The chain alone is asked about, as libpq does it.
    ...(mode === "verify-ca" ? { checkServerIdentity: () => undefined } : {}),
  };
}

function readPem(name: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new VaultError("config_invalid", undefined, {
      detail: { faults: [{ field: "store", message: `the file of ${name} cannot be read` }] },
      cause,
    });
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong("has a % that begins no escape");
  }
}

function wrong(message: string): VaultError {
  return new VaultError("config_invalid", undefined, { detail: { faults: [{ field: "store", message }] } });
}
