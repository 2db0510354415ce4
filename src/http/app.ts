import { Call, VaultError, isLoopback } from "#base";
import type { Clock, ErrorCode } from "#base";
import { CATALOG } from "#contract";
import type { Operation, OperationId } from "#contract";
import express from "express";
import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { clientAddress, isTrusted, normalAddress } from "./address.ts";
import { DOCS_PATHS, Docs } from "./docs.ts";
import { checkHeaders, requestIdOf, traceIdOf } from "./headers.ts";
import { DEFAULT_LIMITS, Limits } from "./limits.ts";
import { Load } from "./load.ts";
import { loggedError } from "./log.ts";
import { operation, reasonOf } from "./operation.ts";
import type { Arrival, HttpDoors, RefusalReason } from "./operation.ts";
import { STATUS, asVaultError } from "./problem.ts";
import { Sender, encodeProblem } from "./reply.ts";
import type { Encoded } from "./reply.ts";
import { checkTarget } from "./target.ts";

/** What a server hands its requests to. */
export interface HttpApp {
  /** Answers a request; `machine` when it came by the machine's own socket. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse, machine: boolean): void;
  /** The answer, ready for the wire, to bytes that are not a request. */
  malformed(code: ErrorCode, address: string | undefined, machine: boolean): Buffer;
  /** Whether the clients behind this address are told apart by what it says of them. */
  isProxy(address: string): boolean;
  /** Ends what measures its load. */
  close(): void;
  /** Every route as the router holds it: `GET /v1/users/{user}`. */
  readonly routes: readonly string[];
}

/**
 * All operations of the catalog behind their limits. What the router does not know is refused, counted and not logged by
 * its path, which may hold a token.
 */
export function createApp(doors: HttpDoors & { readonly clock: Clock }): HttpApp {
  const settings = { ...DEFAULT_LIMITS, ...doors.limits };
  const limits = new Limits(settings);
  const load = new Load(settings);
  const sender = new Sender();
  const arrivals = new WeakMap<IncomingMessage, Arrival>();
  const router = buildRouter(doors, limits, load, arrivals, finish, turnAway);

  function handle(request: IncomingMessage, response: ServerResponse, machine: boolean): void {
    const started = performance.now();
    const forwarded = request.headers["x-forwarded-for"];
    const arrival: Arrival = {
      requestId: requestIdOf(request.headers) ?? doors.newRequestId(),
      traceId: traceIdOf(request.headers),
      address: machine
        ? null
        : clientAddress(
            request.socket.remoteAddress ?? "",
            Array.isArray(forwarded) ? forwarded.join(",") : forwarded,
            doors.trustedProxies,
          ),
      machine,
      secure: "encrypted" in request.socket,
      isNear: machine || isNear(request),
      operation: null,
      actor: null,
      code: null,
    };
    arrivals.set(request, arrival);
    // The vault's time and not the machine's: clients measure the ends of what they get by it.
    response.setHeader("Date", doors.clock.now().toUTCString());
    doors.watch?.began();
    let taken = false;
    // Node says `finish` also of an answer whose connection was cut under it.
    response.once("finish", () => (taken = !request.socket.destroyed));
    response.once("close", () => logRequest(arrival, response, performance.now() - started, taken));
    void admit(arrival, request, response);
  }

  async function admit(arrival: Arrival, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      // Whoever asks whether the process lives may share its address with a flood.
      if (!VITAL_TARGETS.has(request.url ?? "")) await limits.arrive(arrival.address);
      checkTarget(request.url ?? "");
      checkHeaders(request);
      router(request, response);
    } catch (thrown) {
      const error = asVaultError(thrown);
      turnAway(request, response, error, reasonOf(error.code, false));
    }
  }

  /** Answers a request that no operation has taken. */
  function turnAway(
    request: IncomingMessage,
    response: ServerResponse,
    error: VaultError,
    reason: RefusalReason,
  ): void {
    const arrival = arrivals.get(request);
    if (arrival === undefined) return;
    if (STATUS[error.code] >= 500)
      doors.log.error({ requestId: arrival.requestId, error: loggedError(error) }, "request failed");
    count(arrival.requestId, arrival.address, reason);
    finish(request, response, encodeProblem(error, arrival.requestId));
  }

  /** `shared`: the body is one for all, and takes no memory of its own where it is not encrypted. */
  function finish(request: IncomingMessage, response: ServerResponse, encoded: Encoded, shared = false): void {
    const arrival = arrivals.get(request);
    if (arrival === undefined) return;
    arrival.code = encoded.code;
    // What could not be read leaves no next request on its connection: the bytes behind it may be somebody else's.
    if (encoded.code !== null && UNREADABLE.has(encoded.code)) response.shouldKeepAlive = false;
    const bytes = shared && !arrival.secure ? 0 : (encoded.body?.length ?? 0);
    response.once("close", load.answering(arrival.address, bytes));
    sender.send(request, response, encoded, arrival.requestId, arrival.secure);
  }

  function malformed(code: ErrorCode, address: string | undefined, machine: boolean): Buffer {
    const requestId = doors.newRequestId();
    const client = machine || address === undefined ? null : clientAddress(address, undefined, null);
    count(requestId, client, "malformed");
    const encoded = encodeProblem(new VaultError(code), requestId);
    doors.watch?.began();
    doors.watch?.ended({ operation: null, status: encoded.status, code, ms: 0 });
    doors.log.info(
      { requestId, operation: null, status: encoded.status, code, ms: 0, address: client, actor: null },
      "request",
    );
    return sender.raw(encoded, requestId, doors.clock.now());
  }

  function count(requestId: string, address: string | null, reason: RefusalReason): void {
    const call = new Call("unknown", requestId, address);
    doors.refused(call, reason);
    call.markCounted();
  }

  /** The access log: these fields and no others. */
  function logRequest(arrival: Arrival, response: ServerResponse, ms: number, taken: boolean): void {
    const { requestId, traceId, operation: id, address, actor, code } = arrival;
    const fields = {
      requestId,
      ...(traceId === null ? {} : { traceId }),
      operation: id,
      status: response.headersSent ? response.statusCode : null,
      code,
      ms: Math.round(ms * 10) / 10,
      address,
      actor: actor === null ? null : { type: actor.type, ...("id" in actor ? { id: actor.id } : {}) },
      ...(taken ? {} : { aborted: true }),
    };
    doors.log.info(fields, "request");
    doors.watch?.ended({ operation: id, status: fields.status, code, ms });
  }

  const isProxy = (address: string) =>
    doors.trustedProxies !== null && isTrusted(doors.trustedProxies, normalAddress(address) ?? "");

  return { handle, malformed, isProxy, close: () => load.close(), routes: routesOf(router) };
}

const VITAL_TARGETS: ReadonlySet<string> = new Set([CATALOG["health.live"].path, CATALOG["health.ready"].path]);

/** Codes of a request of which it is not sure where it ends. */
const UNREADABLE: ReadonlySet<ErrorCode> = new Set([
  "bad_request",
  "uri_too_long",
  "headers_too_large",
  "timeout",
] as const);

/**
 * A proxy on this machine that says nothing of itself cannot be told from a client on this machine. A browser on it can:
 * a page of another site, whose name was made to mean this machine, still asks for that name.
 */
function isNear({ socket, headers }: IncomingMessage): boolean {
  const isForwarded = headers["x-forwarded-for"] !== undefined || headers.forwarded !== undefined;
  return !isForwarded && isLoopback(socket.remoteAddress ?? "") && isNoForeignName(headers.host);
}

/** `localhost`, or an address in digits, which nobody can make mean another. HTTP/1.0 need not say any. */
function isNoForeignName(host: string | undefined): boolean {
  if (host === undefined) return true;
  const name = host.replace(/:\d*$/, "").toLowerCase();
  return isLoopback(name) || isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0;
}

type Finish = (request: IncomingMessage, response: ServerResponse, encoded: Encoded, shared?: boolean) => void;
type TurnAway = (request: IncomingMessage, response: ServerResponse, error: VaultError, reason: RefusalReason) => void;

function buildRouter(
  doors: HttpDoors,
  limits: Limits,
  load: Load,
  arrivals: WeakMap<IncomingMessage, Arrival>,
  finish: Finish,
  turnAway: TurnAway,
): express.Application {
  const router = express();
  router.disable("x-powered-by").disable("etag").enable("case sensitive routing").enable("strict routing");
  // The wrapper reads the query itself: each name once, and refused where none is taken.
  router.set("query parser", false);

  const all = Object.keys(CATALOG) as OperationId[];
  for (const path of new Set(all.map((id) => CATALOG[id].path))) {
    const ids = all.filter((id) => CATALOG[id].path === path);
    const route = router.route(path.replace(/\{(\w+)\}/g, ":$1"));
    const allow = ids
      .flatMap((id) => (CATALOG[id].auth === "open" ? ["GET", "HEAD"] : [CATALOG[id].method]))
      .join(", ");
    const refuse: express.RequestHandler = (request, response) =>
      turnAway(
        request,
        response,
        new VaultError("method_not_allowed", undefined, { detail: { allow } }),
        "unknown_route",
      );
    for (const id of ids) {
      const entry: Operation = CATALOG[id];
      const perform = operation(id, doors, limits, load);
      route[METHODS[entry.method]](async (request, response, next) => {
        const arrival = arrivals.get(request);
        // Express lets GET answer HEAD. Here only what has no audit event is shown without being shown.
        if (arrival === undefined || (request.method === "HEAD" && entry.auth !== "open")) next();
        else finish(request, response, await perform(arrival, request, response, request.params));
      });
    }
    route.all(refuse);
  }

  const docs = new Docs();
  router.use(async (request, response, next) => {
    if (!DOCS_PATHS.has(request.path)) next();
    else if (request.method === "GET" || request.method === "HEAD") {
      const answer = await docs.answer(request.path);
      const address = arrivals.get(request)?.address ?? null;
      load.admit(address);
      load.mayAnswer(address, answer.body?.length ?? 0);
      finish(request, response, answer, true);
    } else {
      const detail = { allow: "GET, HEAD" };
      turnAway(request, response, new VaultError("method_not_allowed", undefined, { detail }), "unknown_route");
    }
  });
  router.use((request, response) => turnAway(request, response, new VaultError("not_found"), "unknown_route"));
  const failed: express.ErrorRequestHandler = (thrown, request, response, _next) =>
    turnAway(request, response, asVaultError(thrown), "failed");
  return router.use(failed);
}

const METHODS = { GET: "get", POST: "post", PUT: "put", PATCH: "patch", DELETE: "delete" } as const;

function routesOf(router: express.Application): readonly string[] {
  const methods: readonly string[] = Object.values(METHODS);
  return router.router.stack.flatMap(({ route }) =>
    route === undefined
      ? []
      : route.stack
          .filter(({ method }) => methods.includes(method))
          .map(({ method }) => `${method.toUpperCase()} ${route.path.replace(/:(\w+)/g, "{$1}")}`),
  );
}
