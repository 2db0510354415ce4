import { Call, VaultError } from "#base";
import type { Actor, ErrorCode, Outcome, Permission, Permit, Redacted } from "#base";
import { CATALOG } from "#contract";
import type { Body, Operation, OperationId, Params, Query, RequestHeaders, Response, Wire, loadWire } from "#contract";
import type { BlockList } from "node:net";
import type { IncomingMessage, ServerResponse } from "node:http";
import { MAX_BODY_BYTES, MAX_UNKNOWN_BODY_BYTES, checkBody, readBody } from "./body.ts";
import { invalid, parse, safeKey } from "./faults.ts";
import { credentialOf, operationHeaders } from "./headers.ts";
import type { LimitSettings, Limits } from "./limits.ts";
import type { BodyRoom, Load } from "./load.ts";
import { loggedError } from "./log.ts";
import type { Logger } from "./log.ts";
import type { RequestWatch } from "./metrics.ts";
import { STATUS, asVaultError, outcomeOf } from "./problem.ts";
import { Reply, encodeProblem, encodeReply } from "./reply.ts";
import type { Encoded } from "./reply.ts";
import { queryOf } from "./target.ts";

/** Who knocks: an actor, or the credential that is itself the authority, or nobody yet. */
export type Caller<Id extends OperationId> = (typeof CATALOG)[Id]["auth"] extends "actor"
  ? Actor
  : (typeof CATALOG)[Id]["auth"] extends "open" | "sign-in"
    ? null
    : Redacted<string>;

/** A request that was let in, all of it parsed. */
export interface Request<Id extends OperationId> {
  readonly caller: Caller<Id>;
  readonly call: Call;
  readonly params: Params<Id>;
  readonly query: Query<Id>;
  readonly body: Body<Id>;
  readonly headers: RequestHeaders;
  /** It came from this machine, and nobody says that he passed it on. */
  readonly isNear: boolean;
}

export type Answer<Id extends OperationId> = Response<Id> | Reply<Response<Id>>;
export type Handler<Id extends OperationId> = (request: Request<Id>) => Promise<Answer<Id>>;
/** An operation without a handler does not compile. */
export type Handlers = { readonly [Id in OperationId]: Handler<Id> };

/** Why a request that nobody was found responsible for is only counted (DESIGN 8). */
export type RefusalReason =
  | "no_credential"
  | "unknown_credential"
  | "unknown_route"
  | "malformed"
  | "rate_limited"
  | "overloaded"
  /** It failed before anything was decided. */
  | "failed";

/** What the room needs from those below. */
export interface HttpDoors {
  readonly wire: Awaited<ReturnType<typeof loadWire>>;
  readonly handlers: Handlers;
  /**
   * The actor behind a session or a service user's token; with `machine`, the person at the machine.
   *
   * @throws {VaultError} `unauthenticated`.
   */
  authenticate(call: Call, credential: Redacted<string> | null, machine: boolean): Promise<Actor>;
  /** Commits the event of a read, a refusal or a failure; the permit is settled when it resolves. */
  settle(permit: Permit, outcome: Outcome): Promise<void>;
  /** Counts the call into an event of its minute. */
  refused(call: Call, reason: RefusalReason): void;
  readonly log: Logger;
  readonly watch?: RequestWatch;
  newRequestId(): string;
  /** Proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: BlockList | null;
  readonly limits?: Partial<LimitSettings>;
  /** Checks every answer against its schema, and fails where it does not fit. For tests and development. */
  readonly checkAnswers?: boolean;
}

/** A request on its way through, and what its log line will say. */
export interface Arrival {
  readonly requestId: string;
  /** The client's own, by which other programs' logs and this one's are joined. */
  readonly traceId: string | null;
  readonly address: string | null;
  /** It came by the machine's own socket. */
  readonly machine: boolean;
  readonly secure: boolean;
  /** It came by the machine's own socket or from a loopback address, and no header says that it was passed on. */
  readonly isNear: boolean;
  operation: OperationId | null;
  actor: Actor | null;
  code: ErrorCode | null;
}

type Perform = (
  arrival: Arrival,
  request: IncomingMessage,
  response: ServerResponse,
  params: Readonly<Record<string, unknown>>,
) => Promise<Encoded>;

/** Kinds of credential that a person chose, or that are asked for without one. */
const GUESSABLE: ReadonlySet<Operation["auth"]> = new Set(["sign-in", "set-up"]);

/** Codes of a credential that is itself the authority: whoever finds it wrong has nobody to issue a permit to. */
const CREDENTIAL_CODES: ReadonlySet<ErrorCode> = new Set([
  "unauthenticated",
  "sign_in_failed",
  "token_invalid",
] as const);

/**
 * One operation: limit, authenticate, parse, call, encode. It never throws.
 *
 * Every permit that the handler leaves open is settled before the answer leaves: as a success where the operation only
 * reads, as a failure with the error's code otherwise. Nothing leaves when
 * - the audit log cannot take it (`store_unavailable`),
 * - a change or a value was given without its event, or nothing at all was decided (`internal`),
 * - the handler was guarded with another permission than the catalog says (`internal`).
 */
export function operation<Id extends OperationId>(id: Id, doors: HttpDoors, limits: Limits, load: Load): Perform {
  const entry: Operation = CATALOG[id];
  const wire: Wire = doors.wire[id];
  const handler: Handler<Id> = doors.handlers[id];
  const open = entry.auth === "open";
  // Whether the process lives must be answered above all when it is busy.
  const vital = id === "health.live" || id === "health.ready";
  const maxBytes = entry.auth === "actor" ? MAX_BODY_BYTES : MAX_UNKNOWN_BODY_BYTES;

  return async (arrival, request, response, params) => {
    arrival.operation = id;
    const call = new WatchedCall(id, arrival, entry.permission);
    const credential = open || entry.auth === "sign-in" ? null : credentialOf(request.headers);
    let handed = false;
    let leave: (() => void) | null = null;
    let room: BodyRoom | null = null;
    try {
      if (!vital) load.admit(arrival.address);
      checkBody(request, wire.body !== undefined, maxBytes);
      // A password costs work to refuse, so a source that failed too often waits; a token costs none, and is looked at.
      if (GUESSABLE.has(entry.auth)) await limits.mayTry(arrival.address);
      if (credential !== null) await limits.mayUse(arrival.address, credential);
      let caller = await identify(arrival, call, credential);
      const query = queryOf(request.url ?? "");
      if (!wire.query) refuseAll(query);
      if (wire.body) room = load.body(arrival.address);
      const parsed = {
        call,
        isNear: arrival.isNear,
        params: wire.params && parse(wire.params, params, "path"),
        query: wire.query && parse(wire.query, query, "query"),
        headers: operationHeaders(request, wire.headers ?? []),
        body: wire.body && room && parse(wire.body, await readBody(request, response, room, maxBytes), "body"),
      };
      // A body may take its time, and access may have ended meanwhile: who knocks is asked again when all is there.
      if (wire.body !== undefined) caller = await identify(arrival, call, credential);
      // A body still on its way takes no place.
      if (!vital) leave = load.enter(arrival.machine);
      // The types are read from the same schemas.
      const input = { ...parsed, caller } as unknown as Request<Id>;
      // The exchange repeats by a rule of its own; elsewhere the store tells a repeat.
      if (entry.auth === "actor") call.idempotencyKey = input.headers.idempotencyKey ?? null;
      handed = true;
      const encoded = encode(await handler(input));
      // What only shows something can still be refused; what was changed or handed out is answered.
      if (entry.effect === "read" && !vital) load.mayAnswer(arrival.address, encoded.body?.length ?? 0);
      await conclude(call);
      if (entry.auth !== "actor" && credential !== null) await limits.used(arrival.address, credential);
      return encoded;
    } catch (thrown) {
      const error = await fail(arrival, call, asVaultError(thrown), credential !== null, handed);
      return encodeProblem(error, arrival.requestId);
    } finally {
      leave?.();
      room?.release();
    }
  };

  async function identify(
    arrival: Arrival,
    call: Call,
    credential: Redacted<string> | null,
  ): Promise<Actor | Redacted<string> | null> {
    if (open || entry.auth === "sign-in") return null;
    if (entry.auth === "actor") {
      const known = arrival.actor !== null;
      arrival.actor = await doors.authenticate(call, credential, arrival.machine);
      // Once a request: it is asked again when a body took its time.
      if (!known && credential !== null) await limits.used(arrival.address, credential);
      return arrival.actor;
    }
    if (credential === null) throw new VaultError("unauthenticated");
    return credential;
  }

  function encode(answer: Answer<Id>): Encoded {
    const reply: Reply<unknown> = answer instanceof Reply ? answer : Reply.json(answer);
    if (
      doors.checkAnswers === true &&
      "body" in reply.content &&
      !wire.response.safeParse(reply.content.body).success
    ) {
      throw new VaultError("internal", `the answer of ${id} does not fit its schema`);
    }
    return encodeReply(reply, entry.status);
  }

  async function conclude(call: WatchedCall): Promise<void> {
    if (entry.effect !== "read" && call.open.length > 0) {
      throw new VaultError("internal", `${id} succeeded without its audit event`);
    }
    try {
      await settleAll(call, { result: "success" });
    } catch (cause) {
      throw new VaultError("store_unavailable", undefined, { cause });
    }
    if (!open && !call.settled) throw new VaultError("internal", `${id} answered without a permit`);
  }

  /** The error that is answered, after it was recorded: an event where somebody is responsible, else a count. */
  async function fail(
    arrival: Arrival,
    call: WatchedCall,
    thrown: VaultError,
    shown: boolean,
    handed: boolean,
  ): Promise<VaultError> {
    let error = thrown;
    const unguarded = handed && !open && !call.begun && STATUS[error.code] < 500 && !CREDENTIAL_CODES.has(error.code);
    if (unguarded) error = new VaultError("internal", `${id} refused without a permit`, { cause: thrown });
    try {
      await settleAll(call, outcomeOf(error.code));
    } catch (cause) {
      // `store_unavailable` says that nothing was done; an error that says something worse stands.
      if (STATUS[error.code] < 500) error = new VaultError("store_unavailable", undefined, { cause });
      else
        doors.log.error(
          { ...where(arrival), error: loggedError(cause) },
          "the audit event of a failure was not written",
        );
    }
    if (!call.begun) {
      doors.refused(call, reasonOf(error.code, shown || entry.auth === "sign-in"));
      call.markCounted();
    }
    if (STATUS[error.code] === 401 && GUESSABLE.has(entry.auth)) await limits.failed(arrival.address);
    if (STATUS[error.code] >= 500 && error.code !== "overloaded") {
      doors.log.error({ ...where(arrival), error: loggedError(error) }, "request failed");
    }
    return error;
  }

  async function settleAll(call: WatchedCall, outcome: Outcome): Promise<void> {
    for (const permit of call.open) await doors.settle(permit, outcome);
    if (call.open.length > 0) throw new VaultError("internal", "a permit is open after it was settled");
  }
}

export function reasonOf(code: ErrorCode, shown: boolean): RefusalReason {
  if (code === "rate_limited" || code === "overloaded") return code;
  if (STATUS[code] === 401) return shown ? "unknown_credential" : "no_credential";
  return STATUS[code] >= 500 ? "failed" : "malformed";
}

/** A call that lets no permit in but one for what the catalog says, so that a wrong guard fails before it does anything. */
class WatchedCall extends Call {
  readonly #expected: Permission | "public";
  #begun = false;

  constructor(id: OperationId, arrival: Arrival, expected: Permission | "public") {
    super(id, arrival.requestId, arrival.address);
    this.#expected = expected;
  }

  /** Something was decided, or the call was counted. */
  get begun(): boolean {
    return this.#begun;
  }

  override enter(permit: Permit): void {
    super.enter(permit);
    this.#begun = true;
    if (permit.action !== this.#expected) {
      throw new VaultError(
        "internal",
        `${this.operation} asks for ${permit.action}, the catalog says ${this.#expected}`,
      );
    }
  }

  override markCounted(): void {
    super.markCounted();
    this.#begun = true;
  }
}

function refuseAll(query: Record<string, string>): void {
  const [name] = Object.keys(query);
  if (name !== undefined) throw invalid({ field: safeKey(name), message: "unknown parameter" });
}

function where(arrival: Arrival): { requestId: string; operation: string | null } {
  return { requestId: arrival.requestId, operation: arrival.operation };
}
