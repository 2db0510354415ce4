import { ERRORS } from "#base";
import { z } from "zod";
import { createDocument } from "zod-openapi";
import type {
  ZodOpenApiMediaTypeObject,
  ZodOpenApiOperationObject,
  ZodOpenApiPathsObject,
  ZodOpenApiResponsesObject,
} from "zod-openapi";
import { CATALOG } from "./catalog.ts";
import type { Auth, Operation, OperationId } from "./catalog.ts";
import { TIME } from "./fields.ts";
import { EXCHANGE_FORMATS } from "./format.ts";
import { linksOf } from "./links.ts";
import { WIRE } from "./wire.ts";
import type { HeaderName, Wire } from "./wire/shape.ts";

/**
 * The OpenAPI 3.1 document of this version: one operation for each row of the catalog, its schemas from the wire.
 * `x-permission` is what the guard asks for.
 */
export function openApi(version: string): Record<string, unknown> {
  const paths: ZodOpenApiPathsObject = {};
  for (const id of Object.keys(CATALOG) as OperationId[]) {
    const { path, method } = CATALOG[id];
    paths[path] = { ...paths[path], [method.toLowerCase()]: describe(id, CATALOG[id], WIRE[id]) };
  }
  return {
    ...createDocument(
      {
        openapi: "3.1.1",
        info: {
          title: "Sallyport",
          version,
          description:
            "A secrets vault: builders refer to secrets by name, and each runtime gets exactly its own, once. " +
            "The org comes from the credential. Unknown fields are refused. Nothing may be cached.",
          license: { name: "Apache-2.0", identifier: "Apache-2.0" },
        },
        servers: [{ url: "/" }],
        paths,
        components: { securitySchemes: SCHEMES, schemas: { Problem: problem }, responses: REFUSALS },
      },
      { override: plainTimes },
    ),
  };
}

/** How each kind of credential is shown. `null`: none is taken. */
const SECURITY: Readonly<Record<Auth, string | null>> = {
  open: null,
  "sign-in": null,
  actor: "credential",
  "set-up": "setUp",
  injection: "injectionToken",
  lease: "lease",
};

const SCHEMES = {
  credential: bearer(
    "A session (`sp_ses_`) or a service user's token (`sp_svc_`). Not needed on the machine's own socket.",
  ),
  setUp: bearer("A one-time set-up credential (`sp_set_`)."),
  injectionToken: bearer("A single-use injection token (`sp_inj_`)."),
  lease: bearer("A lease (`sp_lease_`)."),
};

/** Without Accept: OpenAPI passes over a parameter of that name, and the media types of an answer say it. */
const HEADERS: Readonly<Record<Exclude<HeaderName, "Accept">, z.ZodType>> = {
  "If-Match": z
    .string()
    .regex(/^(?:\*|"[1-9][0-9]{0,9}")$/)
    .optional()
    .meta(described('The version that the change starts from, as in `"3"`, or `*` for any.')),
  "If-None-Match": z.literal("*").optional().meta(described("`*`: only if it does not exist yet.")),
  "Idempotency-Key": z
    .string()
    .regex(/^[A-Za-z0-9._~-]{8,128}$/)
    .optional()
    .meta(described("The same for each attempt at the same request, random, 128 bits or more.")),
  "Sallyport-Runner": z
    .string()
    .regex(/^[!-~]{1,512}$/)
    .optional()
    .meta(described("The token of a service user that takes delivery, where the injection token is bound.")),
};

const problem = z
  .object({
    type: z.string().meta({ description: "`urn:sallyport:problem:` and the code" }),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(ERRORS) as [keyof typeof ERRORS, ...(keyof typeof ERRORS)[]]),
    detail: z.string().optional(),
    remedy: z.string().meta({ description: "What to do about it" }),
    requestId: z.string(),
    faults: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    missing: z.object({ permission: z.string(), on: z.string() }).optional(),
    variables: z.array(z.object({ variable: z.string(), reason: z.string() })).optional(),
    usedBy: z.array(z.string()).optional(),
    id: z.string().optional(),
    retryAfterSeconds: z.number().optional(),
    allow: z.string().optional(),
  })
  .meta({ id: "Problem", description: "An error (RFC 9457). `code` is stable and one of a closed list." });

/** What stands in every answer, of the headers that say something of this request. */
const ALWAYS = {
  "X-Request-Id": {
    required: true,
    description: "The client's own, where it sent one that may stand in a log.",
    schema: { type: "string" as const, pattern: "^[A-Za-z0-9._-]{8,64}$" },
  },
};
const TAG = {
  required: true,
  description: "The version, for If-Match.",
  schema: { type: "string" as const, pattern: '^"[1-9][0-9]{0,9}"$' },
};
const RETRY_AFTER = {
  required: true,
  description: "Seconds.",
  schema: { type: "integer" as const, minimum: 1 },
};
const CHALLENGE: { required: boolean; description: string; schema: { type: "string" } } = {
  required: true,
  description: "RFC 6750.",
  schema: { type: "string" as const },
};

/** Operations that show one version of what they are about. */
const VERSIONED: ReadonlySet<OperationId> = new Set<OperationId>([
  "secret.get",
  "secret.write",
  "secret.generate",
  "secret.update",
  "secret.rollback",
  "secret.restore",
  "manifest.save",
  "manifest.get",
]);

function refusal(description: string, headers: Record<string, object> = {}) {
  return {
    description,
    headers: { ...ALWAYS, ...headers },
    content: { "application/problem+json": { schema: problem } },
  };
}
const FAILURE = refusal("It did not work; `code` says why");
const REFUSALS = {
  Invalid: refusal("The request could not be read, or its input is not valid"),
  Unauthenticated: refusal("No valid credential was given", { "WWW-Authenticate": CHALLENGE }),
  Forbidden: refusal("Not allowed"),
  NotFound: refusal("There is no such thing, or it is not for you to know"),
  RateLimited: refusal("Too many requests", { "Retry-After": RETRY_AFTER }),
  Unavailable: refusal("Busy, sealed, or the store does not answer", { "Retry-After": RETRY_AFTER }),
};

/** Answers beside the catalog's own. */
const MORE_RESPONSES: Readonly<Partial<Record<OperationId, ZodOpenApiResponsesObject>>> = {
  "health.ready": {
    "503": {
      description: "Not ready",
      headers: ALWAYS,
      content: { "application/json": { schema: WIRE["health.ready"].response } },
    },
  },
};
/** Formats beside JSON. */
const MORE_CONTENT: Readonly<Partial<Record<OperationId, Record<string, ZodOpenApiMediaTypeObject>>>> = {
  "token.exchange": Object.fromEntries(
    [...new Set(Object.values(EXCHANGE_FORMATS).map((type) => type.split(";")[0] ?? ""))]
      .filter((type) => type !== "application/json")
      .map((type) => [type, { schema: contentOf(type) }]),
  ),
};
const MORE_HEADERS: Readonly<Partial<Record<OperationId, Record<string, typeof CHALLENGE>>>> = {
  "token.exchange": {
    "Sallyport-Lease": {
      required: false,
      description: "The lease's token, where the format is not JSON.",
      schema: { type: "string" },
    },
  },
};

/** YAML is read as JSON is; the others are text, but for the shell's, which may hold bytes that are none. */
function contentOf(type: string) {
  if (type === "application/yaml") return { type: "object" as const };
  return { type: "string" as const, ...(type === "application/octet-stream" ? { format: "binary" } : {}) };
}

function describe(id: OperationId, entry: Operation, wire: Wire): ZodOpenApiOperationObject {
  const scheme = SECURITY[entry.auth];
  const headers = Object.fromEntries(
    (wire.headers ?? []).flatMap((name) => (name === "Accept" ? [] : [[name, HEADERS[name]]])),
  );
  return {
    operationId: id,
    summary: entry.summary,
    tags: [id.slice(0, id.indexOf("."))],
    security: scheme === null ? [] : [{ [scheme]: [] }],
    "x-permission": entry.permission,
    "x-effect": entry.effect,
    requestParams: {
      ...(wire.params && { path: objectOf(wire.params) }),
      ...(wire.query && { query: objectOf(wire.query) }),
      ...(wire.headers && { header: z.object(headers) }),
    },
    ...(wire.body && { requestBody: { required: true, content: { "application/json": { schema: wire.body } } } }),
    responses: { ...success(id, entry, wire), ...refusals(id, entry, wire), ...MORE_RESPONSES[id], default: FAILURE },
  };
}

function success(id: OperationId, entry: Operation, wire: Wire): ZodOpenApiResponsesObject {
  if (id === "metrics.get")
    return {
      "200": { description: entry.summary, headers: ALWAYS, content: { "text/plain": { schema: wire.response } } },
    };
  const content = { "application/json": { schema: wire.response }, ...MORE_CONTENT[id] };
  const headers = { ...ALWAYS, ...(VERSIONED.has(id) && { ETag: TAG }), ...MORE_HEADERS[id] };
  const links = Object.entries(linksOf(id)).map(([name, { operationId, parameters }]) => [
    name,
    { operationId, parameters: { ...parameters }, description: CATALOG[operationId].summary },
  ]);
  const answer =
    entry.status === 204
      ? { description: "Done", headers }
      : {
          description: entry.summary,
          headers,
          content,
          ...(links.length === 0 ? {} : { links: Object.fromEntries(links) as ZodOpenApiLinks }),
        };
  return entry.status === 200 ? { "200": answer } : entry.status === 201 ? { "201": answer } : { "204": answer };
}

type ZodOpenApiLinks = Record<string, { operationId: string; parameters: Record<string, string>; description: string }>;

/** The refusals that an operation is known for; every other comes as `default`. */
function refusals(id: OperationId, entry: Operation, wire: Wire): ZodOpenApiResponsesObject {
  // Health is answered under any load.
  if (id === "health.live" || id === "health.ready") return {};
  const scheme = SECURITY[entry.auth];
  return {
    "400": refer("Invalid"),
    ...(scheme !== null || entry.auth === "sign-in" ? { "401": refer("Unauthenticated") } : {}),
    ...(scheme === null ? {} : { "403": refer("Forbidden") }),
    ...(wire.params === undefined ? {} : { "404": refer("NotFound") }),
    "429": refer("RateLimited"),
    "503": refer("Unavailable"),
  };
}

function refer(name: keyof typeof REFUSALS) {
  return { $ref: `#/components/responses/${name}` as const };
}

/** The format says it all; the pattern that spells out the calendar would be half of the document. */
function plainTimes({ jsonSchema }: { jsonSchema: { format?: string; pattern?: string } }): void {
  if (jsonSchema.format === "date-time" && jsonSchema.pattern !== TIME.source) delete jsonSchema.pattern;
}

/** Path and query are objects in the wire; the document lists their fields. */
function objectOf(schema: z.ZodType): z.ZodObject {
  if (schema instanceof z.ZodObject) return schema;
  throw new TypeError("the parameters of an operation are an object");
}

function described(description: string) {
  return { param: { description } };
}

function bearer(description: string) {
  return { type: "http", scheme: "bearer", description } as const;
}
