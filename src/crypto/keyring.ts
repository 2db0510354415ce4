import { INSTANCE, Redacted, VaultError } from "#base";
import type { Id, IdSource } from "#base";
import { KEY_BYTES, open, seal, sealedKeyId, symmetricKey } from "./aead.ts";
import type { SymmetricKey } from "./aead.ts";
import { EncryptionBudget } from "./encryption-budget.ts";
import type { Field } from "./fields.ts";
import { Lru } from "./lru.ts";
import { createMacKey } from "./mac.ts";
import type { MacKey } from "./mac.ts";
import { randomBytes } from "./random.ts";
import type { RootKey } from "./root.ts";
import { SingleFlight } from "./single-flight.ts";
import { parentPurpose, unwrapKey, wrapKey } from "./wrap.ts";
import type { KeyIdentity, KeyPurpose, UnwrappedKey, WrappedKey } from "./wrap.ts";

/** Where wrapped keys are stored. What it gives is believed only as far as it opens. */
export interface KeySource {
  find(org: Id<"org">, id: Id<"key">): Promise<WrappedKey | null>;
  current(org: Id<"org">, purpose: KeyPurpose, environment: Id<"env"> | null): Promise<WrappedKey | null>;
  /**
   * Adds to the encryptions counted for a data key; resolves when that is durable. It throws, and so stops the key's use,
   * when the key is gone or near its end (2^32 encryptions, NIST SP 800-38D section 8.3).
   */
  reserve(org: Id<"org">, id: Id<"key">, count: number): Promise<void>;
}

/** A key in memory, with what its purpose needs. */
interface HeldKey extends UnwrappedKey {
  readonly mac: MacKey;
  readonly budget: EncryptionBudget;
}

/** Keys held at most, of each: in use, known to be current, and made but not committed. */
const LIMIT = 10_000;

/**
 * The keys of a running vault: root → instance key and org keys → MAC keys and data keys.
 *
 * Keys are unwrapped when first asked for and kept as KeyObjects. After `close()` every method throws `sealed`; a key
 * that is missing, not what its row says or not for this org and environment is `integrity_failed`, always; what the
 * source throws passes through.
 */
export class Keyring {
  #root: SymmetricKey | null;
  readonly #source: KeySource;
  readonly #ids: IdSource;
  readonly #held = new Lru<Id<"key">, HeldKey>(LIMIT);
  readonly #current = new Lru<string, Id<"key">>(LIMIT);
  readonly #staged = new Lru<string, HeldKey>(LIMIT);
  readonly #finding = new SingleFlight<HeldKey | null>();
  readonly #choosing = new SingleFlight<HeldKey>();
  /** Rises when a current key may have changed, so that an answer asked for before is not remembered after. */
  #turn = 0;

  /** Takes the root key over: it is copied into a KeyObject and its buffer filled with zeros. */
  constructor(root: RootKey, source: KeySource, ids: IdSource) {
    this.#root = symmetricKey(root.id, root.bytes);
    this.#source = source;
    this.#ids = ids;
    root.zero();
  }

  get sealed(): boolean {
    return this.#root === null;
  }

  /** Lets go of all keys. */
  close(): void {
    this.#root = null;
    this.#held.clear();
    this.#current.clear();
    this.#staged.clear();
  }

  /** The instance key and the instance's MAC key, to be stored by the caller, then adopted. */
  createInstance(): readonly WrappedKey[] {
    const instance = this.#create(this.#unsealed(), {
      org: INSTANCE,
      environment: null,
      purpose: "instance",
      generation: 1,
    });
    const mac = this.#create(instance.held, { org: INSTANCE, environment: null, purpose: "mac", generation: 1 });
    return [instance.wrapped, mac.wrapped];
  }

  /**
   * The org key and MAC key of a new org, to be stored by the caller, then adopted. Until then they serve what the same
   * change needs: `createDataKey` and `macKey` of this org.
   */
  createOrg(org: Id<"org">): readonly WrappedKey[] {
    const key = this.#create(this.#unsealed(), { org, environment: null, purpose: "org", generation: 1 });
    const mac = this.#create(key.held, { org, environment: null, purpose: "mac", generation: 1 });
    return [key.wrapped, mac.wrapped];
  }

  /** A data key of the environment under the current org key, to be stored by the caller, then adopted. */
  async createDataKey(org: Id<"org">, environment: Id<"env">, generation: number): Promise<WrappedKey> {
    const parent = await this.#currentKey(org, "org", null);
    return this.#create(parent, { org, environment, purpose: "data", generation }).wrapped;
  }

  /** Call when these keys are committed: those made here are usable at once, and current ones are what is used next. */
  adopt(keys: readonly WrappedKey[]): void {
    this.#unsealed();
    for (const { id, org, purpose, environment, state } of keys) {
      const place = placeOf(org, purpose, environment);
      const staged = this.#staged.get(place);
      if (staged?.id === id) {
        this.#staged.delete(place);
        this.#held.set(id, staged);
      }
      this.#forget(place);
      if (state === "current" && staged?.id === id) this.#current.set(place, id);
    }
  }

  /** The key that proves the org's rows from now on. */
  async macKey(org: Id<"org">): Promise<MacKey> {
    return (await this.#currentKey(org, "mac", null)).mac;
  }

  /** The MAC key of this id, current or retired; `null` when the org has no key of this id. */
  async macKeyById(org: Id<"org">, id: Id<"key">): Promise<MacKey | null> {
    return (await this.#key(org, id, "mac", null))?.mac ?? null;
  }

  /** {@link macKeyById} without waiting: `null` also when the key is not in memory. */
  macKeyCached(org: Id<"org">, id: Id<"key">): MacKey | null {
    const held = this.#heldKey(org, id);
    return held === null ? null : checkUse(held, org, "mac", null).mac;
  }

  /**
   * Seals under the environment's current data key. `key` says which that was: the change that stores the bytes expects
   * it to be current still, and when it is not, calls {@link forgetCurrent} and seals again.
   */
  async sealValue(
    org: Id<"org">,
    environment: Id<"env">,
    associated: readonly Field[],
    plaintext: Redacted<Buffer> | Uint8Array,
  ): Promise<{ readonly key: Id<"key">; readonly sealed: Buffer }> {
    const held = await this.#currentKey(org, "data", environment);
    await held.budget.take();
    this.#unsealed();
    const bytes = plaintext instanceof Redacted ? plaintext.reveal() : plaintext;
    return { key: held.id, sealed: seal(held, associated, bytes) };
  }

  /** The inverse of {@link sealValue}, under whichever key of this environment sealed the bytes. */
  async openValue(
    org: Id<"org">,
    environment: Id<"env">,
    associated: readonly Field[],
    sealed: Uint8Array,
  ): Promise<Redacted<Buffer>> {
    const id = sealedKeyId(sealed);
    const held = id === null ? null : await this.#key(org, id, "data", environment);
    if (held === null) throw new VaultError("integrity_failed");
    return new Redacted(open(held, associated, sealed));
  }

  /** {@link openValue} without waiting: `null` when the key is not in memory. */
  openValueCached(
    org: Id<"org">,
    environment: Id<"env">,
    associated: readonly Field[],
    sealed: Uint8Array,
  ): Redacted<Buffer> | null {
    const id = sealedKeyId(sealed);
    if (id === null) throw new VaultError("integrity_failed");
    const held = this.#heldKey(org, id);
    return held === null ? null : new Redacted(open(checkUse(held, org, "data", environment), associated, sealed));
  }

  /** Looks again which key is current: the environment's data key, or with `null` the org's own keys. */
  forgetCurrent(org: Id<"org">, environment: Id<"env"> | null): void {
    this.#unsealed();
    const purposes = environment === null ? (["instance", "org", "mac"] as const) : (["data"] as const);
    for (const purpose of purposes) this.#forget(placeOf(org, purpose, environment));
  }

  #unsealed(): SymmetricKey {
    if (this.#root === null) throw new VaultError("sealed");
    return this.#root;
  }

  #forget(place: string): void {
    this.#turn += 1;
    this.#current.delete(place);
    this.#choosing.forget(place);
  }

  #create(parent: SymmetricKey, what: Omit<KeyIdentity, "id" | "parent">): { wrapped: WrappedKey; held: HeldKey } {
    if (parentPurpose(what.purpose, what.org) === null) throw new TypeError("the instance is not an org");
    const identity: KeyIdentity = { ...what, id: this.#ids.next("key"), parent: parent.id };
    const bytes = randomBytes(KEY_BYTES);
    try {
      const wrapped: WrappedKey = { ...identity, wrapped: wrapKey(parent, identity, bytes), state: "current" };
      const held = this.#hold({ ...identity, ...symmetricKey(identity.id, bytes) });
      this.#staged.set(placeOf(held.org, held.purpose, held.environment), held);
      return { wrapped, held };
    } finally {
      bytes.fill(0);
    }
  }

  /** The key, from memory or from the source; `null` when the source has none of this org and id. */
  async #key(
    org: Id<"org">,
    id: Id<"key">,
    purpose: KeyPurpose,
    environment: Id<"env"> | null,
  ): Promise<HeldKey | null> {
    const load = async () => {
      const row = await this.#source.find(org, id);
      if (row === null) return null;
      // Before its parent is looked for: rows that name each other as parents must not wait for each other.
      if (row.id !== id || row.org !== org || row.purpose !== purpose) throw new VaultError("integrity_failed");
      return this.#unwrap(row);
    };
    const held = this.#heldKey(org, id) ?? (await this.#finding.run(`${purpose} ${org} ${id}`, load));
    return held === null ? null : checkUse(held, org, purpose, environment);
  }

  #heldKey(org: Id<"org">, id: Id<"key">): HeldKey | null {
    this.#unsealed();
    const held = this.#held.get(id);
    return held?.org === org ? held : null;
  }

  async #currentKey(org: Id<"org">, purpose: KeyPurpose, environment: Id<"env"> | null): Promise<HeldKey> {
    const place = placeOf(org, purpose, environment);
    const id = this.#current.get(place);
    const held = id === undefined ? null : this.#heldKey(org, id);
    if (held !== null) return checkUse(held, org, purpose, environment);
    this.#unsealed();
    return this.#choosing.run(place, async () => {
      const turn = this.#turn;
      const row = await this.#source.current(org, purpose, environment);
      this.#unsealed();
      if (row === null) {
        // A data key seals values only once its own row is committed; the others prove and wrap what is in its change.
        const staged = purpose === "data" ? undefined : this.#staged.get(place);
        if (staged === undefined) throw new VaultError("integrity_failed");
        return staged;
      }
      if (row.state !== "current") throw new VaultError("integrity_failed");
      const chosen = checkUse(this.#heldKey(org, row.id) ?? (await this.#unwrap(row)), org, purpose, environment);
      if (turn === this.#turn) this.#current.set(place, chosen.id);
      return chosen;
    });
  }

  async #unwrap(row: WrappedKey): Promise<HeldKey> {
    const held = this.#hold(unwrapKey(await this.#parentOf(row), row));
    this.#unsealed();
    this.#held.set(held.id, held);
    return held;
  }

  async #parentOf({ org, purpose, environment, parent }: WrappedKey): Promise<SymmetricKey> {
    const above = parentPurpose(purpose, org);
    if (above === null || (purpose === "data") !== (environment !== null)) throw new VaultError("integrity_failed");
    if (above === "root") return this.#unsealed();
    const held = await this.#key(org, parent, above, null);
    if (held === null) throw new VaultError("integrity_failed");
    return held;
  }

  #hold(key: UnwrappedKey): HeldKey {
    const budget = new EncryptionBudget((count) => this.#source.reserve(key.org, key.id, count));
    return { ...key, mac: createMacKey(key), budget };
  }
}

/** The key, if it is for this; else `integrity_failed`. */
function checkUse(held: HeldKey, org: Id<"org">, purpose: KeyPurpose, environment: Id<"env"> | null): HeldKey {
  if (held.org !== org || held.purpose !== purpose || held.environment !== environment) {
    throw new VaultError("integrity_failed");
  }
  return held;
}

function placeOf(org: Id<"org">, purpose: KeyPurpose, environment: Id<"env"> | null): string {
  return `${purpose} ${org} ${environment ?? ""}`;
}
