import { resolve } from "node:path";
import { DEFAULT_ADDRESS, findSocket, parseAddress } from "#client";
import type { Environment, Place } from "#client";
import { usage } from "./error.ts";
import { DEFAULT_PROFILE, readProfile } from "./profile.ts";
import type { Profile } from "./profile.ts";

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

function isPlaceOf(profile: Profile, place: Place): boolean {
  if (place.kind === "socket") return profile.socket === place.path;
  return profile.address !== null && URL.canParse(profile.address) && new URL(profile.address).href === place.url.href;
}
