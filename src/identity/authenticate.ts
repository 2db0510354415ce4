import { INSTANCE, VaultError, bytesToId } from "#base";
import type { Actor, Call, Clock, Id, Redacted } from "#base";
import { equal, parseToken, tokenId } from "#crypto";
import type { ParsedToken } from "#crypto";
import type { Facts, Row } from "#storage";
import { noneOf } from "#storage";
import type { Tally } from "#access";
import { addressAllowed } from "./address.ts";
import { SEEN_EVERY_MS, SESSION_IDLE_MS } from "./limits.ts";

/** Who the machine is in an org of several people: no row's owner, creator or author. */
const NOBODY = bytesToId("prn", Buffer.alloc(16));

/** How the vault is reached: the machine's owner is signed in by the socket only while nobody else could be meant. */
export interface Reach {
  readonly loopbackOnly: boolean;
}

/**
 * Turns a credential into an actor: a session into its user, a service user's token into that service user, and the
 * machine's own socket into the person at the machine. Every way to fail is `unauthenticated`, and counted.
 */
export class Authenticator {
  readonly #facts: Facts;
  readonly #tally: Tally;
  readonly #clock: Clock;
  readonly #reach: Reach;

  constructor(options: { facts: Facts; tally: Tally; clock: Clock; reach: Reach }) {
    this.#facts = options.facts;
    this.#tally = options.tally;
    this.#clock = options.clock;
    this.#reach = options.reach;
  }

  /** `machine`: the request came by the 0600 socket. A credential that was given counts for more than the socket. */
  async actor(call: Call, credential: Redacted<string> | null, machine: boolean): Promise<Actor> {
    if (credential === null) {
      const actor = machine ? await this.#machine(call) : null;
      if (actor !== null) return actor;
      this.#tally.count(call, "no_credential", INSTANCE);
      throw new VaultError("unauthenticated");
    }
    const token = parseToken(credential.reveal());
    const actor = await this.#ofToken(call, token);
    if (actor !== null) return actor;
    this.#tally.count(call, "unknown_credential", await this.#chainOf(token));
    throw new VaultError("unauthenticated");
  }

  /** A service user's token presented beside another credential: the runner of a bound exchange. `null` if no good. */
  async service(call: Call, credential: Redacted<string>): Promise<Extract<Actor, { type: "service" }> | null> {
    const token = parseToken(credential.reveal());
    return token?.kind === "svc" ? this.#service(call, token) : null;
  }

  async #ofToken(call: Call, token: ParsedToken | null): Promise<Actor | null> {
    if (token === null || !(await this.#orgIsActive(token.org))) return null;
    if (token.kind === "ses") return this.#session(call, token);
    if (token.kind === "svc") return this.#service(call, token);
    return null;
  }

  async #session(call: Call, token: ParsedToken): Promise<Actor | null> {
    const reader = this.#facts.of(token.org);
    const session = await reader.get("sessions", { id: tokenId(token as ParsedToken<"ses">) });
    if (session === null || !equal(session.digest, token.digest)) return null;
    const now = this.#clock.now();
    const alive =
      session.state === "active" &&
      session.expiresAt > now &&
      now.getTime() - session.lastSeenAt.getTime() < SESSION_IDLE_MS;
    const user = alive ? await reader.get("principals", { id: session.principalId }) : null;
    if (
      user?.state !== "active" ||
      user.type !== "user" ||
      user.orgRole === null ||
      user.securityVersion !== session.securityVersion
    )
      return null;
    if (now.getTime() - session.lastSeenAt.getTime() >= SEEN_EVERY_MS) {
      await this.#facts.touch(token.org, "sessions", { id: session.id }, { lastSeenAt: now });
    }
    return {
      type: "user",
      call,
      org: token.org,
      id: user.id,
      name: user.name,
      role: user.orgRole,
      instanceAdmin: user.instanceAdmin,
      session: session.id,
    };
  }

  async #service(call: Call, token: ParsedToken): Promise<Extract<Actor, { type: "service" }> | null> {
    if (!(await this.#orgIsActive(token.org))) return null;
    const reader = this.#facts.of(token.org);
    const credential = await reader.get("credentials", { id: tokenId(token as ParsedToken<"svc">) });
    if (credential?.kind !== "token" || !equal(credential.verifier, token.digest)) return null;
    const now = this.#clock.now();
    const alive =
      credential.state === "active" &&
      (credential.expiresAt === null || credential.expiresAt > now) &&
      addressAllowed(credential.cidrs, call.address);
    const principal = alive ? await reader.get("principals", { id: credential.principalId }) : null;
    if (principal?.state !== "active" || principal.type !== "service" || principal.kind === null) return null;
    if (now.getTime() - (credential.lastUsedAt?.getTime() ?? 0) >= SEEN_EVERY_MS) {
      await this.#facts.touch(
        token.org,
        "credentials",
        { id: credential.id },
        { lastUsedAt: now, lastUsedFrom: call.address },
      );
    }
    return {
      type: "service",
      call,
      org: token.org,
      id: principal.id,
      name: principal.name,
      role: principal.kind,
      credential: credential.id,
    };
  }

  /** The first owner, for as long as the vault is one person's; afterwards the machine, which holds the instance alone. */
  async #machine(call: Call): Promise<Actor | null> {
    const [org, ...others] = await this.#facts.of(INSTANCE).list("orgs", { order: ["id"], limit: 2 });
    if (org === undefined) return null;
    const users = await this.#facts
      .of(org.id)
      .list("principals", { where: { type: "user", state: noneOf(["deleted"]) }, order: ["id"], limit: 2 });
    const owner: Row<"principals"> | undefined = users[0];
    if (owner === undefined) return null;
    const alone =
      others.length === 0 &&
      users.length === 1 &&
      owner.orgRole === "owner" &&
      owner.state !== "disabled" &&
      this.#reach.loopbackOnly;
    return {
      type: "machine",
      call,
      org: org.id,
      id: alone ? owner.id : NOBODY,
      name: alone ? owner.name : "machine",
      role: alone ? "owner" : "guest",
    };
  }

  async #orgIsActive(org: Id<"org">): Promise<boolean> {
    return (await this.#facts.of(INSTANCE).get("orgs", { id: org }))?.state === "active";
  }

  /** The chain of the org that a credential claims, if there is such an org. */
  async #chainOf(token: ParsedToken | null): Promise<Id<"org">> {
    return token !== null && (await this.#orgIsActive(token.org)) ? token.org : INSTANCE;
  }
}
