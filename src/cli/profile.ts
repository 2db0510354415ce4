import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { NAME } from "#base";
import { readFile, readPrivateFile } from "#client";
import type { Environment } from "#client";
import { CliError, usage } from "./error.ts";
import { makePrivateFolder, removeFile, writePrivateFile } from "./file.ts";
import { readKeyring, removeFromKeyring, writeKeyring } from "./keyring.ts";

/**
 * A profile: which vault, which org, who, and where the credential lies. It is kept as
 *
 *     $XDG_CONFIG_HOME/sallyport/            0700 (~/.config/sallyport where the variable is not set)
 *       profiles/<name>.json                 what stands below, as JSON
 *       credentials/<name>                   0600: the session's token, where no keyring took it
 */
export interface Profile {
  readonly name: string;
  /** Exactly one of the two is there. */
  readonly address: string | null;
  readonly socket: string | null;
  readonly org: string;
  readonly login: string;
  /** What `--env` is where it is not given. */
  readonly environment: string | null;
  readonly keptIn: "keyring" | "file" | null;
  readonly expiresAt: string | null;
}

export const DEFAULT_PROFILE = "default";
const MAX_PROFILE_BYTES = 16 * 1024;

/** The profile of this name, or `null` when there is none. Errors: `usage` for a file that is not a profile. */
export function readProfile(name: string, env: Environment): Profile | null {
  const path = profilePath(name, env);
  if (!existsSync(path)) return null;
  const profile = parseProfile(name, readFile(path, MAX_PROFILE_BYTES).toString("utf8"));
  if (profile === null)
    throw usage(`${path} is not a profile.`, `Remove it and sign in again: sallyport login --profile ${name}`);
  return profile;
}

/** Of the profiles that are kept here. */
export function profileNames(env: Environment): string[] {
  const path = join(folder(env), "profiles");
  return existsSync(path)
    ? readdirSync(path)
        .filter((file) => file.endsWith(".json"))
        .map((file) => file.slice(0, -".json".length))
    : [];
}

/** Keeps the profile and its credential: in the system's keyring if there is one and it is wanted, else in a 0600 file. */
export async function keepCredential(
  profile: Omit<Profile, "keptIn">,
  token: string,
  env: Environment,
  keyring: boolean,
): Promise<Profile> {
  const root = folder(env);
  for (const path of [root, join(root, "profiles"), join(root, "credentials")]) makePrivateFolder(path);
  const inKeyring = keyring && (await writeKeyring(accountOf(profile), token));
  if (inKeyring) removeFile(credentialPath(profile.name, env));
  else writePrivateFile(credentialPath(profile.name, env), `${token}\n`);
  const kept: Profile = { ...profile, keptIn: inKeyring ? "keyring" : "file" };
  writeProfile(kept, env);
  return kept;
}

/** The credential that a profile keeps, or `null` when it was signed out. */
export async function readCredential(profile: Profile, env: Environment): Promise<string | null> {
  switch (profile.keptIn) {
    case null:
      return null;
    case "keyring":
      return readKeyring(accountOf(profile));
    case "file":
      return readPrivateFile(credentialPath(profile.name, env), env).trim();
  }
}

/** Forgets the credential; the rest of the profile stays for the next login. */
export async function forgetCredential(profile: Profile, env: Environment): Promise<void> {
  if (profile.keptIn === "keyring") await removeFromKeyring(accountOf(profile));
  removeFile(credentialPath(profile.name, env));
  writeProfile({ ...profile, keptIn: null, expiresAt: null }, env);
}

function writeProfile(profile: Profile, env: Environment): void {
  const { name, ...content } = profile;
  writePrivateFile(profilePath(name, env), `${JSON.stringify(content, null, 2)}\n`);
}

function folder(env: Environment): string {
  const home = env.XDG_CONFIG_HOME;
  // The XDG Base Directory specification: a path that is not absolute is to be ignored.
  if (home !== undefined && isAbsolute(home)) return join(home, "sallyport");
  return join(env.HOME ?? homedir(), ".config", "sallyport");
}

function profilePath(name: string, env: Environment): string {
  if (!NAME.test(name)) throw new CliError("usage", `“${name}” is not a name for a profile.`);
  return join(folder(env), "profiles", `${name}.json`);
}

function credentialPath(name: string, env: Environment): string {
  return join(folder(env), "credentials", name);
}

/** The place is part of the name: a credential found in the keyring is one for this vault. */
function accountOf(profile: Pick<Profile, "name" | "address" | "socket">): string {
  return `${profile.name} ${profile.address ?? profile.socket ?? ""}`;
}

function parseProfile(name: string, text: string): Profile | null {
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof content !== "object" || content === null) return null;
  const fields = content as Readonly<Record<string, unknown>>;
  const textOf = (field: string) => (typeof fields[field] === "string" ? fields[field] : null);
  const address = textOf("address");
  const socket = textOf("socket");
  const keptIn = textOf("keptIn");
  if ((address === null) === (socket === null)) return null;
  return {
    name,
    address,
    socket,
    org: textOf("org") ?? "",
    login: textOf("login") ?? "",
    environment: textOf("environment"),
    keptIn: keptIn === "keyring" || keptIn === "file" ? keptIn : null,
    expiresAt: textOf("expiresAt"),
  };
}
