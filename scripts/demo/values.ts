/**
 * The demo's secrets. They stand in a file of their own so that the test of the demo knows what must not appear in its
 * output; in the demo they go from a file to a command's stdin, as a person's would.
 */
export const SECRETS = {
  DB_URL: "postgres://etl:canary-kestrel-41@db.internal/warehouse",
  API_KEY: "canary-plover-58-live-key",
} as const;

export const PASSWORDS = {
  owner: "canary heron on the outer wall",
  bea: "canary wren beneath the stairs",
  otto: "canary swift above the gatehouse",
  ann: "canary owl in the counting room",
} as const;

/** Every text that nobody may be shown. */
export const HIDDEN: readonly string[] = [...Object.values(SECRETS), ...Object.values(PASSWORDS)];

/** A token of a vault, as a secret scanner would look for it. */
export const TOKEN = /sp_(?:inj|svc|ses|lease|tool|inv|set)_[0-9a-z]{20,}/g;
