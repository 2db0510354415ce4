import { z } from "zod";
import { cidr, idOf, line, listOf, login, name, newPassword, page, password, text, time, timeIn } from "../fields.ts";
import type { Wire } from "./shape.ts";

const orgRole = z.enum(["owner", "admin", "member", "guest"]);
const serviceKind = z.enum(["ci", "agent", "runner"]);
const state = z.enum(["active", "disabled"]);

const user = z.strictObject({
  id: idOf("prn"),
  login,
  role: orgRole,
  state: z.enum(["invited", "active", "disabled"]),
  createdAt: time,
  lastSignInAt: time.nullable(),
});
const serviceToken = z.strictObject({
  id: idOf("crd"),
  note: z.string(),
  createdAt: time,
  expiresAt: time.nullable(),
  lastUsedAt: time.nullable(),
  lastUsedFrom: z.string().nullable(),
  cidrs: z.array(z.string()),
});
const serviceUser = z.strictObject({
  id: idOf("prn"),
  name,
  kind: serviceKind,
  state,
  description: z.string(),
  createdAt: time,
});
const session = z.strictObject({
  id: idOf("ses"),
  createdAt: time,
  lastSeenAt: time,
  expiresAt: time,
  address: z.string().nullable(),
  current: z.boolean(),
});
const signedIn = z.strictObject({
  token: z.string(),
  expiresAt: time,
  idleSeconds: z.int(),
  org: z.string(),
  login: z.string(),
});
const newToken = { note: line(200).optional(), expiresAt: timeIn.optional(), cidrs: z.array(cidr).max(50).optional() };
const issuedToken = serviceToken.extend({ token: z.string() });
const inSelf = { params: z.strictObject({ user: login }) };
const inServiceUser = { params: z.strictObject({ serviceUser: name }) };

/** People, machines, sign-in and sessions. */
export const identityWire = {
  "session.create": {
    body: z.strictObject({ org: name.optional(), login: text(200).min(1), password }),
    response: signedIn,
  },
  "session.end": { response: z.undefined() },
  "session.list": { response: z.strictObject({ items: z.array(session) }) },
  "session.revoke": { params: z.strictObject({ id: idOf("ses") }), response: z.undefined() },
  "set-up.complete": { body: z.strictObject({ password: newPassword }), response: signedIn },
  "password.change": { body: z.strictObject({ current: password, password: newPassword }), response: z.undefined() },
  "whoami.get": {
    response: z.strictObject({
      type: z.enum(["user", "service", "machine"]),
      id: idOf("prn"),
      name: z.string(),
      role: z.string(),
      org: z.string(),
      instanceAdmin: z.boolean(),
      grants: z.array(
        z.strictObject({
          role: z.string(),
          environment: z.string().nullable(),
          namespace: z.string().nullable(),
          workload: z.string().nullable(),
          endsAt: time.nullable(),
        }),
      ),
    }),
  },
  "user.create": {
    headers: ["Idempotency-Key"],
    body: z.strictObject({ login, role: orgRole.optional() }),
    response: z.strictObject({ user, setUpToken: z.string(), expiresAt: time }),
  },
  "user.list": { query: z.strictObject(page), response: listOf(user) },
  "user.get": { ...inSelf, response: user },
  "user.update": {
    ...inSelf,
    body: z.strictObject({ role: orgRole.optional(), state: state.optional() }),
    response: user,
  },
  "user.invite": { ...inSelf, response: z.strictObject({ user, setUpToken: z.string(), expiresAt: time }) },
  "user.delete": { ...inSelf, response: z.undefined() },
  "service-user.create": {
    headers: ["Idempotency-Key"],
    body: z.strictObject({ name, kind: serviceKind, description: line(500).optional(), ...newToken }),
    response: z.strictObject({ serviceUser, token: issuedToken }),
  },
  "service-user.list": { query: z.strictObject(page), response: listOf(serviceUser) },
  "service-user.get": { ...inServiceUser, response: serviceUser.extend({ tokens: z.array(serviceToken) }) },
  "service-user.update": {
    ...inServiceUser,
    body: z.strictObject({ state: state.optional(), description: line(500).optional() }),
    response: serviceUser,
  },
  "service-user.delete": { ...inServiceUser, response: z.undefined() },
  "service-token.create": {
    ...inServiceUser,
    headers: ["Idempotency-Key"],
    body: z.strictObject(newToken),
    response: issuedToken,
  },
  "service-token.delete": { params: z.strictObject({ serviceUser: name, id: idOf("crd") }), response: z.undefined() },
} as const satisfies Record<string, Wire>;
