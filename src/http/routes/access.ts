import { roleTable } from "#access";
import type { GrantView, OrgView } from "#access";
import type { Response } from "#contract";
import type { NewRow } from "#storage";
import type { Handlers } from "../operation.ts";
import type { Rooms } from "./rooms.ts";
import { isoOf, pageOf } from "./shape.ts";

type AccessHandlers = Pick<
  Handlers,
  | "org.create"
  | "org.list"
  | "org.get"
  | "org.update"
  | "environment.create"
  | "environment.list"
  | "environment.get"
  | "environment.update"
  | "environment.delete"
  | "namespace.create"
  | "namespace.list"
  | "namespace.delete"
  | "role.list"
  | "grant.create"
  | "grant.list"
  | "grant.delete"
>;

/** Orgs, environments, namespaces, roles and grants. */
export function accessRoutes({ orgs, orgSettings, environments, namespaces, grants, guard }: Rooms): AccessHandlers {
  return {
    "org.create": async ({ caller, body }) => {
      const { org, owner, setUpToken, expiresAt } = await orgs.create(caller, body.name, body.owner);
      return { org: shapeOrg(org), owner, setUpToken: setUpToken.reveal(), expiresAt: isoOf(expiresAt) };
    },
    "org.list": async ({ caller, query }) => pageOf(await orgs.list(caller, query), shapeOrg),
    "org.get": async ({ caller }) => shapeOwnOrg(await orgSettings.get(caller)),
    "org.update": async ({ caller, body }) => shapeOwnOrg(await orgSettings.update(caller, body)),

    "environment.create": async ({ caller, body }) => shapeEnvironment(await environments.create(caller, body)),
    "environment.list": async ({ caller, query }) => pageOf(await environments.list(caller, query), shapeEnvironment),
    "environment.get": async ({ caller, params }) =>
      shapeEnvironment(await environments.get(caller, params.environment)),
    "environment.update": async ({ caller, params, body }) =>
      shapeEnvironment(await environments.update(caller, params.environment, body)),
    "environment.delete": async ({ caller, params, query }) =>
      environments.delete(caller, params.environment, query.confirm) as Promise<undefined>,

    "namespace.create": async ({ caller, body }) =>
      shapeNamespace(await namespaces.create(caller, { name: body.name, description: body.description ?? "" })),
    "namespace.list": async ({ caller, query }) => pageOf(await namespaces.list(caller, query), shapeNamespace),
    "namespace.delete": async ({ caller, params }) => namespaces.delete(caller, params.namespace) as Promise<undefined>,

    "role.list": async ({ caller }) => {
      await guard.require(caller, "self", { on: "self" });
      return { items: roleTable() };
    },
    "grant.create": async ({ caller, body }) => shapeGrant(await grants.create(caller, body)),
    "grant.list": async ({ caller, query }) => pageOf(await grants.list(caller, query), shapeGrant),
    "grant.delete": async ({ caller, params }) => grants.delete(caller, params.id) as Promise<undefined>,
  };
}

function shapeOrg(org: NewRow<"orgs">) {
  return { id: org.id, name: org.slug, state: org.state, createdAt: isoOf(org.createdAt) };
}

function shapeOwnOrg(org: OrgView) {
  return { ...shapeOrg(org), reveal: org.reveal, viewerAudit: org.viewerAudit };
}

function shapeEnvironment(row: NewRow<"environments">): Response<"environment.get"> {
  return {
    id: row.id,
    name: row.name,
    mode: row.mode,
    localRun: row.localRun,
    state: row.state === "active" ? "active" : "disabled",
    description: row.description,
    createdAt: isoOf(row.createdAt),
  };
}

function shapeNamespace(row: NewRow<"namespaces">) {
  return { id: row.id, name: row.name, description: row.description, createdAt: isoOf(row.createdAt) };
}

function shapeGrant(grant: GrantView): Response<"grant.create"> {
  return {
    id: grant.id,
    principal: grant.principal,
    principalId: grant.principalId,
    role: grant.role,
    environment: grant.environment,
    namespace: grant.namespace,
    workload: grant.workload,
    startsAt: isoOf(grant.startsAt),
    endsAt: isoOf(grant.endsAt),
    reason: grant.reason,
    grantedBy: grant.by,
    createdAt: isoOf(grant.createdAt),
  };
}
