import { VaultError } from "#base";
import type { Actor, Id, IdSource, Redacted } from "#base";
import { generateToken } from "#crypto";
import { Change } from "#storage";
import type { NewRow, Row, Store } from "#storage";
import type { Guard } from "#access";
import { SESSION_IDLE_MS, SESSION_LONGEST_MS } from "./limits.ts";

/** What a person gets by signing in. The token is shown this once. */
export interface SignedIn {
  readonly token: Redacted<string>;
  readonly expiresAt: Date;
  readonly idleSeconds: number;
  readonly org: string;
  readonly login: string;
}

/** A session for a user, as a row to insert and the token that is its other half. */
export function newSession(
  ids: IdSource,
  org: Id<"org">,
  user: Pick<Row<"principals">, "id" | "securityVersion">,
  address: string | null,
  now: Date,
): { row: NewRow<"sessions">; token: Redacted<string> } {
  const id = ids.next("ses");
  const { text, digest } = generateToken("ses", org, id);
  const row: NewRow<"sessions"> = {
    id,
    principalId: user.id,
    digest,
    securityVersion: user.securityVersion,
    createdAt: now,
    lastSeenAt: now,
    expiresAt: new Date(now.getTime() + SESSION_LONGEST_MS),
    state: "active",
    address,
  };
  return { row, token: text };
}

export type SessionView = Pick<Row<"sessions">, "id" | "createdAt" | "lastSeenAt" | "expiresAt" | "address"> & {
  readonly current: boolean;
};

/** One's own sessions. */
export class Sessions {
  readonly #guard: Guard;
  readonly #store: Store;

  constructor(guard: Guard, store: Store) {
    this.#guard = guard;
    this.#store = store;
  }

  async list(actor: Actor): Promise<readonly SessionView[]> {
    const permit = await this.#guard.require(actor, "self", { on: "self" });
    if (actor.type !== "user") return [];
    const reader = this.#store.read(permit);
    const [user, rows] = await Promise.all([
      reader.get("principals", { id: actor.id }),
      reader.list("sessions", {
        where: { principalId: actor.id, state: "active" },
        order: ["id"],
        descending: true,
        limit: 100,
      }),
    ]);
    const now = this.#store.now();
    return rows
      .filter(
        (row) =>
          row.expiresAt > now &&
          now.getTime() - row.lastSeenAt.getTime() < SESSION_IDLE_MS &&
          row.securityVersion === user?.securityVersion,
      )
      .map((row) => ({ ...row, current: row.id === actor.session }));
  }

  /** Ends the session that makes this request. A service user has none, and the machine neither. */
  async signOut(actor: Actor): Promise<void> {
    if (actor.type !== "user" || actor.session === null) {
      await this.#guard.require(actor, "self", { on: "self" });
      throw new VaultError("invalid_input", "Only a session can be signed out; a token is ended by an admin.");
    }
    await this.end(actor, actor.session);
  }

  async end(actor: Actor, id: Id<"ses">): Promise<void> {
    const permit = await this.#guard.require(actor, "self", { on: "self" });
    const session =
      actor.type === "user"
        ? await this.#store.read(permit).get("sessions", { id, principalId: actor.id, state: "active" })
        : null;
    if (session === null) throw new VaultError("not_found");
    await this.#store.commit(permit, new Change().replace("sessions", session, { state: "ended" }), {
      result: "success",
      target: { type: "session", id, name: null },
    });
  }
}
