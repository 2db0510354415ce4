import { lstatSync } from "node:fs";

import { dirname, join, resolve } from "node:path";
import { isLoopback } from "#base";
import { usage } from "./error.ts";
import type { Environment } from "./file.ts";
import { DEFAULT_PROFILE, readProfile } from "./profile.ts";
import type { Profile } from "./profile.ts";

/** How a vault is reached. */
export type Place = { readonly kind: "url"; readonly url: URL } | { readonly kind: "socket"; readonly path: string };

export interface Where {
  readonly place: Place;
  /** The profile whose vault this is: only then may its credential be sent there. */
  readonly profile: Profile | null;
  /** The name under which a login is kept. */
  readonly profileName: string;
  /** Nobody said where it is, and no socket of one was found: it is where a vault usually listens. */
  readonly isGuess: boolean;
}

export interface WhereOptions {
  readonly address: string | undefined;
  readonly socket: string | undefined;
  readonly profile: string | undefined;
  readonly insecurePlainHttp: boolean;
  /** `login` makes the profile that is named. */
  readonly newProfile: boolean;
}

export const DEFAULT_ADDRESS = "http://127.0.0.1:7433";
const SOCKET_IN_FOLDER = join("data", "sallyport.sock");

/**
 * Where the vault is. What is typed comes before what is set: `--address`, `--socket`, `--profile`; SALLYPORT_ADDRESS,
 * SALLYPORT_SOCKET, SALLYPORT_PROFILE; the default profile; the socket of a vault whose data folder is `data` in this
 * folder or one above; the address on which `sallyport up` listens.
 *
 * Errors: `usage` for an address that is none, or over which nothing secret may travel.
 */
export function findVault(options: WhereOptions, env: Environment, folder: string): Where {
  const set = (name: string) => (env[name] === "" ? undefined : env[name]);
  const named = options.profile ?? set("SALLYPORT_PROFILE");
  const profileName = named ?? DEFAULT_PROFILE;
  const profile = readProfile(profileName, env);
  const at = (place: Place): Where => ({
    place,
    profile: profile !== null && isPlaceOf(profile, place) ? profile : null,
    profileName,
    isGuess: false,
  });
  const url = (text: string) => at({ kind: "url", url: parseAddress(text, options.insecurePlainHttp) });
  const socket = (path: string) => at({ kind: "socket", path: resolve(folder, path) });
  const ofProfile = (): Where | null => {
    if (profile === null) {
      if (named === undefined || options.newProfile) return null;
      throw usage(`There is no profile “${named}”.`, `Make it: sallyport login --profile ${named} --address https://…`);
    }
    return profile.socket === null ? url(profile.address ?? "") : socket(profile.socket);
  };

  if (options.address !== undefined && options.socket !== undefined)
    throw usage("--address and --socket are two places: give one.");
  if (options.address !== undefined) return url(options.address);
  if (options.socket !== undefined) return socket(options.socket);
  if (options.profile !== undefined) {
    const found = ofProfile();
    if (found !== null) return found;
  }
  const [address, path] = [set("SALLYPORT_ADDRESS"), set("SALLYPORT_SOCKET")];
  if (address !== undefined) return url(address);
  if (path !== undefined) return socket(path);
  const kept = options.profile === undefined ? ofProfile() : null;
  if (kept !== null) return kept;
  const near = findSocket(folder);
  return near === null ? { ...url(DEFAULT_ADDRESS), isGuess: true } : socket(near);
}

/** As a person would write it. */
export function describePlace(place: Place): string {
  return place.kind === "socket" ? place.path : place.url.href.replace(/\/$/, "");
}

/**
 * An address as a URL. What travels is credentials and values, so it is https, or http to this machine; any other http
 * only where the caller said `--insecure-plain-http`.
 */
export function parseAddress(text: string, insecurePlainHttp: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isHttp = url?.protocol === "http:";
  if (url === null || (!isHttp && url.protocol !== "https:") || url.search !== "" || url.hash !== "") {
    throw usage(`“${text}” is not an address like https://vault.example.com or ${DEFAULT_ADDRESS}.`);
  }
  if (url.username !== "" || url.password !== "")
    throw usage("An address holds no credential: sign in with `sallyport login`.");
  if (isHttp && !isLoopback(url.hostname) && !insecurePlainHttp) {
    throw usage(
      `${url.origin} is plain HTTP to another machine: credentials and values could be read on the way.`,
      "Use https, or say --insecure-plain-http if something else protects the way.",
    );
  }
  return url;
}

function isPlaceOf(profile: Profile, place: Place): boolean {
  if (place.kind === "socket") return profile.socket === place.path;
  return profile.address !== null && URL.canParse(profile.address) && new URL(profile.address).href === place.url.href;
}

/**
 * The socket of the vault that this user, or root, runs in this folder or one above. Whoever answers on it is sent values
 * without further proof, so nobody else may be able to have made it or to open it.
 */
function findSocket(folder: string): string | null {
  const user = process.getuid?.();
  if (user === undefined) return null;
  for (let here = folder; ; here = dirname(here)) {
    const path = join(here, SOCKET_IN_FOLDER);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isSocket() === true && (stat.uid === user || stat.uid === 0) && (stat.mode & 0o077) === 0) return path;
    if (here === dirname(here)) return null;
  }
}
