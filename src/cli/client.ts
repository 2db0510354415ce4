import { CATALOG } from "#contract";
import type { ClientRequest, Operation, OperationId, RequestHeaders, Response } from "#contract";
import { CliError } from "./error.ts";
import { problemError } from "./problem.ts";
import type { Answer, Transport } from "./transport.ts";

type Part<K extends string, T> = [T] extends [undefined]
  ? Readonly<Partial<Record<K, never>>>
  : [Partial<T>] extends [T]
    ? Readonly<Partial<Record<K, T>>>
    : Readonly<Record<K, T>>;

/** What an operation is asked with: exactly the parts it takes. */
export type Asked<Op extends OperationId> = Part<"params", ClientRequest<Op>["params"]> &
  Part<"query", ClientRequest<Op>["query"]> &
  Part<"body", ClientRequest<Op>["body"]> & {
    readonly headers?: RequestHeaders;
    /** The token of an operation whose caller is the token: injection, lease, set-up. */
    readonly bearer?: string;
    readonly timeoutMs?: number;
  };

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

const TIMEOUT_MS = 30_000;
const PAGE = 500;

/** Calls the operations of the catalog. Errors: the codes that the vault answers with, and `unreachable`. */
export class Client {
  readonly #transport: Transport;
  readonly #credential: () => Promise<string | null>;
  readonly #userAgent: string;

  /** `credential` is asked when the first operation needs it; it answers `null` where none is needed. */
  constructor(transport: Transport, credential: () => Promise<string | null>, version: string) {
    this.#transport = transport;
    this.#credential = credential;
    this.#userAgent = `sallyport/${version}`;
  }

  async call<Op extends OperationId>(operation: Op, asked: Asked<Op>): Promise<Response<Op>> {
    return (await this.receive(operation, asked)).answer;
  }

  async receive<Op extends OperationId>(operation: Op, asked: Asked<Op>): Promise<Received<Op>> {
    const answer = await this.#send(operation, asked as Loose);
    const date = Date.parse(answer.headers.date ?? "");
    return { answer: parse(answer) as Response<Op>, answeredAtMs: Number.isNaN(date) ? Date.now() : date };
  }

  /** The answer as it came, for an operation that was asked for another format than JSON. */
  async raw<Op extends OperationId>(operation: Op, asked: Asked<Op>): Promise<Answer> {
    return this.#send(operation, asked as Loose);
  }

  /** The items of all pages, or the first `limit` of them; `more` tells whether some were left. */
  async list<Op extends PagedId>(
    operation: Op,
    asked: Asked<Op>,
    limit = Infinity,
  ): Promise<{ items: Item<Op>[]; more: boolean }> {
    const items: Item<Op>[] = [];
    const loose = asked as Loose;
    let after: string | null = null;
    do {
      const query = {
        ...loose.query,
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

  close(): void {
    this.#transport.close();
  }

  async #send(operation: OperationId, asked: Loose): Promise<Answer> {
    const { method, path, auth }: Operation = CATALOG[operation];
    const bearer = auth === "actor" ? await this.#credential() : (asked.bearer ?? null);
    const answer = await this.#transport.send({
      method,
      path: fill(path, asked.params ?? {}) + queryText(asked.query ?? {}),
      headers: {
        "User-Agent": this.#userAgent,
        Accept: "application/json, application/problem+json, */*;q=0.5",
        ...(bearer === null ? {} : { Authorization: `Bearer ${bearer}` }),
        ...headersText(asked.headers ?? {}),
      },
      body: asked.body === undefined ? null : JSON.stringify(asked.body),
      timeoutMs: asked.timeoutMs ?? TIMEOUT_MS,
    });
    if (answer.status < 200 || answer.status > 299) throw problemError(answer);
    return answer;
  }
}

interface Loose {
  readonly params?: object;
  readonly query?: object;
  readonly body?: unknown;
  readonly headers?: RequestHeaders;
  readonly bearer?: string;
  readonly timeoutMs?: number;
}

function fill(path: string, params: object): string {
  const values = new Map(Object.entries(params));
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(values.get(name) ?? "");
    // These would make another path of it, and so another operation.
    if (value === "" || value === "." || value === "..")
      throw new CliError("usage", `“${value}” cannot be the name of a ${name}.`);
    return encodeURIComponent(value);
  });
}

function queryText(query: object): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
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

/** Something else than a vault answered, which may hold anything. */
export function notOfAVault(why: string, cause?: unknown): CliError {
  return new CliError("unreachable", `what answers there is not a vault (${why})`, { cause });
}

function parse(answer: Answer): unknown {
  if (answer.body.length === 0) return undefined;
  let content: unknown;
  try {
    content = JSON.parse(answer.body.toString("utf8"));
  } catch (cause) {
    throw notOfAVault("its answer is not JSON", cause);
  }
  if (typeof content !== "object" || content === null) throw notOfAVault("its answer is no object");
  return content;
}
