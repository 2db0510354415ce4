import type { ErrorCode } from "./error.ts";
import type { Id, IdPrefix } from "./id.ts";
import type { Permission } from "./permission.ts";

// Actor, call and permit stand in one file because each is made of the others: an actor acts in a call, a permit is
// issued to an actor, a call is the ledger of its permits.

/** Exactly one for each user, none for a service user. */
export type OrgRole = "owner" | "admin" | "member" | "guest";
export type ServiceKind = "ci" | "agent" | "runner";

/** Roles that a grant can give. */
export const GRANT_ROLES = ["contributor", "builder", "operator", "viewer", "auditor", "runner", "service"] as const;
export type GrantRole = (typeof GRANT_ROLES)[number];

/**
 * Who is acting, in which call. Made by identity/ from a credential, by injection/ from a token that is itself the
 * authority, and by the process for its own work.
 *
 * - `user` and `service` are principals of an org, with what their row says now.
 * - `machine` is the person at the machine, known by the 0600 socket, who acts as an owner (DESIGN 3.4, 10).
 * - `token` is the bearer of an injection token or a lease: it has no permission of its own.
 * - `system` is the vault itself.
 * - `anonymous` has shown no credential; only public operations take it.
 */
export type Actor =
  | {
      readonly type: "user";
      readonly call: Call;
      readonly org: Id<"org">;
      readonly id: Id<"prn">;
      readonly name: string;
      readonly role: OrgRole;
      readonly instanceAdmin: boolean;
      readonly session: Id<"ses"> | null;
    }
  | {
      readonly type: "service";
      readonly call: Call;
      readonly org: Id<"org">;
      readonly id: Id<"prn">;
      readonly name: string;
      readonly role: ServiceKind;
      readonly credential: Id<"crd">;
    }
  | {
      readonly type: "machine";
      readonly call: Call;
      readonly org: Id<"org">;
      readonly id: Id<"prn">;
      readonly name: string;
      /** `owner` while the first owner is alone; afterwards only what is the instance's. */
      readonly role: "owner" | "guest";
    }
  | {
      readonly type: "token";
      readonly call: Call;
      readonly org: Id<"org">;
      readonly id: Id<"inj"> | Id<"lea">;
      readonly minter: Id<"prn">;
    }
  | { readonly type: "system"; readonly call: Call; readonly org: Id<"org"> }
  | { readonly type: "anonymous"; readonly call: Call; readonly org: Id<"org"> };

/**
 * One request, or one piece of the vault's own work, and the ledger of the permits issued in it. A call ends settled: each
 * of its permits has had its event committed, or the call was counted into an event of its minute.
 */
export class Call {
  readonly operation: string;
  /** The request id that logs, errors and events share. */
  readonly id: string;
  /** The client's address as text, or `null` for the machine's own socket and for the vault's own work. */
  readonly address: string | null;
  readonly #permits: Permit[] = [];
  #counted = false;

  constructor(operation: string, id: string, address: string | null) {
    this.operation = operation;
    this.id = id;
    this.address = address;
  }

  /** A repeat of this call under the same key makes nothing twice. Set before the operation runs. */
  idempotencyKey: string | null = null;

  /** The guard enters each permit it issues. */
  enter(permit: Permit): void {
    this.#permits.push(permit);
  }

  /** The call's one event is a count of its minute (unknown credentials, DESIGN 8). */
  markCounted(): void {
    this.#counted = true;
  }

  get open(): readonly Permit[] {
    return this.#permits.filter((permit) => !permit.settled);
  }

  /** True when something of this call has reached the audit log and nothing of it is still to come. */
  get settled(): boolean {
    return (this.#counted || this.#permits.length > 0) && this.open.length === 0;
  }
}

/** What an event is about: a kind, an id, and a name that goes into the private part. */
export interface EventTarget {
  readonly type: string;
  readonly id: Id<IdPrefix> | null;
  readonly name: string | null;
}

/** One field of configuration before and after. Never a value of a secret. */
export interface EventChange {
  readonly field: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** What is known of an event when it is decided. Sequence, time and hash come with the commit. */
export interface EventDraft {
  readonly id: Id<"evt">;
  /** The org whose chain takes the event; the instance's own work goes to `INSTANCE`. */
  readonly chain: Id<"org">;
  readonly because: string;
  readonly environment: { readonly id: Id<"env">; readonly name: string } | null;
  readonly namespace: { readonly id: Id<"nsp">; readonly name: string } | null;
  readonly workload: { readonly id: Id<"wkl">; readonly name: string } | null;
  /** Whose authority is used, when it is not the actor's own: the minter of a token. */
  readonly onBehalfOf: Id<"prn"> | null;
}

/** How an operation ended; the rest of its event. Everything but `result`, `code` and ids goes to the private part. */
export interface Outcome {
  readonly result: "success" | "refused" | "failed";
  readonly code?: ErrorCode;
  /** A finer word than the operation's own, where one operation can do two things: `exchange.repeated`. */
  readonly action?: string;
  readonly target?: EventTarget;
  readonly changes?: readonly EventChange[];
  /** Names of secrets with the versions used: masked for readers who may not list them. */
  readonly secrets?: readonly { readonly id: Id<"sec">; readonly name: string; readonly version: number | null }[];
  /** Free text of the caller: a reason, a note. */
  readonly reason?: string;
  /** Numbers and words about the event, free of names: counts, format, exit code, source addresses. */
  readonly facts?: Readonly<Record<string, string | number | boolean | null>>;
}

declare const issued: unique symbol;

/**
 * The guard's word that this actor may do this, here, now. Only access/ makes one, the store takes nothing without one,
 * and it is good for one settlement: the commit of its event, with the change it allowed or alone.
 *
 * `P` is what the guard looked up on the way: the rows of the place that was decided on.
 */
export interface Permit<P = unknown> {
  readonly [issued]: true;
  readonly actor: Actor;
  /** The org whose rows may be read and written. */
  readonly org: Id<"org">;
  readonly action: Permission | "public";
  readonly place: P;
  readonly event: EventDraft;
  readonly settled: boolean;
  /** Called by the store when it takes the change into its queue; throws when the permit was used before. */
  spend(): void;
  /** Called by the store when the change missed an expectation or failed, so that the permit can be settled otherwise. */
  unspend(): void;
}
