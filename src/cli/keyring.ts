/**
 * The system's keyring, where there is one: an optional package, loaded when a credential is kept or asked for. A machine
 * without it, or without a session that has a keyring, keeps credentials in a file; so nothing here throws.
 */
const SERVICE = "sallyport";
/** It may ask the person to unlock it. */
const PATIENCE_MS = 60_000;

/** `false` when there is no keyring to keep it in. */
export async function writeKeyring(account: string, token: string): Promise<boolean> {
  const done = await withEntry(account, async (entry) => {
    await entry.setPassword(token, AbortSignal.timeout(PATIENCE_MS));
    return true;
  });
  return done ?? false;
}

/** `null` when it is not there, or there is no keyring. */
export async function readKeyring(account: string): Promise<string | null> {
  return withEntry(account, (entry) => entry.getPassword(AbortSignal.timeout(PATIENCE_MS)));
}

export async function removeFromKeyring(account: string): Promise<void> {
  await withEntry(account, (entry) => entry.deleteCredential(AbortSignal.timeout(PATIENCE_MS)));
}

async function withEntry<T>(account: string, use: (entry: Entry) => Promise<T>): Promise<T | null> {
  try {
    const { AsyncEntry } = await import("@napi-rs/keyring");
    // The kernel's keyring, which is the fallback otherwise, forgets when the session ends: a file is better.
    return await use(new AsyncEntry(SERVICE, account, { linux: { store: "secret-service" } }));
  } catch {
    return null;
  }
}

type Entry = import("@napi-rs/keyring").AsyncEntry;
