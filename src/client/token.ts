/** A client knows what a vault's token looks like, and what kind it is; what is in it is the vault's affair. */

const KINDS = ["inj", "svc", "ses", "lease", "tool", "inv", "set"] as const;
export type TokenKind = (typeof KINDS)[number];

const ONE = new RegExp(`^sp_(${KINDS.join("|")})_[0-9a-hjkmnp-tv-z]{109}$`);
const ANYWHERE = new RegExp(`sp_(?:${KINDS.join("|")})_[0-9a-hjkmnp-tv-z]{109}`);
/** So many letters after the prefix hold ids only: 254 of their 256 bits, and nothing of the secret. */
const ID_LETTERS = 51;

/** The kind of a token, or `null` when `text` is none. */
export function tokenKind(text: string): TokenKind | null {
  const kind = ONE.exec(text)?.[1];
  return KINDS.find((known) => known === kind) ?? null;
}

/** True where a token stands in `text`, alone or among other things. */
export function holdsToken(text: string): boolean {
  return ANYWHERE.test(text);
}

/**
 * A token as two variables, for tools that want an id and a secret: SALLYPORT_TOKEN_ID is its public beginning,
 * SALLYPORT_TOKEN_SECRET the rest; written one after the other they are the token.
 */
export function splitToken(token: string): { readonly id: string; readonly secret: string } {
  const at = token.lastIndexOf("_") + 1 + ID_LETTERS;
  return { id: token.slice(0, at), secret: token.slice(at) };
}
