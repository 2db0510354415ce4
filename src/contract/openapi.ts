import { ERRORS } from "#base";
import { z } from "zod";
import { createDocument } from "zod-openapi";
import type {
  ZodOpenApiMediaTypeObject,
  ZodOpenApiOperationObject,
  ZodOpenApiPathsObject,
  ZodOpenApiResponseObject,
  ZodOpenApiResponsesObject,
} from "zod-openapi";
import { CATALOG } from "./catalog.ts";
import type { Auth, Operation, OperationId } from "./catalog.ts";
import { EXCHANGE_FORMATS } from "./format.ts";
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
        components: { securitySchemes: SCHEMES, schemas: { Problem: problem } },
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

const HEADERS: Readonly<Record<HeaderName, z.ZodType>> = {
  "If-Match": z
    .string()
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
    .max(512)
    .optional()
    .meta(described("The token of a service user that takes delivery, where the injection token is bound.")),
  Accept: z.string().max(512).optional().meta(described("The format of the answer, where there are several.")),
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

/** Answers beside the catalog's own. */
const MORE_RESPONSES: Readonly<Partial<Record<OperationId, ZodOpenApiResponsesObject>>> = {
  "health.ready": {
    "503": { description: "Not ready", content: { "application/json": { schema: WIRE["health.ready"].response } } },
  },
};
/** Formats beside JSON: what they hold is text, but for the shell's, which may hold bytes that are none. */
const MORE_CONTENT: Readonly<Partial<Record<OperationId, Record<string, ZodOpenApiMediaTypeObject>>>> = {
  "token.exchange": Object.fromEntries(
    [...new Set(Object.values(EXCHANGE_FORMATS).map((type) => type.split(";")[0] ?? ""))]
      .filter((type) => type !== "application/json")
      .map((type) => [
        type,
        { schema: { type: "string" as const, ...(type.startsWith("text/") ? {} : { format: "binary" }) } },
      ]),
  ),
};
const MORE_HEADERS: Readonly<Partial<Record<OperationId, ZodOpenApiResponseObject["headers"]>>> = {
  "token.exchange": {
    "Sallyport-Lease": {
      description: "The lease's token, where the format is not JSON.",
      schema: { type: "string" },
    },
  },
};

function describe(id: OperationId, entry: Operation, wire: Wire): ZodOpenApiOperationObject {
  const scheme = SECURITY[entry.auth];
  const headers = Object.fromEntries((wire.headers ?? []).map((name) => [name, HEADERS[name]]));
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
    responses: { ...success(id, entry, wire), ...MORE_RESPONSES[id], default: failure },
  };
}

function success(id: OperationId, entry: Operation, wire: Wire): ZodOpenApiResponsesObject {
  if (id === "metrics.get")
    return { "200": { description: entry.summary, content: { "text/plain": { schema: wire.response } } } };
  const content = { "application/json": { schema: wire.response }, ...MORE_CONTENT[id] };
  const headers = MORE_HEADERS[id];
  const answer =
    entry.status === 204
      ? { description: "Done" }
      : { description: entry.summary, content, ...(headers && { headers }) };
  return entry.status === 200 ? { "200": answer } : entry.status === 201 ? { "201": answer } : { "204": answer };
}

const failure = {
  description: "It did not work; `code` says why",
  content: { "application/problem+json": { schema: problem } },
};

/** The format says it all; the pattern that spells out the calendar would be half of the document. */
function plainTimes({ jsonSchema }: { jsonSchema: { format?: string; pattern?: string } }): void {
  if (jsonSchema.format === "date-time") delete jsonSchema.pattern;
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
