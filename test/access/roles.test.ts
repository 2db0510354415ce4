import { describe, expect, it } from "vitest";
import { GRANT_ROLES, PERMISSIONS } from "#base";
import type { Permission } from "#base";
import { decide, roleTable } from "#access";
import { NOW, environment, facts, grant, namespace, place, subject } from "./facts.ts";

/**
 * The permission table as the design draws it, written out a second time: a slip in the first does not repeat here.
 * Columns: owner admin contributor builder operator viewer auditor runner service.
 */
const TABLE = `
owner.assign       x . . . . . . . .
org.manage         x x . . . . . . .
member.manage      x x . . . . . . .
role.manage        x x . . . . . . .
environment.manage x x . . . . . . .
namespace.manage   x x . . . . . . .
key.manage         x x . . . . . . .
grant.manage       x x . . . . . . .
secret.policy      x x . . . . . . .
tool.manage        x x . . . . . . .
secret.reveal      x x . . . . . . .
secret.write       x x x . . . . . .
secret.delete      x x x . . . . . .
injection.receive  x x x . . . . x x
secret.list        x x x x . . x . .
secret.reference   x x x x . . . . .
workload.create    x x x x . . . . .
workload.edit      x x x x . . . . .
workload.deploy    x x x x . . . . .
schedule.manage    x x x x . . . . .
workload.delete    x x x . . . . . .
workload.run       x x x x x . . . x
request.approve    x x x x x . . . .
data.export        x x x x x . . . .
workload.view      x x x x x x x . .
injection.view     x x x x x x x . .
audit.read         x x x x x x x . .
audit.read.org     x x . . . . x . .
audit.export       x x . . . . x . .
`;
const ROLES = [
  "owner",
  "admin",
  "contributor",
  "builder",
  "operator",
  "viewer",
  "auditor",
  "runner",
  "service",
] as const;

const rows = TABLE.trim()
  .split("\n")
  .map((line) => {
    const [permission = "", ...marks] = line.split(/\s+/);
    return { permission: permission as Permission, marks };
  });
const cells = rows.flatMap(({ permission, marks }) =>
  ROLES.map((role, at) => [role, permission, marks[at] === "x"] as const),
);

const env = environment("restricted");
const at = place({ environment: env, namespace: namespace() });

/** Somebody with just this role: an org role, or a guest with a grant. */
function holds(role: (typeof ROLES)[number], permission: Permission): boolean {
  const isOrgRole = role === "owner" || role === "admin";
  const who = subject({ orgRole: isOrgRole ? role : "guest" });
  return decide(who, permission, at, facts(isOrgRole ? [] : [grant(role, { environmentId: env.id })]), NOW).allowed;
}

describe("the permission table", () => {
  it("names every permission but those that are everybody's or the instance's", () => {
    const apart = ["audit.read.own", "request.create", "self", "instance.admin"];
    expect([...rows.map((row) => row.permission), ...apart].sort()).toEqual([...PERMISSIONS].sort());
    for (const { marks } of rows) expect(marks).toHaveLength(ROLES.length);
  });

  it.each(cells)("is the design's: %s, %s: %s (R22–R29, R45–R58, C2, C10, C24)", (role, permission, allowed) => {
    expect(holds(role, permission)).toBe(allowed);
  });

  it("allows something and denies something to every role but the owner", () => {
    for (const role of ROLES) {
      const allowed = rows.filter(({ permission }) => holds(role, permission));
      expect(allowed.length).toBeGreaterThan(0);
      if (role !== "owner") expect(allowed.length).toBeLessThan(rows.length);
    }
  });

  it("is what the API prints, with owner and admin not to be granted (R26)", () => {
    const printed = roleTable();
    expect(printed.map((role) => role.name).sort()).toEqual([...ROLES].sort());
    for (const { name, permissions, grantable } of printed) {
      const column = ROLES.indexOf(name as (typeof ROLES)[number]);
      expect([...permissions].sort()).toEqual(
        rows
          .filter(({ marks }) => marks[column] === "x")
          .map((row) => row.permission)
          .sort(),
      );
      expect(grantable).toBe(name !== "owner" && name !== "admin");
    }
    expect([...GRANT_ROLES].sort()).toEqual(ROLES.slice(2).sort());
  });

  it("lets a builder make and an operator launch, and shows a value to neither (R23, R24, R25, R58)", () => {
    for (const role of ["builder", "operator", "viewer", "auditor"] as const) {
      expect(holds(role, "secret.reveal")).toBe(false);
      expect(holds(role, "injection.receive")).toBe(false);
    }
  });
});
