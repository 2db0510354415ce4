import { INSTANCE, Turns, VaultError, sourceOf } from "#base";
import type { Actor, Call, Id, IdSource, Permit, Redacted } from "#base";
import { checkPassword, equal, parseToken, tokenId } from "#crypto";
import type { ParsedToken, PasswordHasher } from "#crypto";
import { Change, MissedExpectation, noneOf } from "#storage";
import type { Facts, NewRow, Reader, Row, Store } from "#storage";
import type { Guard, Tally } from "#access";
import { SESSION_IDLE_MS } from "./limits.ts";
import { newSession } from "./sessions.ts";
import type { SignedIn } from "./sessions.ts";
import { SignInDelay } from "./sign-in-delay.ts";
import { Crowd } from "./crowd.ts";

interface Parts {
  readonly guard: Guard;
  readonly store: Store;
  readonly facts: Facts;
  readonly tally: Tally;
  readonly hasher: PasswordHasher;
  readonly ids: IdSource;
}

/** Passwords and what they open. Unknown, disabled and wrong cost the same work and get the same answer. */
export class SignIn {
  readonly #parts: Parts;
  readonly #delay: SignInDelay;
  readonly #crowd = new Crowd();
  /** Guesses of one name from one source wait for each other, so that many at once are delayed like many in a row. */
  readonly #turns = new Turns();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#delay = new SignInDelay(parts.store);
  }

  /** Throws `sign_in_failed`, `rate_limited`, `overloaded`. Without an org, the only one is meant. */
  async signIn(
    call: Call,
    request: { org?: string | undefined; login: string; password: Redacted<string> },
  ): Promise<SignedIn> {
    const login = request.login.normalize("NFC").trim().toLowerCase();
    const org = await this.#org(request.org);
    const key = delayKey(org?.id ?? request.org ?? "", login, call);
    const leave = this.#enter(call, org);
    try {
      return await this.#turns.take(key, () => this.#signIn(call, org, login, request.password, key));
    } finally {
      leave();
    }
  }

  #enter(call: Call, org: Row<"orgs"> | null): () => void {
    try {
      return this.#crowd.enter(call.address);
    } catch (error) {
      this.#parts.tally.count(call, "rate_limited", org?.id ?? INSTANCE);
      throw error;
    }
  }

  async #signIn(
    call: Call,
    org: Row<"orgs"> | null,
    login: string,
    password: Redacted<string>,
    key: string,
  ): Promise<SignedIn> {
    const { facts, guard, hasher, tally } = this.#parts;
    this.#mustWait(call, key, org);
    const user =
      org === null
        ? null
        : await facts.of(org.id).get("principals", { name: login, type: "user", state: noneOf(["deleted"]) });
    const credential = org === null || user === null ? null : await passwordOf(facts.of(org.id), user.id);
    const right = await hasher.verify(credential?.verifier.toString() ?? null, password);
    if (!right || org === null || user?.state !== "active" || credential === null) {
      this.#delay.failed(key);
      tally.count(call, "sign_in_failed", org?.id ?? INSTANCE, user?.id ?? null);
      throw new VaultError("sign_in_failed");
    }
    this.#delay.succeeded(key);
    const permit = guard.public({ type: "anonymous", call, org: org.id }, "the password");
    const verifier = hasher.needsRehash(credential.verifier.toString())
      ? Buffer.from(await hasher.hash(password))
      : null;
    if (verifier === null) return this.#open(permit, org, user, new Change());
    try {
      return await this.#open(permit, org, user, new Change().replace("credentials", credential, { verifier }));
    } catch (error) {
      // Another sign-in has renewed the hash meanwhile, which is as good; a changed password ends this session by itself.
      if (error instanceof MissedExpectation && error.label === "credentials")
        return this.#open(permit, org, user, new Change());
      throw error;
    }
  }

  /** A set-up credential is used once: it sets the password, makes the user active, and signs in. */
  async setUp(call: Call, token: Redacted<string> | null, password: Redacted<string>): Promise<SignedIn> {
    const { facts, guard, hasher, store, tally } = this.#parts;
    const parsed = token === null ? null : parseToken(token.reveal());
    const org =
      parsed?.kind === "set" ? await facts.of(INSTANCE).get("orgs", { id: parsed.org, state: "active" }) : null;
    const credential =
      parsed === null || org === null
        ? null
        : await facts.of(org.id).get("credentials", { id: tokenId(parsed as ParsedToken<"set">), kind: "set-up" });
    const good =
      parsed !== null &&
      credential !== null &&
      equal(credential.verifier, parsed.digest) &&
      credential.state === "active" &&
      credential.expiresAt !== null &&
      credential.expiresAt > store.now();
    const user = good && org !== null ? await facts.of(org.id).get("principals", { id: credential.principalId }) : null;
    if (!good || org === null || user === null || user.state === "disabled" || user.state === "deleted") {
      tally.count(call, "unknown_credential", org?.id ?? INSTANCE, user?.id ?? null);
      throw new VaultError(
        "token_invalid",
        "The set-up credential is unknown, used or expired: ask an admin for a new one.",
      );
    }
    const permit = guard.public({ type: "anonymous", call, org: org.id }, "the set-up credential");
    refuseWeak(password);
    const change = new Change().replace("credentials", credential, { state: "ended" }, "token_invalid");
    const after = { ...user, state: "active" as const, securityVersion: user.securityVersion + 1 };
    change.replace("principals", user, after);
    await this.#setPassword(facts.of(org.id), change, user.id, await hasher.hash(password));
    return this.#open(permit, org, after, change.raiseEpoch());
  }

  /** Changes one's own password; every other session ends. Throws `sign_in_failed` when the current one is wrong. */
  async changePassword(actor: Actor, current: Redacted<string>, password: Redacted<string>): Promise<void> {
    const permit = await this.#parts.guard.require(actor, "self", { on: "self" });
    const key = delayKey(actor.org, "name" in actor ? actor.name : "", actor.call);
    return this.#turns.take(key, () => this.#changePassword(actor, permit, current, password, key));
  }

  async #changePassword(
    actor: Actor,
    permit: Permit,
    current: Redacted<string>,
    password: Redacted<string>,
    key: string,
  ): Promise<void> {
    const { store, hasher } = this.#parts;
    const reader = store.read(permit);
    const user = actor.type === "user" ? await reader.get("principals", { id: actor.id }) : null;
    const credential = user === null ? null : await passwordOf(reader, user.id);
    this.#delay.check(key);
    if (
      !(await hasher.verify(credential?.verifier.toString() ?? null, current)) ||
      user === null ||
      actor.type !== "user"
    ) {
      this.#delay.failed(key);
      throw new VaultError("sign_in_failed", "The current password is wrong.");
    }
    refuseWeak(password);
    const securityVersion = user.securityVersion + 1;
    const change = new Change().replace("principals", user, { securityVersion }).raiseEpoch();
    await this.#setPassword(reader, change, user.id, await hasher.hash(password));
    const session = actor.session === null ? null : await reader.get("sessions", { id: actor.session });
    if (session !== null) change.replace("sessions", session, { securityVersion });
    await store.commit(permit, change, {
      result: "success",
      target: { type: "principal", id: user.id, name: user.name },
    });
  }

  async #setPassword(reader: Reader, change: Change, user: Id<"prn">, phc: string): Promise<void> {
    const old = await passwordOf(reader, user);
    if (old !== null) change.replace("credentials", old, { state: "ended" });
    change.insert(
      "credentials",
      newCredential({
        id: this.#parts.ids.next("crd"),
        principalId: user,
        kind: "password",
        subject: user,
        verifier: Buffer.from(phc),
        createdAt: this.#parts.store.now(),
      }),
    );
  }

  #mustWait(call: Call, key: string, org: Row<"orgs"> | null): void {
    try {
      this.#delay.check(key);
    } catch (error) {
      this.#parts.tally.count(call, "rate_limited", org?.id ?? INSTANCE);
      throw error;
    }
  }

  async #open(permit: Permit, org: Row<"orgs">, user: Row<"principals">, change: Change): Promise<SignedIn> {
    const { ids, store, facts } = this.#parts;
    const now = store.now();
    const { row, token } = newSession(ids, org.id, user, permit.actor.call.address, now);
    await store.commit(permit, change.insert("sessions", row), {
      result: "success",
      target: { type: "principal", id: user.id, name: user.name },
    });
    await facts.touch(org.id, "principals", { id: user.id }, { lastSignInAt: now });
    return { token, expiresAt: row.expiresAt, idleSeconds: SESSION_IDLE_MS / 1000, org: org.slug, login: user.name };
  }

  async #org(slug: string | undefined): Promise<Row<"orgs"> | null> {
    const directory = this.#parts.facts.of(INSTANCE);
    if (slug !== undefined) return directory.get("orgs", { slug, state: "active" });
    const [only, ...others] = await directory.list("orgs", { where: { state: "active" }, limit: 2 });
    return others.length === 0 ? (only ?? null) : null;
  }
}

/** The same for a name however its org was given, and for signing in and changing the password. */
function delayKey(org: string, login: string, call: Call): string {
  return JSON.stringify([org, login, call.address && sourceOf(call.address)]);
}

/** The credential of a user's password, or `null` before the first is set. */
export function passwordOf(reader: Reader, user: Id<"prn">): Promise<Row<"credentials"> | null> {
  return reader.get("credentials", { principalId: user, kind: "password", state: "active" });
}

function refuseWeak(password: Redacted<string>): void {
  const weakness = checkPassword(password.reveal());
  if (weakness !== null)
    throw new VaultError("invalid_input", weakness, { detail: { faults: [{ field: "password", message: weakness }] } });
}

/** A credential's row with what most kinds leave empty. */
export function newCredential(
  fields: Pick<NewRow<"credentials">, "id" | "principalId" | "kind" | "subject" | "verifier" | "createdAt"> &
    Partial<NewRow<"credentials">>,
): NewRow<"credentials"> {
  return {
    issuer: "sallyport",
    note: "",
    state: "active",
    cidrs: [],
    expiresAt: null,
    lastUsedAt: null,
    lastUsedFrom: null,
    ...fields,
  };
}
