import { VaultError } from "#base";
import type { Actor, Id, IdSource, OrgRole, Redacted } from "#base";
import { generateToken } from "#crypto";
import { Change, listPage, noneOf } from "#storage";
import type { NewRow, Page, PageRequest, Reader, Row, Store } from "#storage";
import { differences } from "#access";
import type { Guard } from "#access";
import { SET_UP_MS } from "./limits.ts";
import { newCredential } from "./sign-in.ts";

/** A set-up credential, shown once. */
export interface Invitation {
  readonly user: Row<"principals">;
  readonly setUpToken: Redacted<string>;
  readonly expiresAt: Date;
}

/** A user who is invited but has no password yet, and the credential that sets it. */
export function newUser(
  ids: IdSource,
  org: Id<"org">,
  fields: { login: string; role: OrgRole; instanceAdmin?: boolean },
  now: Date,
): { user: NewRow<"principals">; credential: NewRow<"credentials">; token: Redacted<string>; expiresAt: Date } {
  const user: NewRow<"principals"> = {
    id: ids.next("prn"),
    type: "user",
    name: fields.login,
    orgRole: fields.role,
    kind: null,
    instanceAdmin: fields.instanceAdmin ?? false,
    state: "invited",
    securityVersion: 1,
    description: "",
    createdAt: now,
    lastSignInAt: null,
  };
  return { user, ...newSetUp(ids, org, user.id, now) };
}

function newSetUp(
  ids: IdSource,
  org: Id<"org">,
  user: Id<"prn">,
  now: Date,
): { credential: NewRow<"credentials">; token: Redacted<string>; expiresAt: Date } {
  const id = ids.next("crd");
  const { text, digest } = generateToken("set", org, id);
  const expiresAt = new Date(now.getTime() + SET_UP_MS);
  // The subject is the user: of two invitations only the newest stands.
  return {
    credential: newCredential({
      id,
      principalId: user,
      kind: "set-up",
      subject: user,
      verifier: digest,
      createdAt: now,
      expiresAt,
    }),
    token: text,
    expiresAt,
  };
}

/** Users: people with exactly one org role. What is done to an owner takes an owner. */
export class Users {
  readonly #guard: Guard;
  readonly #store: Store;
  readonly #ids: IdSource;

  constructor(guard: Guard, store: Store, ids: IdSource) {
    this.#guard = guard;
    this.#store = store;
    this.#ids = ids;
  }

  /** Throws `already_exists` when a user or service user has the name. */
  async create(actor: Actor, login: string, role: OrgRole = "member"): Promise<Invitation> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    if (role === "owner") await this.#mustAssignOwners(actor);
    const { user, credential, token, expiresAt } = newUser(this.#ids, permit.org, { login, role }, this.#store.now());
    const change = new Change().insert("principals", user).insert("credentials", credential).raiseEpoch();
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "principal", id: user.id, name: login },
      changes: [{ field: "role", before: null, after: role }],
    });
    return { user: { ...user, changedBy: permit.event.id }, setUpToken: token, expiresAt };
  }

  async list(actor: Actor, page: PageRequest): Promise<Page<Row<"principals">>> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    return listPage(
      this.#store.read(permit),
      "principals",
      { where: { type: "user", state: noneOf(["deleted"]) }, order: ["name"] },
      page,
    );
  }

  async get(actor: Actor, login: string): Promise<Row<"principals">> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    return userNamed(this.#store.read(permit), login);
  }

  /** The user's sessions end. Throws `last_owner`. */
  async update(
    actor: Actor,
    login: string,
    update: { role?: OrgRole | undefined; state?: "active" | "disabled" | undefined },
  ): Promise<Row<"principals">> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const before = await userNamed(reader, login);
    if (before.orgRole === "owner" || update.role === "owner") await this.#mustAssignOwners(actor);
    if (before.state === "invited" && update.state === "active")
      throw new VaultError("invalid_input", "An invited user becomes active by setting a password.");
    const after = {
      ...before,
      orgRole: update.role ?? before.orgRole,
      state: update.state ?? before.state,
      securityVersion: before.securityVersion + 1,
    };
    const change = new Change().replace("principals", before, after).raiseEpoch();
    if (before.orgRole === "owner" && (after.orgRole !== "owner" || after.state === "disabled"))
      await keepAnOwner(reader, change);
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "principal", id: before.id, name: login },
      changes: differences(before, after, ["orgRole", "state"]),
    });
    return { ...after, changedBy: permit.event.id };
  }

  /** A new set-up credential; the one before it is void. The old password works until the new one is set. */
  async invite(actor: Actor, login: string): Promise<Invitation> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const user = await userNamed(reader, login);
    if (user.orgRole === "owner") await this.#mustAssignOwners(actor);
    const { credential, token, expiresAt } = newSetUp(this.#ids, permit.org, user.id, this.#store.now());
    const change = new Change();
    const old = await reader.get("credentials", { principalId: user.id, kind: "set-up", state: "active" });
    if (old !== null) change.replace("credentials", old, { state: "ended" });
    await this.#store.commit(permit, change.insert("credentials", credential), {
      result: "success",
      target: { type: "principal", id: user.id, name: login },
    });
    return { user, setUpToken: token, expiresAt };
  }

  /** Access ends on the next request; the name is free. Throws `last_owner`. */
  async delete(actor: Actor, login: string): Promise<void> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const user = await userNamed(reader, login);
    if (user.orgRole === "owner") await this.#mustAssignOwners(actor);
    const change = new Change()
      .replace("principals", user, { state: "deleted", securityVersion: user.securityVersion + 1 })
      .raiseEpoch();
    if (user.orgRole === "owner") await keepAnOwner(reader, change);
    await endCredentials(reader, change, user.id);
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "principal", id: user.id, name: login },
    });
  }

  async #mustAssignOwners(actor: Actor): Promise<void> {
    const { allowed } = await this.#guard.weigh(actor, "owner.assign", {
      environment: null,
      namespace: null,
      workload: null,
    });
    if (!allowed)
      throw new VaultError("forbidden", undefined, { detail: { missing: { permission: "owner.assign", on: "org" } } });
  }
}

async function userNamed(reader: Reader, login: string): Promise<Row<"principals">> {
  const user = await reader.get("principals", { name: login, type: "user", state: noneOf(["deleted"]) });
  if (user === null) throw new VaultError("not_found");
  return user;
}

/** The last active owner stays, also when two leave at the same time. */
async function keepAnOwner(reader: Reader, change: Change): Promise<void> {
  const where = { type: "user", orgRole: "owner", state: "active" } as const;
  const owners = await reader.count("principals", where);
  if (owners < 2) throw new VaultError("last_owner");
  change.expect("principals", where, owners, "owners");
}

/** Ends every credential of a principal. */
export async function endCredentials(reader: Reader, change: Change, principal: Id<"prn">): Promise<void> {
  for (const credential of await reader.list("credentials", { where: { principalId: principal, state: "active" } })) {
    change.replace("credentials", credential, { state: "ended" });
  }
}
