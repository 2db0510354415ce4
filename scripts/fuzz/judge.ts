import { Ajv2020 } from "ajv/dist/2020.js";
import type { ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { STATUS } from "#http";
import type { Answer } from "../../test/harness.ts";
import { findIn } from "../drills/canary-forms.ts";
import type { Canary } from "../drills/canary-forms.ts";

interface DescribedResponse {
  readonly content?: Readonly<Record<string, unknown>>;
}
/** Answers that many operations have stand once, under a name. */
type Response = DescribedResponse & { readonly $ref?: string };
/** The document, as far as an answer is held against it. */
export interface OpenApi {
  readonly paths: Readonly<
    Record<string, Readonly<Record<string, { readonly responses: Readonly<Record<string, Response>> }>>>
  >;
  readonly components?: { readonly responses?: Readonly<Record<string, DescribedResponse>> };
}

/** Operations whose success may hold a value, and which may hand out a credential. */
const GIVES_VALUES: ReadonlySet<string> = new Set(["secret.reveal", "token.exchange"]);

/** What must be true of every answer, whatever was asked. */
export class Judge {
  readonly #document: OpenApi;
  readonly #ajv: Ajv2020;
  readonly #schemas = new Map<string, ValidateFunction>();

  constructor(document: OpenApi) {
    this.#document = document;
    this.#ajv = new Ajv2020({ strict: false, allErrors: false, validateFormats: true });
    formats.default(this.#ajv);
    this.#ajv.addSchema(document, "openapi");
  }

  /**
   * What is wrong with an answer to the operation at `path`, in words without secrets; nothing where it is as it must be.
   * `values` may stand only where a value is handed out, `credentials` nowhere: they were handed out before.
   */
  faults(
    operation: { readonly id: string; readonly method: string; readonly path: string },
    answer: Answer<unknown>,
    values: readonly Canary[],
    credentials: readonly string[],
  ): string[] {
    const { status, headers, text } = answer;
    const faults: string[] = [];
    const must = (holds: boolean, fault: string) => {
      if (!holds) faults.push(fault);
    };

    const requestId = headers["x-request-id"];
    must(typeof requestId === "string" && /^[A-Za-z0-9._-]{8,64}$/.test(requestId), "no X-Request-Id");
    must(headers["cache-control"] === "no-store", "no Cache-Control: no-store");
    must(headers["x-content-type-options"] === "nosniff", "no X-Content-Type-Options: nosniff");
    must(headers["x-powered-by"] === undefined && headers.server === undefined, "it names its software");

    const type = (headers["content-type"] ?? "").replace(/;.*$/, "");
    const problem = type === "application/problem+json" ? asProblem(answer.body) : null;
    must(
      status < 500 || (status === 503 && problem?.code === "overloaded"),
      `${String(status)} ${String(problem?.code)}`,
    );
    if (status >= 400) {
      must(problem !== null, `${String(status)} without a problem`);
      must(problem?.status === status, "the problem says another status");
      must(problem === null || STATUS[problem.code as keyof typeof STATUS] === status, "the code has another status");
      must(problem?.requestId === requestId, "the problem says another request id");
      must(status !== 401 || headers["www-authenticate"] !== undefined, "401 without WWW-Authenticate");
      must(status !== 405 || headers.allow !== undefined, "405 without Allow");
      must(
        ![429, 503].includes(status) || headers["retry-after"] !== undefined,
        `${String(status)} without Retry-After`,
      );
    }
    faults.push(...this.#against(operation.path, operation.method.toLowerCase(), status, type, answer));

    const gives = status < 300 && GIVES_VALUES.has(operation.id);
    const all = `${JSON.stringify(headers)}\n${text}`;
    for (const found of gives ? [] : findIn(Buffer.from(all), values)) faults.push(`it holds ${found}`);
    must(!credentials.some((one) => all.includes(one)), "it holds a credential");
    return faults;
  }

  #against(path: string, method: string, status: number, type: string, answer: Answer<unknown>): string[] {
    const responses = this.#document.paths[path]?.[method]?.responses ?? {};
    const name = String(status) in responses ? String(status) : status >= 400 ? "default" : null;
    if (name === null || !(name in responses)) return [`the status ${String(status)} is not described`];
    const shared = /^#\/components\/responses\/(\w+)$/.exec(responses[name]?.$ref ?? "")?.[1];
    const described = shared === undefined ? responses[name] : this.#document.components?.responses?.[shared];
    const place =
      shared === undefined ? ["paths", path, method, "responses", name] : ["components", "responses", shared];
    const content = described?.content;
    if (content === undefined) return answer.text === "" ? [] : [`${name} has a body, and none is described`];
    if (!(type in content)) return [`the type "${type}" is not described for ${name}`];
    if (!type.endsWith("json")) return [];
    const validate = this.#schema([...place, "content", type, "schema"]);
    if (validate(answer.body)) return [];
    const { instancePath = "", message = "" } = validate.errors?.[0] ?? {};
    return [`${name} does not fit its schema: ${instancePath} ${message}`];
  }

  #schema(pointer: readonly string[]): ValidateFunction {
    const at = pointer.map((one) => encodeURIComponent(one.replaceAll("~", "~0").replaceAll("/", "~1"))).join("/");
    const known = this.#schemas.get(at) ?? this.#ajv.compile({ $ref: `openapi#/${at}` });
    this.#schemas.set(at, known);
    return known;
  }
}

function asProblem(body: unknown): { status?: unknown; code?: unknown; requestId?: unknown } | null {
  return typeof body === "object" && body !== null ? body : null;
}
