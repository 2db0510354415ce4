import { VaultError } from "#base";
import type { Actor, Id, IdSource, OrgRole, Permission, Redacted } from "#base";
import { generateToken } from "#crypto";
import { Change, listPage, noneOf } from "#storage";
import type { NewRow, Page, PageRequest, Reader, Row, Store } from "#storage";
import { differences, endGrants } from "#access";
import type { Guard } from "#access";
import { SET_UP_MS } from "./limits.ts";
import { newCredential, passwordOf } from "./sign-in.ts";

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

  /**
   * The user's sessions end. Whoever becomes an owner has no set-up credential left over that an admin has seen. Throws
   * `last_owner`.
   */
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
      // The instance is held by an owner or by nobody: the person at the machine can always do what it takes.
      instanceAdmin: before.instanceAdmin && (update.role ?? before.orgRole) === "owner",
      state: update.state === undefined ? before.state : await stateGiven(reader, before, update.state),
      securityVersion: before.securityVersion + 1,
    };
    const change = new Change().replace("principals", before, after).raiseEpoch();
    if (before.orgRole === "owner" && (after.orgRole !== "owner" || after.state === "disabled"))
      await keepAnOwner(reader, change, before);
    if (before.orgRole !== "owner" && after.orgRole === "owner") {
      const setUp = await setUpOf(reader, before.id);
      if (setUp !== null) change.replace("credentials", setUp, { state: "ended" });
      const standing = { principalId: before.id, kind: "set-up", state: "active" } as const;
      change.expect("credentials", standing, setUp === null ? 0 : 1, "invitation");
    }
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "principal", id: before.id, name: login },
      changes: differences(before, after, ["orgRole", "state", "instanceAdmin"]),
    });
    return { ...after, changedBy: permit.event.id };
  }

  /**
   * A new set-up credential; the one before it is void. The old password works until the new one is set. Whoever holds it
   * can become the user, so for one who holds the instance it takes somebody who does.
   */
  async invite(actor: Actor, login: string): Promise<Invitation> {
    const permit = await this.#guard.require(actor, "member.manage", { on: "org" });
    const reader = this.#store.read(permit);
    const user = await userNamed(reader, login);
    if (user.orgRole === "owner") await this.#mustAssignOwners(actor);
    if (user.instanceAdmin) await this.#mustHold(actor, "instance.admin", "instance");
    const { credential, token, expiresAt } = newSetUp(this.#ids, permit.org, user.id, this.#store.now());
    const change = new Change();
    const old = await setUpOf(reader, user.id);
    if (old !== null) change.replace("credentials", old, { state: "ended" });
    // Whoever was looked at above is who the credential is for: not one who was made an owner meanwhile.
    change.insert("credentials", credential).expect("principals", { id: user.id, changedBy: user.changedBy }, 1);
    await this.#store.commit(permit, change, {
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
    if (user.orgRole === "owner") await keepAnOwner(reader, change, user);
    await endAccess(reader, change, user.id);
    await this.#store.commit(permit, change, {
      result: "success",
      target: { type: "principal", id: user.id, name: login },
    });
  }

  #mustAssignOwners(actor: Actor): Promise<void> {
    return this.#mustHold(actor, "owner.assign", "org");
  }

  async #mustHold(actor: Actor, permission: Permission, on: string): Promise<void> {
    const nowhere = { environment: null, namespace: null, workload: null };
    const { allowed } = await this.#guard.weigh(actor, permission, nowhere);
    if (!allowed) throw new VaultError("forbidden", undefined, { detail: { missing: { permission, on } } });
  }
}

async function userNamed(reader: Reader, login: string): Promise<Row<"principals">> {
  const user = await reader.get("principals", { name: login, type: "user", state: noneOf(["deleted"]) });
  if (user === null) {
    const faults = [{ field: "user", message: "there is no such user" }];
    throw new VaultError("not_found", undefined, { detail: { faults } });
  }
  return user;
}

/** The last active owner stays, also when two leave at the same time. One who never came or is disabled is no last one. */
async function keepAnOwner(reader: Reader, change: Change, leaving: Row<"principals">): Promise<void> {
  const where = { type: "user", orgRole: "owner", state: "active" } as const;
  const owners = await reader.count("principals", where);
  if (owners < (leaving.state === "active" ? 2 : 1)) throw new VaultError("last_owner");
  change.expect("principals", where, owners, "owners");
}

function setUpOf(reader: Reader, user: Id<"prn">): Promise<Row<"credentials"> | null> {
  return reader.get("credentials", { principalId: user, kind: "set-up", state: "active" });
}

/** Whoever was disabled before ever setting a password is invited again, not active: nobody could sign in. */
async function stateGiven(
  reader: Reader,
  user: Row<"principals">,
  state: "active" | "disabled",
): Promise<"active" | "disabled" | "invited"> {
  if (state === "disabled") return "disabled";
  const password = await passwordOf(reader, user.id);
  return password === null ? "invited" : "active";
}

/** Ends every credential and every grant of a principal. */
export async function endAccess(reader: Reader, change: Change, principal: Id<"prn">): Promise<void> {
  await endGrants(reader, change, { principalId: principal });
  for (const credential of await reader.list("credentials", { where: { principalId: principal, state: "active" } })) {
    change.replace("credentials", credential, { state: "ended" });
  }
}
