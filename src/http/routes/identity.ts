import { Redacted } from "#base";
import type { Response } from "#contract";
import { whoAmI } from "#identity";
import type { Invitation, IssuedToken, SignedIn } from "#identity";
import type { NewRow } from "#storage";
import type { Handlers } from "../operation.ts";
import type { Rooms } from "./rooms.ts";
import { isoOf, pageOf } from "./shape.ts";

type IdentityHandlers = Pick<
  Handlers,
  | "session.create"
  | "session.end"
  | "session.list"
  | "session.revoke"
  | "set-up.complete"
  | "password.change"
  | "whoami.get"
  | "user.create"
  | "user.list"
  | "user.get"
  | "user.update"
  | "user.invite"
  | "user.delete"
  | "service-user.create"
  | "service-user.list"
  | "service-user.get"
  | "service-user.update"
  | "service-user.delete"
  | "service-token.create"
  | "service-token.delete"
>;

/** People, machines, sign-in and sessions. */
export function identityRoutes({
  signIn,
  sessions,
  users,
  serviceUsers,
  guard,
  store,
  grants,
}: Rooms): IdentityHandlers {
  return {
    "session.create": async ({ call, body }) =>
      shapeSignedIn(
        await signIn.signIn(call, { org: body.org, login: body.login, password: new Redacted(body.password) }),
      ),
    "session.end": async ({ caller }) => sessions.signOut(caller) as Promise<undefined>,
    "session.list": async ({ caller }) => ({
      items: (await sessions.list(caller)).map((one) => ({
        id: one.id,
        createdAt: isoOf(one.createdAt),
        lastSeenAt: isoOf(one.lastSeenAt),
        expiresAt: isoOf(one.expiresAt),
        address: one.address,
        current: one.current,
      })),
    }),
    "session.revoke": async ({ caller, params }) => sessions.end(caller, params.id) as Promise<undefined>,
    "set-up.complete": async ({ caller, call, body }) =>
      shapeSignedIn(await signIn.setUp(call, caller, new Redacted(body.password))),
    "password.change": async ({ caller, body }) =>
      signIn.changePassword(caller, new Redacted(body.current), new Redacted(body.password)) as Promise<undefined>,
    "whoami.get": async ({ caller }) => {
      const { grants: held, ...who } = await whoAmI(caller, { guard, store, grants });
      return {
        ...who,
        grants: held.map((grant) => ({
          role: grant.role,
          environment: grant.environment,
          namespace: grant.namespace,
          workload: grant.workload,
          endsAt: isoOf(grant.endsAt),
        })),
      };
    },

    "user.create": async ({ caller, body }) => shapeInvitation(await users.create(caller, body.login, body.role)),
    "user.list": async ({ caller, query }) => pageOf(await users.list(caller, query), shapeUser),
    "user.get": async ({ caller, params }) => shapeUser(await users.get(caller, params.user)),
    "user.update": async ({ caller, params, body }) => shapeUser(await users.update(caller, params.user, body)),
    "user.invite": async ({ caller, params }) => shapeInvitation(await users.invite(caller, params.user)),
    "user.delete": async ({ caller, params }) => users.delete(caller, params.user) as Promise<undefined>,

    "service-user.create": async ({ caller, body }) => {
      const issued = await serviceUsers.create(caller, body);
      return { serviceUser: shapeServiceUser(issued.principal), token: shapeIssued(issued) };
    },
    "service-user.list": async ({ caller, query }) => pageOf(await serviceUsers.list(caller, query), shapeServiceUser),
    "service-user.get": async ({ caller, params }) => {
      const { principal, tokens } = await serviceUsers.get(caller, params.serviceUser);
      return { ...shapeServiceUser(principal), tokens: tokens.map(shapeToken) };
    },
    "service-user.update": async ({ caller, params, body }) =>
      shapeServiceUser(await serviceUsers.update(caller, params.serviceUser, body)),
    "service-user.delete": async ({ caller, params }) =>
      serviceUsers.delete(caller, params.serviceUser) as Promise<undefined>,
    "service-token.create": async ({ caller, params, body }) =>
      shapeIssued(await serviceUsers.createToken(caller, params.serviceUser, body)),
    "service-token.delete": async ({ caller, params }) =>
      serviceUsers.deleteToken(caller, params.serviceUser, params.id) as Promise<undefined>,
  };
}

function shapeSignedIn({ token, expiresAt, idleSeconds, org, login }: SignedIn): Response<"session.create"> {
  return { token: token.reveal(), expiresAt: isoOf(expiresAt), idleSeconds, org, login };
}

function shapeInvitation({ user, setUpToken, expiresAt }: Invitation): Response<"user.create"> {
  return { user: shapeUser(user), setUpToken: setUpToken.reveal(), expiresAt: isoOf(expiresAt) };
}

function shapeUser(row: NewRow<"principals">): Response<"user.get"> {
  return {
    id: row.id,
    login: row.name,
    role: row.orgRole ?? "guest",
    state: row.state === "deleted" ? "disabled" : row.state,
    createdAt: isoOf(row.createdAt),
    lastSignInAt: isoOf(row.lastSignInAt),
  };
}

function shapeServiceUser(row: NewRow<"principals">): Response<"service-user.update"> {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind ?? "runner",
    state: row.state === "active" ? "active" : "disabled",
    description: row.description,
    createdAt: isoOf(row.createdAt),
  };
}

function shapeToken(row: NewRow<"credentials">) {
  return {
    id: row.id,
    note: row.note,
    createdAt: isoOf(row.createdAt),
    expiresAt: isoOf(row.expiresAt),
    lastUsedAt: isoOf(row.lastUsedAt),
    lastUsedFrom: row.lastUsedFrom,
    cidrs: [...row.cidrs],
  };
}

function shapeIssued({ credential, token }: IssuedToken): Response<"service-token.create"> {
  return { ...shapeToken(credential), token: token.reveal() };
}
