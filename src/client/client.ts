import { CATALOG } from "#contract";
import type { ClientRequest, Operation, OperationId, RequestHeaders, Response } from "#contract";
import { SallyportError, notOfAVault, usage } from "./error.ts";
import { newIdempotencyKey } from "./idempotency-key.ts";
import { namingWhatIsNot, problemError } from "./problem.ts";
import type { Answer, Ask, Transport } from "./transport.ts";

type Part<K extends string, T> = [T] extends [undefined]
  ? Readonly<Partial<Record<K, never>>>
  : [Partial<T>] extends [T]
    ? Readonly<Partial<Record<K, T>>>
    : Readonly<Record<K, T>>;

/** Addresses are text; these parts of them are numbers to everybody. */
type Written<T> = { [K in keyof T]: K extends "limit" | "version" ? T[K] | number : T[K] };

/** What an operation is asked with: exactly the parts it takes. */
export type Asked<Op extends OperationId> = Part<"params", Written<ClientRequest<Op>["params"]>> &
  Part<"query", Written<ClientRequest<Op>["query"]>> &
  Part<"body", ClientRequest<Op>["body"]> &
  AskedOfAll;

/** What every operation may be asked with. */
export interface AskedOfAll {
  readonly headers?: RequestHeaders;
  /** The token of an operation whose caller is the token: injection, lease, set-up. */
  readonly bearer?: string;
  /** How long nothing may arrive, in ms; 30 seconds unless said. */
  readonly timeoutMs?: number;
  /** How long, in ms, a vault that is busy may be waited for, as its Retry-After says; 10 seconds unless said. */
  readonly patienceMs?: number;
  /** It does not keep the process alive. */
  readonly background?: boolean;
  readonly signal?: AbortSignal;
}

/** An answer with what stands around it. */
export interface Received<Op extends OperationId> {
  readonly answer: Response<Op>;
  /** The vault's clock when it answered, as epoch milliseconds; this machine's where it did not say. */
  readonly answeredAtMs: number;
}

/** Operations that answer with a list, and those of them that answer in pages. */
export type ListId = {
  [Op in OperationId]: Response<Op> extends { items: readonly unknown[] } ? Op : never;
}[OperationId];
export type PagedId = { [Op in ListId]: Response<Op> extends { next: string | null } ? Op : never }[ListId];
export type Item<Op extends ListId> = Response<Op> extends { items: readonly (infer I)[] } ? I : never;

/** Who is calling: asked when the first operation needs it; `null` where none is needed. */
export type FindCredential = () => Promise<string | null>;

const TIMEOUT_MS = 30_000;
const PATIENCE_MS = 10_000;
const PAGE = 500;
/** Operations that change something, and after which a second time changes nothing more. */
const SAME_TWICE: ReadonlySet<OperationId> = new Set(["token.exchange", "lease.renew"] as const);

/**
 * Calls the operations of the catalog. Errors: the codes that the vault answers with, and `unreachable`.
 *
 * What may be asked twice without harm (what only reads, an exchange, a renewal, and what the caller gave an
 * Idempotency-Key) is asked once more where the connection was lost, and again where the vault is busy and says when to
 * come back. Nothing else is.
 */
export class Client {
  readonly #transport: Transport;
  readonly #credential: FindCredential;
  readonly #userAgent: string;

  constructor(transport: Transport, credential: FindCredential, userAgent: string) {
    this.#transport = transport;
    this.#credential = credential;
    this.#userAgent = userAgent;
  }

  async call<Op extends OperationId>(operation: Op, asked: Asked<Op>): Promise<Response<Op>> {
    return (await this.receive(operation, asked)).answer;
  }

  async receive<Op extends OperationId>(operation: Op, asked: Asked<Op>): Promise<Received<Op>> {
    const answer = await this.#send(operation, asked);
    const date = Date.parse(answer.headers.date ?? "");
    return { answer: parse(answer) as Response<Op>, answeredAtMs: Number.isNaN(date) ? Date.now() : date };
  }

  /** The answer as it came, for an operation that was asked for another format than JSON. */
  async raw<Op extends OperationId>(operation: Op, asked: Asked<Op>): Promise<Answer> {
    return this.#send(operation, asked);
  }

  /** The items of all pages, or the first `limit` of them; `more` tells whether some were left. */
  async list<Op extends PagedId>(
    operation: Op,
    asked: Asked<Op>,
    limit = Infinity,
  ): Promise<{ items: Item<Op>[]; more: boolean }> {
    const items: Item<Op>[] = [];
    const loose: Loose = asked;
    let after: string | null = null;
    do {
      const query = {
        ...(loose.query as object | undefined),
        limit: String(Math.min(PAGE, limit - items.length)),
        ...(after === null ? {} : { after }),
      };
      const page = parse(await this.#send(operation, { ...loose, query })) as {
        items: Item<Op>[];
        next: string | null;
      };
      if (!Array.isArray(page.items)) throw notOfAVault("it is no list");
      items.push(...page.items);
      after = page.next;
    } while (after !== null && items.length < limit);
    return { items, more: after !== null };
  }

  /** Lets go of its connections. */
  close(): void {
    this.#transport.close();
  }

  async #send(operation: OperationId, asked: Loose): Promise<Answer> {
    const entry: Operation = CATALOG[operation];
    const headers =
      operation === "token.exchange"
        ? { idempotencyKey: newIdempotencyKey(), ...asked.headers }
        : (asked.headers ?? {});
    const repeatable =
      entry.effect === "read" || SAME_TWICE.has(operation) || asked.headers?.idempotencyKey !== undefined;
    const bearer = entry.auth === "actor" ? await this.#credential() : (asked.bearer ?? null);
    const ask: Ask = {
      method: entry.method,
      path: fill(entry.path, asked.params) + queryText(asked.query),
      headers: {
        "User-Agent": this.#userAgent,
        Accept: "application/json, application/problem+json, */*;q=0.5",
        ...(bearer === null ? {} : { Authorization: `Bearer ${bearer}` }),
        ...headersText(headers),
      },
      body: asked.body === undefined ? null : JSON.stringify(asked.body),
      timeoutMs: asked.timeoutMs ?? TIMEOUT_MS,
      repeatable,
      ...(asked.background === undefined ? {} : { background: asked.background }),
      ...(asked.signal === undefined ? {} : { signal: asked.signal }),
    };
    let patienceMs = repeatable ? (asked.patienceMs ?? PATIENCE_MS) : 0;
    for (;;) {
      const answer = await this.#transport.send(ask);
      if (answer.status >= 200 && answer.status <= 299) return answer;
      const refusal = namingWhatIsNot(problemError(answer), asked);
      const waitMs = busyForMs(refusal);
      if (waitMs === null || waitMs > patienceMs) throw refusal;
      patienceMs -= waitMs;
      await pause(waitMs, asked.signal);
    }
  }
}

interface Loose extends AskedOfAll {
  readonly params?: unknown;
  readonly query?: unknown;
  readonly body?: unknown;
}

/** How long a vault that is busy asks to be left alone; `null` where it is not busy, or does not say. */
function busyForMs({ status, detail }: SallyportError): number | null {
  if ((status !== 429 && status !== 503) || detail.retryAfterSeconds === undefined) return null;
  return Math.max(detail.retryAfterSeconds * 1_000, SHORTEST_PAUSE_MS);
}

const SHORTEST_PAUSE_MS = 100;

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { setTimeout } = await import("node:timers/promises");
  try {
    await setTimeout(ms, undefined, signal === undefined ? {} : { signal });
  } catch {
    throw new SallyportError("interrupted");
  }
}

function fill(path: string, params: unknown): string {
  const values = new Map(Object.entries(params ?? {}));
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(values.get(name) ?? "");
    // These would make another path of it, and so another operation.
    if (value === "" || value === "." || value === "..") throw usage(`“${value}” cannot be the name of a ${name}.`);
    return encodeURIComponent(value);
  });
}

function queryText(query: unknown): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return `?${new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)])).toString()}`;
}

function headersText(headers: RequestHeaders): Record<string, string> {
  const { ifMatch, ifNoneMatch, idempotencyKey, runner, accept } = headers;
  return {
    ...(ifMatch === undefined ? {} : { "If-Match": ifMatch === null ? "*" : `"${String(ifMatch)}"` }),
    ...(ifNoneMatch === undefined ? {} : { "If-None-Match": ifNoneMatch }),
    ...(idempotencyKey === undefined ? {} : { "Idempotency-Key": idempotencyKey }),
    ...(runner === undefined ? {} : { "Sallyport-Runner": runner }),
    ...(accept === undefined ? {} : { Accept: accept }),
  };
}

function parse(answer: Answer): unknown {
  if (answer.body.length === 0) return undefined;
  let content: unknown;
  try {
    content = JSON.parse(answer.body.toString("utf8"));
  } catch {
    // The parser's own error repeats a piece of the text, which may be a piece of a value.
    throw notOfAVault("its answer is not JSON");
  }
  if (typeof content !== "object" || content === null) throw notOfAVault("its answer is no object");
  return content;
}
