import { INSTANCE, isVaultError } from "#base";
import type { Actor, IdSource, Permit, Redacted } from "#base";
import type { Keyring } from "#crypto";
import { Change, listPage } from "#storage";
import type { Facts, Page, PageRequest, Row, Store } from "#storage";
import { foundOrg } from "#access";
import type { Guard } from "#access";
import { newUser } from "./users.ts";

export interface FoundedOrg {
  readonly org: Row<"orgs">;
  readonly owner: string;
  readonly setUpToken: Redacted<string>;
  readonly expiresAt: Date;
}

/** Orgs of the instance: made by whoever holds the instance, with an owner to whom they then belong. */
export class Orgs {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #facts: Facts;
  readonly #keyring: Keyring;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, facts: Facts, keyring: Keyring, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#facts = facts;
    this.#keyring = keyring;
    this.#ids = ids;
  }

  /** Throws `already_exists`. */
  async create(actor: Actor, slug: string, owner: string): Promise<FoundedOrg> {
    const org = this.#ids.next("org");
    const permit = await this.#guard.require(actor, "instance.admin", { on: "new-org", org });
    return this.#found(permit, slug, owner, false);
  }

  /** What the first start does: the first org, whose owner also holds the instance. `null` when there is one already. */
  async first(slug: string, owner: string): Promise<FoundedOrg | null> {
    if ((await this.#facts.of(INSTANCE).count("orgs")) > 0) return null;
    try {
      return await this.#found(this.#guard.system("instance.first-start", this.#ids.next("org")), slug, owner, true);
    } catch (error) {
      // Another node has made it meanwhile.
      if (isVaultError(error, "already_exists")) return null;
      throw error;
    }
  }

  async list(actor: Actor, page: PageRequest): Promise<Page<Row<"orgs">>> {
    const permit = await this.#guard.require(actor, "instance.admin", { on: "instance" });
    return listPage(this.#store.read(permit), "orgs", { order: ["slug"] }, page);
  }

  async #found(permit: Permit, slug: string, login: string, instanceAdmin: boolean): Promise<FoundedOrg> {
    const now = this.#store.now();
    const change = new Change();
    // One row of this name, whatever the slug is: of several nodes at their first start one makes an owner of the instance.
    if (instanceAdmin) change.insert("meta", { name: "first-org", value: permit.org });
    const { user, credential, token, expiresAt } = newUser(
      this.#ids,
      permit.org,
      { login, role: "owner", instanceAdmin },
      now,
    );
    const keys = await foundOrg(
      change,
      { id: permit.org, slug, owner: user.id },
      { keyring: this.#keyring, ids: this.#ids, now },
    );
    change.insert("principals", user).insert("credentials", credential);
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "org", id: permit.org, name: slug },
      changes: [{ field: "owner", before: null, after: login }],
    });
    this.#keyring.adopt(keys);
    return {
      org: { id: permit.org, slug, state: "active", createdAt: now },
      owner: login,
      setUpToken: token,
      expiresAt,
    };
  }
}
