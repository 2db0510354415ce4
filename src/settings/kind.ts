import { isIP, isIPv6 } from "node:net";
import { LOGIN, NAME, Redacted } from "#base";

/** What a setting's value is: how it is called in the help, and how a text becomes one. */
export interface Kind<T> {
  /** As it stands after the option: `<folder>`; `null` for what is said or not. */
  readonly argument: string | null;
  /** What a right value looks like; said where one is wrong, and never with the wrong one. */
  readonly form: string;
  /** The value, or `undefined` where the text is none. */
  parse(text: string): T | undefined;
  /** Relative ones start at the settings file's folder where they stand in it, else at the working folder. */
  readonly isPath?: true;
  /** The settings file may give a list in the place of a text with commas. */
  readonly isList?: true;
  /** Why this text may come from nowhere but a variable: others would see it, or it would lie on a disk. */
  secretIn?(text: string): string | null;
}

/** An address and a port to listen on. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

const path = (argument: string, form: string): Kind<string> => ({
  argument,
  form,
  parse: (text) => (text === "" || text.includes("\0") ? undefined : text),
  isPath: true,
});
export const FOLDER = path("<folder>", "a folder");
export const FILE = path("<file>", "a file");

export const ENDPOINT: Kind<Endpoint> = {
  argument: "<host:port>",
  form: "host:port, like 127.0.0.1:7433 or [::1]:7433",
  parse(text) {
    const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
    const host = match?.[1] ?? match?.[2];
    const port = Number(match?.[3]);
    if (host === undefined || port > 65_535 || (match?.[1] !== undefined && !isIPv6(host))) return undefined;
    return { host, port };
  },
};

/** Where the database is: in the data folder, or with a server of its own, whose address may hold a password. */
export type StorePlace =
  { readonly engine: "sqlite" } | { readonly engine: "postgres"; readonly url: Redacted<string> };

const secretIn = (text: string): string | null =>
  /^[a-z]+:\/\/[^:@/?#]*:.*@|[?&]password=/s.test(text)
    ? "holds a password, which would be read here: name its file (storePasswordFile), or give the whole in a variable"
    : null;
export const STORE: Kind<StorePlace> = {
  argument: "<store>",
  form: "sqlite, or postgres://role@host:port/database",
  parse(text) {
    if (text === "sqlite") return { engine: "sqlite" };
    return isPostgres(text) ? { engine: "postgres", url: new Redacted(text) } : undefined;
  },
  secretIn,
};
export const POSTGRES: Kind<Redacted<string>> = {
  argument: "<url>",
  form: "postgres://role@host:port/database",
  parse: (text) => (isPostgres(text) ? new Redacted(text) : undefined),
  secretIn,
};

/** The address as it may be shown: what could be a password is not there. */
export function withoutPassword(url: Redacted<string>): string {
  return hidden(url.reveal());
}

/**
 * Without what could be a password, also where the address is none: one that is not escaped may hold what ends a part of it.
 * From the first colon to the last @, and options that are not the files and the mode of TLS.
 */
function hidden(text: string): string {
  return text.replace(/^([a-z]+:\/\/)([^:@/?#]*):.*@/s, "$1$2@").replace(/([?&])(?!ssl[a-z]+=)[^&]+/g, "$1");
}

function isPostgres(text: string): boolean {
  return /^postgres(ql)?:\/\/\S+$/.test(text);
}

const name = (argument: string, form: string, pattern: RegExp): Kind<string> => ({
  argument,
  form,
  parse: (text) => (pattern.test(text) ? text : undefined),
});
export const SLUG = name("<slug>", "lower-case letters, digits, - and _", NAME);
export const OWNER = name("<login>", "lower-case letters, digits, - _ . + and one @", LOGIN);

export const SWITCH: Kind<boolean> = {
  argument: null,
  form: "true or false",
  parse: (text) => ({ true: true, "1": true, false: false, "0": false })[text],
};

export const PROXIES: Kind<readonly string[]> = {
  argument: "<list>",
  form: "addresses and CIDR ranges with commas between them, like 10.0.0.5,192.168.7.0/24",
  parse(text) {
    const ranges = text
      .split(",")
      .map((one) => one.trim())
      .filter((one) => one !== "");
    return ranges.every(isRange) ? ranges : undefined;
  },
  isList: true,
};

export function oneOf<const T extends string>(argument: string, words: readonly T[]): Kind<T> {
  return {
    argument,
    form: `${words.slice(0, -1).join(", ")} or ${words.at(-1) ?? ""}`,
    parse: (text) => words.find((word) => word === text),
  };
}

/** A whole number; what it counts, or its unit, stands in the help: `<seconds>`. */
export function whole(argument: string, least: number, most: number): Kind<number> {
  return {
    argument,
    form: `a whole number from ${String(least)} to ${String(most)}`,
    parse(text) {
      const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
      return number >= least && number <= most ? number : undefined;
    },
  };
}

function isRange(text: string): boolean {
  const [address = "", prefix, ...rest] = text.split("/");
  const version = isIP(address);
  if (version === 0 || rest.length > 0 || address.includes("%")) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}
