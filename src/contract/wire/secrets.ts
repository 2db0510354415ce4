import { z } from "zod";
import { idOf, line, listOf, name, page, reason, secretName, time, timeIn, version } from "../fields.ts";
import type { Wire } from "./shape.ts";

/** 64 KiB of any bytes; as base64 that is 87,384 characters. */
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
const policy = z.strictObject({
  namespaces: z.array(name).max(100),
  workloads: z.array(z.string().max(130)).max(100),
  roles: z.array(z.string().max(63)).max(20),
});
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
});
const secretVersion = z.strictObject({
  version,
  state: z.enum(["live", "destroyed"]),
  bytes: z.int().nullable(),
  createdAt: time,
  createdBy: z.string(),
  current: z.boolean(),
});

const inScope = { params: z.strictObject({ environment: name, namespace: name }) };
const inSecret = { params: z.strictObject({ environment: name, namespace: name, secret: secretName }) };
const filter = z.strictObject({
  ...page,
  prefix: z.string().max(128).optional(),
  state: z.enum(["active", "deleted"]).optional(),
});

/** Secrets: names, metadata, versions; values go in by `secret.write` and out only by `secret.reveal` and the exchange. */
export const secretsWire = {
  "secret.search": { query: filter, response: listOf(secret) },
  "secret.list": { ...inScope, query: filter, response: listOf(secret) },
  "secret.write": {
    ...inSecret,
    headers: ["If-Match", "If-None-Match"],
    body: z
      .strictObject({
        value: z
          .string()
          .max(MAX_VALUE_TEXT)
          .refine((text) => !/\p{Cs}/u.test(text), "not well-formed Unicode: send base64"),
        encoding: encoding.optional(),
        ...metadata,
      })
      .refine((body) => body.encoding !== "base64" || isBase64(body.value), {
        path: ["value"],
        message: "not base64 (RFC 4648 section 4, padded)",
      }),
    response: secret.extend({ created: z.boolean(), changed: z.boolean() }),
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
