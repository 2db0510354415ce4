import { GRANT_ROLES } from "#base";
import { z } from "zod";
import { idOf, line, listOf, name, oneOf, page, reason, secretName, text, time, timeIn, version } from "../fields.ts";
import type { Wire } from "./shape.ts";

/** 64 KiB of any bytes; as base64 that is 87,384 characters. */
const MAX_VALUE_BYTES = 65_536;
const MAX_VALUE_TEXT = 87_384;
const encoding = z.enum(["utf8", "base64"]);

/** As a decoder that forgives nothing would have it: what is decoded must be written the same way again. */
function isBase64(text: string): boolean {
  return Buffer.from(text, "base64").toString("base64") === text;
}

const metadata = {
  description: line(500).optional(),
  tags: z.array(name).max(20).optional(),
  owner: line(100).optional(),
  rotateBy: timeIn.nullable().optional(),
};
const WORKLOAD = /^[a-z0-9][a-z0-9_-]{0,62}\/[a-z0-9][a-z0-9_-]{0,62}$/;
const policy = z.strictObject({
  namespaces: z.array(name).max(100),
  workloads: z.array(z.string().regex(WORKLOAD, "not the namespace/name of a workload")).max(100),
  roles: z.array(oneOf(["owner", "admin", ...GRANT_ROLES], "not a role")).max(20),
});
/** The launch that was given it last; workload and environment only for readers who may know of them. */
const lastUse = z.strictObject({ at: time, workload: z.string().nullable(), environment: name.nullable() });
const secret = z.strictObject({
  id: idOf("sec"),
  environment: name,
  namespace: name,
  name: secretName,
  version,
  delivery: z.enum(["inject", "broker"]),
  state: z.enum(["active", "deleted"]),
  description: z.string(),
  tags: z.array(z.string()),
  owner: z.string(),
  rotateBy: time.nullable(),
  policy: policy.nullable(),
  createdAt: time,
  createdBy: z.string(),
  updatedAt: time,
  updatedBy: z.string(),
  deletedAt: time.nullable(),
  restorableUntil: time.nullable(),
  lastUsed: lastUse.nullable(),
});
const secretVersion = z.strictObject({
  version,
  state: z.enum(["live", "destroyed"]),
  bytes: z.int().nullable(),
  createdAt: time,
  createdBy: z.string(),
  current: z.boolean(),
});

/** What the generator takes at least. */
const FEWEST = { hex: 16, base64url: 16, alnum: 22, passphrase: 7 };

const inScope = { params: z.strictObject({ environment: name, namespace: name }) };
const inSecret = { params: z.strictObject({ environment: name, namespace: name, secret: secretName }) };
const filter = z.strictObject({
  ...page,
  prefix: line(128).optional(),
  state: z.enum(["active", "deleted"]).optional(),
});
const scope = z.strictObject({ environment: name, namespace: name });
const value = {
  value: text(MAX_VALUE_TEXT)
    .refine((given) => !/\p{Cs}/u.test(given), "not well-formed Unicode: send base64")
    .meta({ description: "At most 64 KiB: as UTF-8, or decoded where it is base64." }),
  encoding: encoding.optional(),
};
const base64Holds = (given: { value?: string | undefined; encoding?: string | undefined }) =>
  given.encoding !== "base64" || isBase64(given.value ?? "");
const HOLDS_BASE64 = {
  if: { properties: { encoding: { const: "base64" } }, required: ["encoding"] },
  then: {
    properties: {
      value: {
        pattern: "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
      },
    },
  },
  else: { properties: { value: { maxLength: MAX_VALUE_BYTES } } },
};
const NOT_BASE64 = { path: ["value"], message: "not base64 (RFC 4648 section 4, padded)" };
const written = secret.extend({ created: z.boolean(), changed: z.boolean() });

/** Secrets: names, metadata, versions; values go in by `secret.write` and out only by `secret.reveal` and the exchange. */
export const secretsWire = {
  "secret.search": {
    query: filter.extend({
      environment: name.optional(),
      namespace: name.optional(),
      contains: line(128).min(1).meta({ description: "Part of the name, whatever its case." }).optional(),
      tag: name.optional(),
      owner: line(100).optional(),
      author: line(63).min(1).meta({ description: "Login or name of who wrote it last." }).optional(),
      createdBefore: timeIn.optional(),
      createdAfter: timeIn.optional(),
      updatedBefore: timeIn.optional(),
      updatedAfter: timeIn.optional(),
      /** Never used counts as used before any time. */
      usedBefore: timeIn.optional(),
      usedAfter: timeIn.optional(),
      rotateBefore: timeIn.optional(),
    }),
    response: listOf(secret),
  },
  "secret.list": { ...inScope, query: filter, response: listOf(secret) },
  "secret.bulk": {
    ...inScope,
    headers: ["Idempotency-Key"],
    body: z.strictObject({
      secrets: z
        .array(
          z
            .strictObject({
              name: secretName,
              ...value,
              /** Without one only the metadata of a secret that is there. */
              value: value.value.optional(),
              /** The version it must have now; 0: it must not be there yet. */
              ifVersion: z.int().min(0).max(2_147_483_647).optional(),
              ...metadata,
            })
            .refine(base64Holds, NOT_BASE64)
            .meta(HOLDS_BASE64),
        )
        .min(1)
        .max(500)
        .refine((all) => new Set(all.map((one) => one.name)).size === all.length, "a name stands twice")
        .meta({ uniqueItems: true, description: "No name twice." }),
      preview: z.boolean().optional(),
    }),
    response: z.strictObject({
      preview: z.boolean(),
      items: z.array(
        z.strictObject({
          name: secretName,
          action: z.enum(["create", "write", "describe", "unchanged", "missing"]),
          /** The one it has now, after a write the new one; null: it is not there. A preview's is good for `ifVersion`. */
          version: version.nullable(),
        }),
      ),
    }),
  },
  "secret.copy": {
    headers: ["Idempotency-Key"],
    body: z.strictObject({
      from: scope,
      to: scope,
      /** All active secrets of the scope, if not given. */
      names: z
        .array(secretName)
        .min(1)
        .max(500)
        .refine((all) => new Set(all).size === all.length, "a name stands twice")
        .meta({ uniqueItems: true })
        .optional(),
      rename: z
        .record(secretName, secretName)
        .meta({ description: "From the name there to the name here: names of what is copied, no two to one." })
        .optional(),
      overwrite: z.boolean().optional(),
      move: z.boolean().optional(),
      /** Move also what something uses. */
      force: z.boolean().optional(),
      preview: z.boolean().optional(),
    }),
    response: z.strictObject({
      preview: z.boolean(),
      items: z.array(
        z.strictObject({
          name: secretName,
          as: secretName,
          action: z.enum(["create", "write", "taken"]),
          /** The one that the target has now; null: it is not there. */
          version: version.nullable(),
          /** What would lose the source if it were moved: `namespace/workload in environment`. */
          usedBy: z.array(z.string()),
          /** As many more that the reader may not know of. */
          hiddenUses: z.int(),
        }),
      ),
    }),
  },
  "secret.compare": {
    body: z
      .strictObject({ from: scope, to: scope, values: z.boolean().optional(), reason: reason.optional() })
      .refine((body) => body.values !== true || body.reason !== undefined, {
        path: ["reason"],
        message: "comparing values needs a reason",
      })
      .meta({ anyOf: [{ properties: { values: { const: false } } }, { required: ["reason"] }] }),
    response: z.strictObject({
      valuesCompared: z.boolean(),
      items: z.array(
        z.strictObject({
          name: secretName,
          from: z.strictObject({ version, updatedAt: time }).nullable(),
          to: z.strictObject({ version, updatedAt: time }).nullable(),
          /** Null: in one of them only, or not compared. */
          same: z.boolean().nullable(),
        }),
      ),
    }),
  },
  "secret.write": {
    ...inSecret,
    headers: ["If-Match", "If-None-Match"],
    body: z
      .strictObject({ ...value, ...metadata })
      .refine(base64Holds, NOT_BASE64)
      .meta(HOLDS_BASE64),
    response: written,
  },
  "secret.generate": {
    ...inSecret,
    headers: ["If-Match", "If-None-Match"],
    body: z
      .strictObject({
        kind: z.enum(["hex", "base64url", "alnum", "passphrase"]),
        length: z
          .int()
          .min(1)
          .max(1024)
          .meta({
            description:
              "Random bytes for `hex` and `base64url` (32), characters for `alnum` (32), words for `passphrase` (8).",
          })
          .optional(),
        ...metadata,
      })
      .meta({
        allOf: Object.entries(FEWEST).map(([kind, minimum]) => ({
          if: { properties: { kind: { const: kind } } },
          then: { properties: { length: { minimum } } },
        })),
      }),
    response: written,
  },
  "secret.uses": {
    ...inSecret,
    response: z.strictObject({
      references: z.array(
        z.strictObject({
          workload: z.string(),
          environment: name,
          variables: z.array(z.string()),
          /** The version the reference is pinned to. */
          pinned: version.nullable(),
          manifestVersion: version,
          /** False: only the newest manifest says so, which is not deployed there. */
          deployed: z.boolean(),
          /** It takes every secret of its scope, and names none. */
          all: z.boolean(),
        }),
      ),
      /** References that the reader may not see. */
      hidden: z.int(),
      /** Launches that hold it now. */
      launches: z.int(),
      lastUsed: lastUse.nullable(),
    }),
  },
  "secret.get": { ...inSecret, response: secret },
  "secret.update": { ...inSecret, headers: ["If-Match"], body: z.strictObject(metadata), response: secret },
  "secret.policy": { ...inSecret, body: policy.partial().nullable(), response: secret },
  "secret.versions": { ...inSecret, response: z.strictObject({ items: z.array(secretVersion) }) },
  "secret.reveal": {
    ...inSecret,
    body: z.strictObject({ reason, version: version.optional() }),
    response: z.strictObject({ name: secretName, version, value: z.string(), encoding }),
  },
  "secret.rollback": { ...inSecret, headers: ["If-Match"], body: z.strictObject({ version }), response: secret },
  "secret.delete": { ...inSecret, headers: ["If-Match"], response: z.undefined() },
  "secret.restore": { ...inSecret, response: secret },
  "secret.destroy": {
    ...inSecret,
    body: z.strictObject({ versions: z.array(version).min(1).max(100).optional() }),
    response: z.undefined(),
  },
} as const satisfies Record<string, Wire>;
