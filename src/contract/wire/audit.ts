import { z } from "zod";
import { idOf, listOf, page, text, time } from "../fields.ts";
import type { Wire } from "./shape.ts";

const named = z.strictObject({ id: z.string(), name: z.string().nullable() });
const event = z.strictObject({
  id: idOf("evt"),
  slot: z.int(),
  seq: z.int(),
  time,
  actor: z.strictObject({
    type: z.string(),
    id: z.string().nullable(),
    name: z.string().nullable(),
    role: z.string().nullable(),
  }),
  onBehalfOf: z.string().nullable(),
  action: z.string(),
  permission: z.string(),
  result: z.enum(["success", "refused", "failed"]),
  code: z.string().nullable(),
  because: z.string(),
  target: z.strictObject({ type: z.string(), id: z.string().nullable(), name: z.string().nullable() }).nullable(),
  environment: named.nullable(),
  namespace: named.nullable(),
  workload: named.nullable(),
  requestId: z.string(),
  address: z.string().nullable(),
  secrets: z.array(z.strictObject({ id: z.string(), name: z.string(), version: z.int().nullable() })).nullable(),
  changes: z.array(z.strictObject({ field: z.string(), before: z.unknown(), after: z.unknown() })).nullable(),
  reason: z.string().nullable(),
  facts: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).nullable(),
  masked: z.boolean(),
  previousHash: z.string(),
  hash: z.string(),
});
const checkpoint = z.strictObject({ slot: z.int(), size: z.int(), root: z.string(), time, note: z.string() });

/** The same questions to an org's chain and to the instance's. */
const events = {
  query: z.strictObject({
    ...page,
    action: text(63).optional(),
    result: z.enum(["success", "refused", "failed"]).optional(),
    actor: text(63).optional(),
    target: text(63).optional(),
  }),
  response: listOf(event),
} as const;
const checkpoints = {
  query: z.strictObject(page),
  response: listOf(checkpoint).extend({ verifierKey: z.string() }),
} as const;
const verdict = {
  response: z.strictObject({
    intact: z.boolean(),
    events: z.int(),
    checkpoints: z.int(),
    faults: z.array(z.strictObject({ where: z.string(), what: z.string() })),
  }),
} as const;

/** Health, status, and the audit log. */
export const auditWire = {
  "health.live": { response: z.strictObject({ status: z.literal("ok") }) },
  "health.ready": {
    response: z.strictObject({ status: z.enum(["ok", "unavailable"]), checks: z.record(z.string(), z.string()) }),
  },
  "metrics.get": { response: z.string() },
  "openapi.get": { response: z.record(z.string(), z.unknown()) },
  "status.get": {
    response: z.strictObject({
      version: z.string(),
      node: z.string(),
      store: z.string(),
      ready: z.boolean(),
      sealed: z.boolean(),
      startedAt: time,
      address: z.string(),
      audit: z.strictObject({
        events: z.int(),
        lastCheckpointAt: time.nullable(),
        checkpointedEvents: z.int(),
        checkpointPlace: z.string(),
      }),
      keys: z.strictObject({ dataKeys: z.int(), oldestDataKeyAt: time.nullable(), rootKeyAt: time }),
      certificateExpiresAt: time.nullable(),
      instance: z
        .strictObject({
          /** Of the file and its log, in bytes. */
          databaseBytes: z.int(),
          /** Writer slots of a shared database, with the node that holds each or was the last to; none where one node is all there is. */
          nodes: z.array(
            z.strictObject({ slot: z.int(), held: z.boolean(), own: z.boolean(), since: time, seenAt: time }),
          ),
          queue: z.strictObject({ jobs: z.int(), bytes: z.int() }),
          turnedAway: z.strictObject({ minutes: z.int(), rateLimited: z.int(), overloaded: z.int() }),
        })
        .nullable()
        .meta({ description: "What is of all orgs together: for who holds `instance.admin`, else null." }),
      warnings: z.array(z.string()),
    }),
  },
  "audit.list": events,
  "audit.checkpoints": checkpoints,
  "audit.verify": verdict,
  "instance-audit.list": events,
  "instance-audit.checkpoints": checkpoints,
  "instance-audit.verify": verdict,
} as const satisfies Record<string, Wire>;
