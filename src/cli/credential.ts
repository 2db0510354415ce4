import { asCredential, fromEnvironment, readToken } from "#client";
import type { Credential, Environment, TokenKind, TokenSource } from "#client";
import type { Given } from "./given.ts";
import { readCredential } from "./profile.ts";
import type { Where } from "./place.ts";

const ACTORS: readonly TokenKind[] = ["svc", "ses"];

/**
 * Who is calling: the first of a file, a descriptor, the environment, and what the profile of this vault keeps. `null` when
 * there is none, which is right at the machine's own socket.
 *
 * Errors: `usage` for a file that others can read or a text that is no credential of a user or service user.
 */
export async function findCredential(source: TokenSource, where: Where, env: Environment): Promise<Credential | null> {
  const given = readToken(source, ACTORS, env) ?? fromEnvironment(env, ACTORS);
  if (given !== null) return given;
  if (where.profile === null) return null;
  const kept = await readCredential(where.profile, env);
  return kept === null ? null : asCredential(kept, "profile", ACTORS);
}

/** Where a token lies: as the options say, else as SALLYPORT_TOKEN_FILE, _CREDENTIAL_FILE or _RUNNER_FILE do. */
export function sourceOf(given: Given, what: "token" | "credential" | "runner", env: Environment): TokenSource {
  const [file, fd] = [given.text(`${what}-file`), given.text(`${what}-fd`)];
  const fdOption = `--${what}-fd`;
  if (file !== undefined || fd !== undefined) return { file, fd, fdOption };
  const set = env[`SALLYPORT_${what.toUpperCase()}_FILE`];
  return { file: set === "" ? undefined : set, fd, fdOption };
}
