import { usage } from "./error.ts";
import { readDescriptor, readPrivateFile } from "./file.ts";
import type { Environment } from "./file.ts";
import { tokenKind } from "./token.ts";
import type { TokenKind } from "./token.ts";

/** A token and how it came here. */
export interface Credential {
  readonly token: string;
  readonly kind: TokenKind;
  readonly from: CredentialOrigin;
}

export type CredentialOrigin = "file" | "descriptor" | "environment" | "profile" | "program";

/** Where a token may be said to lie; the names of the options are the caller's. */
export interface TokenSource {
  readonly file: string | undefined;
  readonly fd: string | undefined;
  /** The option that takes the descriptor, where there is one. */
  readonly fdOption?: string;
}

const CALLED: Readonly<Record<TokenKind, string>> = {
  inj: "an injection token",
  svc: "a service user's token",
  ses: "a session",
  lease: "a lease",
  tool: "a token for tools",
  inv: "an invoke token",
  set: "a set-up credential",
};

/**
 * A token from a file or a descriptor; `null` when neither is named.
 *
 * Errors: `usage` for a file that others can read, or a text that is no token of these kinds.
 */
export function readToken(source: TokenSource, kinds: readonly TokenKind[], env: Environment): Credential | null {
  if (source.file !== undefined && source.fd !== undefined) throw usage("Give a file or a descriptor, not both.");
  if (source.file !== undefined)
    return asCredential(readPrivateFile(source.file, env, source.fdOption).trim(), "file", kinds);
  if (source.fd === undefined) return null;
  if (!/^\d{1,4}$/.test(source.fd)) throw usage(`“${source.fd}” is not the number of a descriptor.`);
  return asCredential(readDescriptor(Number(source.fd)).trim(), "descriptor", kinds);
}

/**
 * A token from SALLYPORT_TOKEN, or from SALLYPORT_TOKEN_ID and SALLYPORT_TOKEN_SECRET, which joined are one; `null` when
 * they are not set.
 */
export function fromEnvironment(env: Environment, kinds: readonly TokenKind[]): Credential | null {
  const whole = env.SALLYPORT_TOKEN ?? "";
  if (whole !== "") return asCredential(whole.trim(), "environment", kinds);
  const [id, secret] = [env.SALLYPORT_TOKEN_ID ?? "", env.SALLYPORT_TOKEN_SECRET ?? ""];
  if (id === "" && secret === "") return null;
  return asCredential(id.trim() + secret.trim(), "environment", kinds);
}

/** The kind of token in the environment, if one is there. */
export function kindInEnvironment(env: Environment): TokenKind | null {
  return tokenKind((env.SALLYPORT_TOKEN ?? "").trim());
}

/** `token` if it is one of these kinds. Errors: `usage`, which says what it is, and never shows it. */
export function asCredential(token: string, from: CredentialOrigin, kinds: readonly TokenKind[]): Credential {
  const kind = tokenKind(token);
  if (kind !== null && kinds.includes(kind)) return { token, kind, from };
  const found = kind === null ? "no token of a vault" : CALLED[kind];
  const wanted = kinds.map((one) => CALLED[one]).join(" or ");
  throw usage(`The ${from} holds ${found}; this takes ${wanted}.`);
}
