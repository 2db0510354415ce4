import { GRANT_ROLES } from "#base";
import type { GrantRole, OrgRole, Permission } from "#base";

export type Role = "owner" | "admin" | GrantRole;

const O = ["owner"] as const;
const OA = ["owner", "admin"] as const;
const OAC = [...OA, "contributor"] as const;
const OACB = [...OAC, "builder"] as const;
const OACBO = [...OACB, "operator"] as const;
const ALL = [...OACBO, "viewer", "auditor"] as const;

/**
 * The permission table: which role holds what. No permission implies another. This is the one place; what the API, the
 * docs and the tests say of roles is printed from it.
 */
export const HOLDERS: Readonly<
  Record<Exclude<Permission, "self" | "audit.read.own" | "request.create" | "instance.admin">, readonly Role[]>
> = {
  "owner.assign": O,
  "org.manage": OA,
  "member.manage": OA,
  "role.manage": OA,
  "environment.manage": OA,
  "namespace.manage": OA,
  "key.manage": OA,
  "grant.manage": OA,
  "secret.policy": OA,
  "tool.manage": OA,
  "secret.reveal": OA,
  "secret.write": OAC,
  "secret.delete": OAC,
  "injection.receive": [...OAC, "runner", "service"],
  "secret.list": [...OACB, "auditor"],
  "secret.reference": OACB,
  "workload.create": OACB,
  "workload.edit": OACB,
  "workload.deploy": OACB,
  "schedule.manage": OACB,
  "workload.delete": OAC,
  "workload.run": [...OACBO, "service"],
  "request.approve": OACBO,
  "data.export": OACBO,
  "workload.view": ALL,
  "injection.view": ALL,
  "audit.read": ALL,
  "audit.read.org": [...OA, "auditor"],
  "audit.export": [...OA, "auditor"],
};

/** Everybody's, on what is their own. */
export const EVERYBODYS: ReadonlySet<Permission> = new Set<Permission>(["self", "audit.read.own", "request.create"]);

const TABLE = new Map<string, ReadonlySet<Permission>>();
for (const [permission, roles] of Object.entries(HOLDERS) as [Permission, readonly Role[]][]) {
  for (const role of roles) TABLE.set(role, new Set([...(TABLE.get(role) ?? []), permission]));
}

const NONE: ReadonlySet<Permission> = new Set();

/** What a role holds; an unknown role holds nothing. */
export function permissionsOf(role: string): ReadonlySet<Permission> {
  return TABLE.get(role) ?? NONE;
}

export function isGrantRole(role: string): role is GrantRole {
  return (GRANT_ROLES as readonly string[]).includes(role);
}

/** Owners and admins hold their column everywhere in the org; members and guests hold nothing by their role alone. */
export function orgRoleHolds(role: OrgRole | null, permission: Permission): boolean {
  return (role === "owner" || role === "admin") && permissionsOf(role).has(permission);
}

/** Every role with what it holds, for `GET /v1/roles` and the docs. */
export function roleTable(): { name: string; permissions: Permission[]; grantable: boolean }[] {
  return ["owner", "admin", ...GRANT_ROLES].map((name) => ({
    name,
    permissions: [...permissionsOf(name)],
    grantable: isGrantRole(name),
  }));
}
