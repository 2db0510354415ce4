/**
 * Every permission there is. No permission implies another. Which role holds which is one table in access/roles.ts.
 * `audit.read.own`, `request.create` and `self` are everybody's and so in no role; `instance.admin` belongs to the
 * instance, not to an org.
 */
export const PERMISSIONS = [
  "owner.assign",
  "org.manage",
  "member.manage",
  "role.manage",
  "environment.manage",
  "namespace.manage",
  "key.manage",
  "grant.manage",
  "secret.policy",
  "tool.manage",
  "secret.reveal",
  "secret.write",
  "secret.delete",
  "injection.receive",
  "secret.list",
  "secret.reference",
  "workload.create",
  "workload.edit",
  "workload.deploy",
  "schedule.manage",
  "workload.delete",
  "workload.run",
  "request.approve",
  "data.export",
  "workload.view",
  "injection.view",
  "audit.read",
  "audit.read.org",
  "audit.export",
  "audit.read.own",
  "request.create",
  "self",
  "instance.admin",
] as const;

export type Permission = (typeof PERMISSIONS)[number];
