import { GRANT_ROLES } from "#base";
import { z } from "zod";
import { idOf, line, listOf, login, name, oneOf, page, reason, time, timeIn } from "../fields.ts";
import type { Wire } from "./shape.ts";

const role = z.strictObject({ name: z.string(), permissions: z.array(z.string()), grantable: z.boolean() });

const scope = { environment: name.optional(), namespace: name.optional(), workload: name.optional() };
const grant = z.strictObject({
  id: idOf("grt"),
  principal: z.string(),
  principalId: idOf("prn"),
  role: z.string(),
  environment: z.string().nullable(),
  namespace: z.string().nullable(),
  workload: z.string().nullable(),
  startsAt: time.nullable(),
  endsAt: time.nullable(),
  reason: z.string(),
  grantedBy: z.string(),
  createdAt: time,
});

const environment = z.strictObject({
  id: idOf("env"),
  name,
  mode: z.enum(["open", "restricted", "private"]),
  localRun: z.boolean(),
  state: z.enum(["active", "disabled"]),
  description: z.string(),
  createdAt: time,
});
const namespace = z.strictObject({ id: idOf("nsp"), name, description: z.string(), createdAt: time });

const org = z.strictObject({ id: idOf("org"), name, state: z.enum(["active", "disabled"]), createdAt: time });
const ownOrg = org.extend({ reveal: z.enum(["admins", "nobody"]), viewerAudit: z.enum(["scope", "none"]) });

/** Orgs, environments, namespaces, roles and grants. */
export const accessWire = {
  "org.create": {
    headers: ["Idempotency-Key"],
    body: z.strictObject({ name, owner: login }),
    response: z.strictObject({ org, owner: z.string(), setUpToken: z.string(), expiresAt: time }),
  },
  "org.list": { query: z.strictObject(page), response: listOf(org) },
  "org.get": { response: ownOrg },
  "org.update": {
    body: z.strictObject({
      reveal: z.enum(["admins", "nobody"]).optional(),
      viewerAudit: z.enum(["scope", "none"]).optional(),
    }),
    response: ownOrg,
  },
  "environment.create": {
    headers: ["Idempotency-Key"],
    body: z.strictObject({
      name,
      mode: z.enum(["open", "restricted", "private"]).optional(),
      localRun: z.boolean().optional(),
      description: line(500).optional(),
    }),
    response: environment,
  },
  "environment.list": { query: z.strictObject(page), response: listOf(environment) },
  "environment.get": { params: z.strictObject({ environment: name }), response: environment },
  "environment.update": {
    params: z.strictObject({ environment: name }),
    body: z.strictObject({
      mode: z.enum(["open", "restricted", "private"]).optional(),
      localRun: z.boolean().optional(),
      state: z.enum(["active", "disabled"]).optional(),
      description: line(500).optional(),
    }),
    response: environment,
  },
  "environment.delete": {
    params: z.strictObject({ environment: name }),
    query: z.strictObject({ confirm: name.meta({ description: "The environment's name again." }) }),
    response: z.undefined(),
  },
  "namespace.create": {
    headers: ["Idempotency-Key"],
    body: z.strictObject({ name, description: line(500).optional() }),
    response: namespace,
  },
  "namespace.list": { query: z.strictObject(page), response: listOf(namespace) },
  "namespace.delete": { params: z.strictObject({ namespace: name }), response: z.undefined() },
  "role.list": { response: z.strictObject({ items: z.array(role) }) },
  "grant.create": {
    headers: ["Idempotency-Key"],
    body: z.strictObject({
      principal: login,
      role: oneOf(GRANT_ROLES, "not a role that a grant gives: see GET /v1/roles"),
      ...scope,
      startsAt: timeIn.optional(),
      endsAt: timeIn.optional(),
      reason: reason.optional(),
    }),
    response: grant,
  },
  "grant.list": { query: z.strictObject({ ...page, principal: login.optional() }), response: listOf(grant) },
  "grant.delete": { params: z.strictObject({ id: idOf("grt") }), response: z.undefined() },
} as const satisfies Record<string, Wire>;
