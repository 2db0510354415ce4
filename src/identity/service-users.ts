import { VaultError } from "#base";
import type { Actor, Id, IdSource, ServiceKind, Redacted } from "#base";
import { generateToken } from "#crypto";
import { Change, listPage, noneOf } from "#storage";
import type { NewRow, Page, PageRequest, Reader, Row, Store } from "#storage";
import { differences } from "#access";
import type { Guard } from "#access";
import { newCredential } from "./sign-in.ts";
import { endAccess } from "./users.ts";

export interface TokenSettings {
  readonly note?: string | undefined;
  readonly expiresAt?: Date | undefined;
  readonly cidrs?: readonly string[] | undefined;
}

/** A token with its text, which is shown this once. */
export interface IssuedToken {
  readonly credential: NewRow<"credentials">;
  readonly token: Redacted<string>;
}

/** Service users: programs with a kind, no org role, and tokens instead of a password. */
export class ServiceUsers {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#ids = ids;
  }

  /** Throws `already_exists` when a user or service user has the name. */
  async create(
    actor: Actor,
    settings: TokenSettings & { name: string; kind: ServiceKind; description?: string | undefined },
  ): Promise<IssuedToken & { principal: Row<"principals"> }> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const now = this.#store.now();
    const principal: NewRow<"principals"> = {
      id: this.#ids.next("prn"),
      type: "service",
      name: settings.name,
      orgRole: null,
      kind: settings.kind,
      instanceAdmin: false,
      state: "active",
      securityVersion: 1,
      description: settings.description ?? "",
      createdAt: now,
      lastSignInAt: null,
    };
    const issued = this.#issue(permit.org, principal.id, settings, now);
    const change = new Change().insert("principals", principal).insert("credentials", issued.credential).raiseEpoch();
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "principal", id: principal.id, name: principal.name },
      changes: [{ field: "kind", before: null, after: principal.kind }],
      facts: { credential: issued.credential.id },
    });
    return { ...issued, principal: { ...principal, changedBy: permit.event.id } };
  }

  async list(actor: Actor, page: PageRequest): Promise<Page<Row<"principals">>> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    return listPage(
      this.#store.read(permit),
      "principals",
      { where: { type: "service", state: noneOf(["deleted"]) }, order: ["name"] },
      page,
    );
  }

  /** With its tokens' metadata; a token's text is never shown again. */
  async get(
    actor: Actor,
    name: string,
  ): Promise<{ principal: Row<"principals">; tokens: readonly Row<"credentials">[] }> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const principal = await serviceNamed(reader, name);
    return {
      principal,
      tokens: await reader.list("credentials", {
        where: { principalId: principal.id, kind: "token", state: "active" },
        order: ["id"],
      }),
    };
  }

  async update(
    actor: Actor,
    name: string,
    update: { state?: "active" | "disabled" | undefined; description?: string | undefined },
  ): Promise<Row<"principals">> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const before = await serviceNamed(this.#store.read(permit), name);
    const after = {
      ...before,
      state: update.state ?? before.state,
      description: update.description ?? before.description,
      securityVersion: before.securityVersion + 1,
    };
    await this.#store.commit(permit, new Change().replace("principals", before, after).raiseEpoch(), {
      result: "success",
      target: { type: "principal", id: before.id, name },
      changes: differences(before, after, ["state", "description"]),
    });
    return { ...after, changedBy: permit.event.id };
  }

  /** Access ends on the next request; the name is free. */
  async delete(actor: Actor, name: string): Promise<void> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const principal = await serviceNamed(reader, name);
    const change = new Change()
      .replace("principals", principal, { state: "deleted", securityVersion: principal.securityVersion + 1 })
      .raiseEpoch();
    await endAccess(reader, change, principal.id);
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "principal", id: principal.id, name },
    });
  }

  async createToken(actor: Actor, name: string, settings: TokenSettings): Promise<IssuedToken> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const principal = await serviceNamed(this.#store.read(permit), name);
    const issued = this.#issue(permit.org, principal.id, settings, this.#store.now());
    const change = new Change()
      .insert("credentials", issued.credential)
      .expect("principals", { id: principal.id, changedBy: principal.changedBy }, 1);
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "credential", id: issued.credential.id, name },
    });
    return issued;
  }

  async deleteToken(actor: Actor, name: string, id: Id<"crd">): Promise<void> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const principal = await serviceNamed(reader, name);
    const credential = await reader.get("credentials", {
      id,
      principalId: principal.id,
      kind: "token",
      state: "active",
    });
    if (credential === null) throw new VaultError("not_found");
    await this.#store.commit(permit, new Change().replace("credentials", credential, { state: "ended" }).raiseEpoch(), {
      result: "success",
      target: { type: "credential", id, name },
    });
  }

  #issue(org: Id<"org">, principal: Id<"prn">, settings: TokenSettings, now: Date): IssuedToken {
    if (settings.expiresAt !== undefined && settings.expiresAt <= now) {
      throw new VaultError("invalid_input", undefined, {
        detail: { faults: [{ field: "expiresAt", message: "must be in the future" }] },
      });
    }
    const id = this.#ids.next("crd");
    const { text, digest } = generateToken("svc", org, id);
    const credential = newCredential({
      id,
      principalId: principal,
      kind: "token",
      subject: id,
      verifier: digest,
      createdAt: now,
      note: settings.note ?? "",
      cidrs: settings.cidrs ?? [],
      expiresAt: settings.expiresAt ?? null,
    });
    return { credential, token: text };
  }
}

async function serviceNamed(reader: Reader, name: string): Promise<Row<"principals">> {
  const principal = await reader.get("principals", { name, type: "service", state: noneOf(["deleted"]) });
  if (principal === null) {
    const faults = [{ field: "serviceUser", message: "there is no such service user" }];
    throw new VaultError("not_found", undefined, { detail: { faults } });
  }
  return principal;
}
